// SPDX-License-Identifier: Apache-2.0
#include "repository/data_keys.h"

#include "lib/crypto/aead.h"
#include "lib/crypto/random.h"
#include "lib/crypto/sealedfile.h"
#include "repository/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 32, CACHED_KEKS = 64, CACHED_DEKS = 32, FIRST_EPOCH = 1 };

struct cached {
	uint32_t domain, device, epoch;
	uint64_t id; // DEK id, or class of a KEK
	struct secret *key;
};

struct data_keys {
	struct store *store;
	uint8_t store_id[STORE_ID];
	struct secret *root;
	struct cached keks[CACHED_KEKS], deks[CACHED_DEKS];
	unsigned next_kek, next_dek;
};

static const uint8_t id_key[] = "store-id";

static struct err read_root(int folder, struct secret **out)
{
	int scoped(fd) fd = openat(folder, "root.key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_make(ERR_NOT_FOUND, "root.key is not there");
	if (fd < 0)
		return err_system("root.key");
	struct secret *s = secret_new(KEYS);
	ENSURE(s, ERR_LIMIT, "no memory for the root key");
	struct stat st;
	ssize_t n = read(fd, secret_bytes(s), KEYS);
	if (n != KEYS || fstat(fd, &st) || st.st_size != KEYS) {
		secret_free(s);
		return err_make(ERR_CORRUPT, "root.key must have %d bytes", KEYS);
	}
	*out = s;
	return OK;
}

// The root key and the store's id are made together: a key without its store, or the other way
// round, is a restored half and is refused.
static struct err create(struct data_keys *k, int folder)
{
	TRY(random_secret(KEYS, &k->root));
	TRY(random_bytes(k->store_id, STORE_ID));
	TRY(sealedfile_replace(folder, "root.key", secret_bytes(k->root), KEYS));
	struct store_row row = {.table = STORE_META,
				.key = id_key,
				.key_len = sizeof id_key - 1,
				.body = k->store_id,
				.body_len = STORE_ID};
	TRY(store_begin(k->store));
	TRY(store_put(k->store, &row));
	return store_commit(k->store);
}

static struct err any_row(void *ctx, const struct store_row *row, bool *more)
{
	(void)row;
	*(bool *)ctx = true;
	*more = false;
	return OK;
}

// A store without an id but with keys in it has lost the id: making a new root key would end all
// that it keeps.
static struct err must_be_new(struct store *s)
{
	bool any = false;
	const struct store_scan scan = {.table = STORE_KEK,
					.all_devices = true,
					.heads_only = true,
					.each = any_row,
					.ctx = &any};
	TRY(store_scan(s, &scan));
	ENSURE(!any, ERR_CORRUPT, "the store's id is gone, and its keys are there");
	return OK;
}

struct err data_keys_open(int folder, struct store *s, struct data_keys **out)
{
	struct data_keys *k = calloc(1, sizeof *k);
	scoped(arena) struct arena *a = arena_new(4096);
	struct err e = k && a ? OK : err_make(ERR_LIMIT, "no memory for the data keys");
	if (e.code != ERR_NONE)
		goto out;
	k->store = s;
	struct store_row row = {.table = STORE_META, .key = id_key, .key_len = sizeof id_key - 1};
	e = store_get(s, &row, a);
	struct err root = read_root(folder, &k->root);
	if (e.code == ERR_NOT_FOUND) {
		// A key that was made just before a crash, with no store yet, is replaced.
		e = must_be_new(s);
		secret_free(k->root);
		k->root = NULL;
		if (e.code == ERR_NONE)
			e = create(k, folder);
	} else if (e.code == ERR_NONE) {
		e = root;
		if (root.code == ERR_NOT_FOUND)
			e = err_make(ERR_CORRUPT,
				     "%s, but the store is: restore root.key beside it", root.text);
		else if (row.body_len != STORE_ID)
			e = err_make(ERR_CORRUPT, "the store's id has %zu bytes", row.body_len);
		else
			memcpy(k->store_id, row.body, STORE_ID);
	}
out:
	if (e.code != ERR_NONE) {
		data_keys_close(k);
		return e;
	}
	*out = k;
	return OK;
}

void data_keys_close(struct data_keys *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < CACHED_KEKS; i++)
		secret_free(k->keks[i].key);
	for (unsigned i = 0; i < CACHED_DEKS; i++)
		secret_free(k->deks[i].key);
	secret_free(k->root);
	free(k);
}

const uint8_t *data_keys_store_id(const struct data_keys *k)
{
	return k->store_id;
}

static const struct cached *look(const struct cached *list, unsigned n, uint32_t domain,
				 uint32_t device, uint64_t id)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].key && list[i].id == id && list[i].device == device &&
		    list[i].domain == domain)
			return &list[i];
	return NULL;
}

static const struct cached *keep(struct cached *list, unsigned n, unsigned *next, struct cached v)
{
	struct cached *at = &list[(*next)++ % n];
	secret_free(at->key);
	*at = v;
	return at;
}

static size_t kek_key(uint8_t out[5], unsigned class, uint32_t epoch)
{
	out[0] = (uint8_t) class;
	for (int i = 0; i < 4; i++)
		out[1 + i] = (uint8_t)(epoch >> (24 - 8 * i));
	return 5;
}

// Wraps a new random key under `by` and puts it as a row.
static struct err make_row(struct commit *c, const struct secret *by, const struct store_row *row,
			   struct secret **key)
{
	uint8_t wrapped[KEYWRAP_MAX];
	TRY(random_secret(KEYS, key));
	struct store_row made = *row;
	struct err e = keywrap_wrap(by, *key, wrapped, &made.body_len);
	made.body = wrapped;
	if (e.code == ERR_NONE)
		e = commit_put(c, &made);
	if (e.code != ERR_NONE)
		secret_free(*key);
	return e;
}

static struct err kek_get(struct data_keys *k, struct commit *c, uint32_t domain, unsigned class,
			  const struct cached **out)
{
	*out = look(k->keks, CACHED_KEKS, domain, 0, class);
	if (*out)
		return OK;
	uint8_t key[5];
	scoped(arena) struct arena *a = arena_new(4096);
	ENSURE(a, ERR_LIMIT, "no memory for a key");
	struct cached v = {.domain = domain, .epoch = FIRST_EPOCH, .id = class};
	struct store_row row = {.table = STORE_KEK,
				.domain = domain,
				.key = key,
				.key_len = kek_key(key, class, FIRST_EPOCH)};
	struct err e = store_get(k->store, &row, a);
	if (e.code == ERR_NONE)
		e = keywrap_unwrap(k->root, row.body, row.body_len, &v.key);
	else if (e.code == ERR_NOT_FOUND && c)
		e = make_row(c, k->root, &row, &v.key);
	if (e.code != ERR_NONE)
		return err_within(e, "key of domain %u, class %u", domain, class);
	*out = keep(k->keks, CACHED_KEKS, &k->next_kek, v);
	return OK;
}

struct err data_keys_get(struct data_keys *k, struct commit *c, uint32_t domain, uint32_t device,
			 uint64_t id, struct data_key *out)
{
	const struct cached *found = look(k->deks, CACHED_DEKS, domain, device, id);
	if (!found) {
		const struct cached *kek;
		TRY(kek_get(k, c, domain, id & 255, &kek));
		uint8_t key[8];
		for (int i = 0; i < 8; i++)
			key[i] = (uint8_t)(id >> (56 - 8 * i));
		scoped(arena) struct arena *a = arena_new(4096);
		ENSURE(a, ERR_LIMIT, "no memory for a key");
		struct cached v = {
			.domain = domain, .device = device, .epoch = kek->epoch, .id = id};
		struct store_row row = {.table = STORE_DEK,
					.domain = domain,
					.device = device,
					.key = key,
					.key_len = sizeof key};
		struct err e = store_get(k->store, &row, a);
		if (e.code == ERR_NONE)
			e = keywrap_unwrap(kek->key, row.body, row.body_len, &v.key);
		else if (e.code == ERR_NOT_FOUND && c)
			e = make_row(c, kek->key, &row, &v.key);
		if (e.code != ERR_NONE)
			return err_within(e, "data key %llx of device %u", (unsigned long long)id,
					  device);
		found = keep(k->deks, CACHED_DEKS, &k->next_dek, v);
	}
	*out = (struct data_key){id, found->epoch, found->key};
	return OK;
}

struct err data_keys_prepare(struct data_keys *k, struct commit *c)
{
	const struct cached *kek;
	return kek_get(k, c, 0, CLASS_JOURNAL, &kek);
}

struct err data_keys_journal_new(struct data_keys *k, struct secret **key, uint8_t wrapped[40],
				 uint32_t *epoch)
{
	const struct cached *kek;
	uint8_t out[KEYWRAP_MAX];
	size_t n;
	TRY(kek_get(k, NULL, 0, CLASS_JOURNAL, &kek));
	TRY(random_secret(KEYS, key));
	struct err e = keywrap_wrap(kek->key, *key, out, &n);
	if (e.code != ERR_NONE) {
		secret_free(*key);
		return e;
	}
	memcpy(wrapped, out, KEYWRAP_DEK);
	*epoch = kek->epoch;
	return OK;
}

struct err data_keys_journal_open(struct data_keys *k, const uint8_t wrapped[40], uint32_t epoch,
				  struct secret **key)
{
	const struct cached *kek;
	TRY(kek_get(k, NULL, 0, CLASS_JOURNAL, &kek));
	ENSURE(epoch == kek->epoch, ERR_CORRUPT, "journal key of epoch %u; there is %u", epoch,
	       kek->epoch);
	return keywrap_unwrap(kek->key, wrapped, KEYWRAP_DEK, key);
}
