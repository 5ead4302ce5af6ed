// SPDX-License-Identifier: Apache-2.0
// First start: root authority, then everything else, each file complete before the next, so that a
// crash in between is mended by the next start. Plaintext of keys.sealed:
//     u8 version (1)  u8 n  n times: u8 purpose  u8 algorithm  raw[32]
//     u16 length, issuing certificate  u16 length, root certificate
// and of root.sealed: u8 version (1)  raw[32]  u16 length, root certificate.

#include "keys/store.h"

#include "lib/base/clock.h"
#include "lib/base/cursor.h"
#include "lib/base/log.h"
#include "lib/crypto/random.h"
#include "lib/crypto/sealedfile.h"
#include "lib/crypto/x509.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_NS (86400 * NS_PER_S)

enum { VERSION = 1, RAW = 32, ROOT_DAYS = 20 * 365, ISSUING_DAYS = 2 * 365, RENEW_DAYS = 240 };

static const char keys_file[] = "keys.sealed", keys_purpose[] = "gemel keys v1";
static const char root_file[] = "root.sealed", root_purpose[] = "gemel root v1";
static const char seal_file[] = "seal.key", credential_file[] = "gemel-keys";

static const struct {
	const char *name;
	enum sign_algorithm algorithm;
} purposes[PURPOSES] = {
	[PURPOSE_CHECKPOINT] = {"checkpoint", SIGN_ED25519}, // signed notes want it
	[PURPOSE_TICKET] = {"ticket", SIGN_ED25519},
	[PURPOSE_CONTROL] = {"control", SIGN_ED25519},
	[PURPOSE_VERDICT] = {"verdict", SIGN_ED25519},
	[PURPOSE_CERTIFICATE] = {"certificate", SIGN_P256},
	[PURPOSE_POLICY] = {"policy", SIGN_ED25519},
	[PURPOSE_BUNDLE] = {"bundle", SIGN_ED25519},
};

const char *key_purpose_name(unsigned purpose)
{
	return purpose < PURPOSES ? purposes[purpose].name : NULL;
}

void key_store_clear(struct key_store *s)
{
	for (size_t i = 0; i < PURPOSES; i++)
		sign_key_free(s->keys[i]);
	buf_clear(&s->issuing);
	buf_clear(&s->root);
	memset(s, 0, sizeof *s);
}

// --- the key under which the files are sealed

static bool exists(int folder, const char *name)
{
	struct stat st;
	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct err read_seal(int folder, const char *name, struct secret **out)
{
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_system("opening the seal key %s", name);
	scoped(secret) struct secret *key = secret_new(RAW);
	ENSURE(key, ERR_LIMIT, "no memory for the seal key");
	uint8_t more;
	ssize_t n = read(fd, secret_bytes(key), RAW);
	ENSURE(n == RAW && read(fd, &more, 1) == 0, ERR_CORRUPT,
	       "the seal key %s must hold exactly %d bytes: restore it from a backup", name, RAW);
	*out = key;
	key = NULL;
	return OK;
}

static struct err from_credential(const char *folder, struct secret **out)
{
	scoped(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_system("opening $CREDENTIALS_DIRECTORY");
	return read_seal(fd, credential_file, out);
}

static bool has_credential(const char *folder)
{
	scoped(fd) int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return fd >= 0 && exists(fd, credential_file);
}

static struct err seal_key(int folder, struct secret **out)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	if (has_credential(credentials))
		return from_credential(credentials, out);
	if (exists(folder, seal_file))
		return read_seal(folder, seal_file, out);
	ENSURE(!exists(folder, keys_file) && !exists(folder, root_file), ERR_NOT_FOUND,
	       "keys: %s is missing, and %s or %s are there: restore it from a backup. New keys "
	       "are "
	       "not made, since every device would have to join again",
	       seal_file, keys_file, root_file);
	scoped(secret) struct secret *key = NULL;
	TRY(random_secret(RAW, &key));
	TRY(sealedfile_replace(folder, seal_file, secret_bytes(key), RAW));
	log_notice("first start: the private keys are sealed under %s in the state folder",
		   seal_file);
	*out = key;
	key = NULL;
	return OK;
}

// --- encoding

static struct err put_key(struct buf *out, const struct sign_key *k)
{
	scoped(secret) struct secret *raw = NULL;
	TRY(sign_key_to_raw(k, &raw));
	buf_append(out, secret_bytes(raw), RAW);
	return OK;
}

static void put_certificate(struct buf *out, const struct buf *der)
{
	buf_be16(out, (uint16_t)der->len);
	buf_append(out, der->data, der->len);
}

static struct err take_key(struct cursor *c, enum sign_algorithm a, struct sign_key **out)
{
	scoped(secret) struct secret *raw = secret_new(RAW);
	ENSURE(raw, ERR_LIMIT, "no memory for a key");
	cursor_copy(c, secret_bytes(raw), RAW);
	ENSURE(!c->failed, ERR_CORRUPT, "keys: a private key is cut short");
	return sign_key_from_raw(a, raw, out);
}

static struct err take_certificate(struct cursor *c, struct buf *out)
{
	struct cursor der = cursor_sub(c, cursor_be16(c));
	ENSURE(!c->failed && cursor_left(&der) > 0, ERR_CORRUPT,
	       "keys: a certificate is cut short");
	buf_append(out, der.at, cursor_left(&der));
	return buf_check(out, "certificate");
}

// Appends without ever moving: growing would leave copies of keys behind in freed memory.
static struct err secret_buffer(struct buf *b)
{
	enum { ROOM = 4 * X509_DER_MAX };
	b->limit = ROOM;
	if (!buf_space(b, ROOM))
		return err_make(ERR_LIMIT, "no memory for keys");
	buf_reset(b);
	return OK;
}

static void secret_buffer_clear(struct buf *b)
{
	if (b->data)
		secret_zero(b->data, b->cap);
	buf_clear(b);
}

static struct err encode(const struct key_store *s, struct buf *out)
{
	TRY(secret_buffer(out));
	buf_u8(out, VERSION);
	buf_u8(out, PURPOSES - 1);
	for (unsigned p = 1; p < PURPOSES; p++) {
		buf_u8(out, (uint8_t)p);
		buf_u8(out, (uint8_t)purposes[p].algorithm);
		TRY(put_key(out, s->keys[p]));
	}
	put_certificate(out, &s->issuing);
	put_certificate(out, &s->root);
	return buf_check(out, "keys");
}

static struct err decode(struct key_store *s, const struct secret *plain)
{
	struct cursor c =
		cursor_over(secret_bytes((struct secret *)(uintptr_t)plain), secret_size(plain));
	uint8_t version = cursor_u8(&c), n = cursor_u8(&c);
	ENSURE(version == VERSION, ERR_CORRUPT, "%s is of version %u; this program reads %d",
	       keys_file, version, VERSION);
	for (unsigned i = 0; i < n; i++) {
		uint8_t purpose = cursor_u8(&c), algorithm = cursor_u8(&c);
		ENSURE(key_purpose_name(purpose) && !s->keys[purpose] &&
			       algorithm == purposes[purpose].algorithm,
		       ERR_CORRUPT, "%s has a key of unknown purpose %u", keys_file, purpose);
		TRY(take_key(&c, algorithm, &s->keys[purpose]));
	}
	TRY(take_certificate(&c, &s->issuing));
	TRY(take_certificate(&c, &s->root));
	for (unsigned p = 1; p < PURPOSES; p++)
		ENSURE(s->keys[p], ERR_CORRUPT, "%s lacks the %s key", keys_file, purposes[p].name);
	return cursor_finish(&c, keys_file);
}

static struct err save(const struct key_store *s, int folder, const struct sealedfile_lock *lock)
{
	struct buf plain = {0};
	struct err e = encode(s, &plain);
	if (e.code == ERR_NONE)
		e = sealedfile_write(folder, keys_file, lock, keys_purpose, plain.data, plain.len);
	secret_buffer_clear(&plain);
	return e;
}

// --- the authority

static struct err make_certificate(enum x509_profile profile, const char *name, const char *kind,
				   const struct sign_key *subject, const struct sign_key *authority,
				   const struct buf *issuer, int64_t now_ns, struct buf *der)
{
	char full[65];
	int n = snprintf(full, sizeof full, "%s %s", name, kind);
	ENSURE(n > 0 && (size_t)n < sizeof full, ERR_USAGE,
	       "name: \"%.40s...\" is too long for the authority's certificates; at most 50 "
	       "characters",
	       name);
	struct x509_issue want = {
		.profile = profile,
		.name = full,
		.key = sign_key_public(subject),
		.from_ns = now_ns - 3600 * NS_PER_S, // clocks of devices
		.until_ns = now_ns + (profile == X509_ROOT ? ROOT_DAYS : ISSUING_DAYS) * DAY_NS,
		.issuer = issuer ? issuer->data : NULL,
		.issuer_len = issuer ? issuer->len : 0,
	};
	buf_reset(der);
	return x509_issue(&want, authority, der);
}

static struct err root_save(const struct sign_key *root, const struct buf *certificate, int folder,
			    const struct sealedfile_lock *lock)
{
	struct buf plain = {0};
	struct err e = secret_buffer(&plain);
	buf_u8(&plain, VERSION);
	if (e.code == ERR_NONE)
		e = put_key(&plain, root);
	put_certificate(&plain, certificate);
	if (e.code == ERR_NONE)
		e = buf_check(&plain, root_file);
	if (e.code == ERR_NONE)
		e = sealedfile_write(folder, root_file, lock, root_purpose, plain.data, plain.len);
	secret_buffer_clear(&plain);
	return e;
}

static struct err root_load(int folder, const struct sealedfile_lock *lock, struct sign_key **root,
			    struct buf *certificate)
{
	scoped(secret) struct secret *plain = NULL;
	TRY(sealedfile_read(folder, root_file, lock, root_purpose, &plain));
	struct cursor c = cursor_over(secret_bytes(plain), secret_size(plain));
	ENSURE(cursor_u8(&c) == VERSION, ERR_CORRUPT, "%s is of another version", root_file);
	buf_reset(certificate);
	TRY(take_key(&c, SIGN_P256, root));
	struct err e = take_certificate(&c, certificate);
	if (e.code == ERR_NONE)
		e = cursor_finish(&c, root_file);
	if (e.code != ERR_NONE) {
		sign_key_free(*root);
		*root = NULL;
	}
	return e;
}

static struct err root_open(struct key_store *s, int folder, const char *name,
			    const struct sealedfile_lock *lock, int64_t now_ns,
			    struct sign_key **root)
{
	struct err e = root_load(folder, lock, root, &s->root);
	if (e.code != ERR_NOT_FOUND)
		return e;
	TRY(sign_key_generate(SIGN_P256, root));
	e = make_certificate(X509_ROOT, name, "root", *root, *root, NULL, now_ns, &s->root);
	if (e.code == ERR_NONE)
		e = root_save(*root, &s->root, folder, lock);
	if (e.code != ERR_NONE) {
		sign_key_free(*root);
		*root = NULL;
	}
	return e;
}

static struct err create(struct key_store *s, int folder, const char *name,
			 const struct sealedfile_lock *lock, int64_t now_ns)
{
	struct sign_key *root = NULL;
	TRY(root_open(s, folder, name, lock, now_ns, &root));
	struct err e = OK;
	for (unsigned p = 1; p < PURPOSES && e.code == ERR_NONE; p++)
		e = sign_key_generate(purposes[p].algorithm, &s->keys[p]);
	if (e.code == ERR_NONE)
		e = make_certificate(X509_ISSUING, name, "issuing", s->keys[PURPOSE_CERTIFICATE],
				     root, &s->root, now_ns, &s->issuing);
	sign_key_free(root);
	TRY(e);
	return save(s, folder, lock);
}

// The issuing authority gets a new certificate for its key while the root is at hand.
static struct err renew(struct key_store *s, int folder, const char *name,
			const struct sealedfile_lock *lock, int64_t now_ns)
{
	struct x509_identity issuing;
	TRY(err_within(x509_identify(s->issuing.data, s->issuing.len, &issuing), "%s", keys_file));
	if (issuing.until_ns - now_ns > RENEW_DAYS * DAY_NS)
		return OK;
	struct sign_key *root = NULL;
	scoped(buf) struct buf same = {0};
	struct err e = root_load(folder, lock, &root, &same);
	if (e.code == ERR_NOT_FOUND) {
		char until[CLOCK_TEXT_MAX];
		log_warning("the issuing authority ends %s: put %s back into the state folder and "
			    "start again",
			    clock_format(issuing.until_ns, until), root_file);
		return OK;
	}
	TRY(e);
	e = make_certificate(X509_ISSUING, name, "issuing", s->keys[PURPOSE_CERTIFICATE], root,
			     &s->root, now_ns, &s->issuing);
	sign_key_free(root);
	TRY(e);
	log_notice("the issuing authority was renewed");
	return save(s, folder, lock);
}

struct err key_store_open(struct key_store *s, int folder, const char *name, int64_t now_ns)
{
	scoped(secret) struct secret *seal = NULL;
	scoped(secret) struct secret *plain = NULL;
	TRY(seal_key(folder, &seal));
	struct sealedfile_lock lock = {.key = seal};
	struct err e = sealedfile_read(folder, keys_file, &lock, keys_purpose, &plain);
	if (e.code == ERR_NOT_FOUND)
		return create(s, folder, name, &lock, now_ns);
	TRY(err_within(e, "restore the state folder of keys from a backup; nothing is made anew"));
	TRY(decode(s, plain));
	return renew(s, folder, name, &lock, now_ns);
}
