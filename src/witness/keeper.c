// SPDX-License-Identifier: Apache-2.0

#include "witness/keeper.h"

#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/crypto/random.h"
#include "lib/crypto/sealedfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RAW = 32, WAIT_TRIES = 100, WAIT_NS = 50000000 };

static const char key_file[] = "key.sealed", key_purpose[] = "gemel witness key v1";
static const char seal_file[] = "seal.key", credential_file[] = "gemel-witness",
		  pins_file[] = "pins";

// --- folder

struct err keeper_folder(const struct witness_conf *conf, int *out)
{
	if (mkdir(conf->state, 0700) != 0 && errno != EEXIST)
		return err_system("state folder %s", conf->state);
	scoped(fd) int fd = open(conf->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_system("state folder %s", conf->state);
	if (geteuid() == 0 && fchown(fd, (uid_t)conf->uid, (gid_t)conf->uid) != 0)
		return err_system("giving %s to user %lld", conf->state, (long long)conf->uid);
	if (fchmod(fd, 0700) != 0)
		return err_system("closing %s to others", conf->state);
	*out = fd;
	fd = -1;
	return OK;
}

static bool exists(int folder, const char *name)
{
	struct stat st;
	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

// --- the key

static struct err read_raw(int folder, const char *name, struct secret **out)
{
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_system("opening the seal key %s", name);
	scoped(secret) struct secret *key = secret_new(RAW);
	uint8_t more;
	ENSURE(key, ERR_LIMIT, "no memory for the seal key");
	ENSURE(read(fd, secret_bytes(key), RAW) == RAW && read(fd, &more, 1) == 0, ERR_CORRUPT,
	       "the seal key %s must hold exactly %d bytes: restore it from a backup", name, RAW);
	*out = key;
	key = NULL;
	return OK;
}

struct err keeper_credential(struct secret **out)
{
	const char *path = getenv("CREDENTIALS_DIRECTORY");
	*out = NULL;
	if (!path)
		return OK;
	scoped(fd) int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_system("opening $CREDENTIALS_DIRECTORY");
	return exists(folder, credential_file) ? read_raw(folder, credential_file, out) : OK;
}

static struct err seal_key(int folder, struct secret **out)
{
	if (exists(folder, seal_file))
		return read_raw(folder, seal_file, out);
	ENSURE(!exists(folder, key_file), ERR_NOT_FOUND,
	       "%s is missing, and %s is there: restore it from a backup", seal_file, key_file);
	scoped(secret) struct secret *key = NULL;
	TRY(random_secret(RAW, &key));
	TRY(sealedfile_replace(folder, seal_file, secret_bytes(key), RAW));
	*out = key;
	key = NULL;
	return OK;
}

static struct err load_key(struct keeper *k, const struct secret *seal)
{
	const struct sealedfile_lock lock = {.key = seal};
	scoped(secret) struct secret *raw = NULL;
	TRY(sealedfile_read(k->folder, key_file, &lock, key_purpose, &raw));
	return sign_key_from_raw(SIGN_ED25519, raw, &k->key);
}

static struct err make_key(struct keeper *k, const struct secret *seal)
{
	const struct sealedfile_lock lock = {.key = seal};
	scoped(secret) struct secret *raw = NULL;
	TRY(sign_key_generate(SIGN_ED25519, &k->key));
	TRY(sign_key_to_raw(k->key, &raw));
	return sealedfile_write(k->folder, key_file, &lock, key_purpose, secret_bytes(raw),
				secret_size(raw));
}

static struct err sign(void *ctx, const void *message, size_t n, uint8_t out[NOTE_SIGNATURE])
{
	struct keeper *k = ctx;
	struct sign_signature s;
	TRY(sign_make(k->key, message, n, &s));
	ENSURE(s.len == NOTE_SIGNATURE, ERR_INTERNAL, "a signature of %zu bytes", s.len);
	memcpy(out, s.bytes, NOTE_SIGNATURE);
	return OK;
}

// --- opening

// One process at a time makes the key, and one serves. Who only asks for the key waits until it is
// made.
static struct err hold(struct keeper *k, bool serve)
{
	for (int i = 0; i < WAIT_TRIES; i++) {
		if (flock(k->folder, LOCK_EX | LOCK_NB) == 0)
			return OK;
		if (errno != EWOULDBLOCK)
			return err_system("holding the state folder");
		if (serve)
			break;
		if (exists(k->folder, key_file))
			return OK;
		nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
	}
	return err_make(ERR_BUSY, "another gemel-witness uses %s", k->conf->state);
}

static struct err open_all(struct keeper *k, const struct secret *credential)
{
	scoped(secret) struct secret *own = NULL;
	bool key = exists(k->folder, key_file), pins = exists(k->folder, pins_file);
	TRY(pins_open(k->folder, pins_file, &k->pins));
	ENSURE(!key || pins, ERR_CORRUPT,
	       "%s is missing: it says what was cosigned; restore it, or remove %s and be a new "
	       "witness",
	       pins_file, key_file);
	ENSURE(key || pins_count(k->pins) == 0, ERR_CORRUPT,
	       "%s is missing, and %s is there: restore it, or remove both and be a new witness",
	       key_file, pins_file);
	if (!pins)
		TRY(pins_keep(k->pins)); // before the key: a key without pins is refused
	if (!credential)
		TRY(seal_key(k->folder, &own));
	const struct secret *seal = credential ? credential : own;
	TRY(key ? load_key(k, seal) : make_key(k, seal));
	TRY(note_key_make(k->conf->name, NOTE_COSIGNATURE, sign_key_public(k->key)->bytes,
			  &k->signer.key));
	k->signer.sign = sign;
	k->signer.ctx = k;
	return OK;
}

struct err keeper_open(struct keeper *k, int folder, const struct witness_conf *conf,
		       const struct secret *credential, bool serve)
{
	*k = (struct keeper){.folder = folder, .conf = conf};
	struct err e = serve || !exists(folder, key_file) ? hold(k, serve) : OK;
	if (e.code == ERR_NONE)
		e = open_all(k, credential);
	if (e.code != ERR_NONE)
		keeper_close(k);
	return e;
}

void keeper_close(struct keeper *k)
{
	pins_close(k->pins);
	sign_key_free(k->key);
	k->pins = NULL;
	k->key = NULL;
}

// --- judging

static void say(struct keeper_answer *out, unsigned status, const char *text)
{
	out->status = status;
	out->type = "text/plain; charset=utf-8";
	buf_reset(&out->body);
	buf_printf(&out->body, "%s\n", text);
}

static void say_size(struct keeper_answer *out, uint64_t size)
{
	out->status = 409;
	out->type = "text/x.tlog.size";
	buf_printf(&out->body, "%llu\n", (unsigned long long)size);
}

// One of the origin's keys must have signed; a bad signature of any of them refuses the note.
static bool is_signed(const struct keeper *k, const struct note *note, const char *origin,
		      bool *known, struct err *why)
{
	const struct witness_log *logs = k->conf->logs.items;
	bool any = false;
	*known = false;
	*why = err_make(ERR_AUTH, "no key of this log signed the checkpoint");
	for (size_t i = 0; i < k->conf->logs.n; i++) {
		bool is = false;
		if (strcmp(logs[i].origin, origin) != 0)
			continue;
		*known = true;
		struct err e = note_verify(note, &k->conf->keys[i], &is, NULL);
		if (e.code != ERR_NONE) {
			*why = e;
			return false;
		}
		any |= is;
	}
	return any;
}

// The checkpoint is the log's own. Does it follow from what was cosigned before?
static void follow(struct keeper *k, const struct witness_request *r, const struct note *note,
		   const struct checkpoint *c, uint64_t now_s, struct keeper_answer *out)
{
	struct checkpoint seen = {.size = 0};
	bool any = pins_find(k->pins, c->origin, &seen);
	if (r->old != seen.size) {
		say_size(out, seen.size);
		return;
	}
	if (any && r->old == c->size && !sabotaged("witness") &&
	    !merkle_equal(&seen.root, &c->root)) {
		log_warning("log %s forked: two roots at size %llu", c->origin,
			    (unsigned long long)c->size);
		say_size(out, seen.size);
		return;
	}
	if (r->proof.n && (r->old == 0 || r->old == c->size)) {
		say(out, 422, "no proof is needed here, and so none is allowed");
		return;
	}
	struct err e = pins_advance(k->pins, c, &r->proof); // checked, then on disk
	if (e.code == ERR_NONE)
		e = note_sign(&k->signer, now_s, note->text, note->text_len, &out->body);
	if (e.code == ERR_CORRUPT || e.code == ERR_CONFLICT) {
		log_warning("a checkpoint is refused: %s", e.text);
		say(out, 422, e.text);
	} else if (e.code != ERR_NONE) {
		log_error("a checkpoint cannot be cosigned: %s", e.text);
		say(out, 500, "the witness cannot keep what it sees; its operator is told");
	} else {
		out->status = 200;
		out->type = "text/plain; charset=utf-8";
		log_debug("cosigned %s at %llu", c->origin, (unsigned long long)c->size);
	}
}

void keeper_judge(struct keeper *k, const uint8_t *body, size_t n, uint64_t now_s,
		  struct keeper_answer *out)
{
	struct witness_request r;
	struct note note;
	struct checkpoint c;
	bool known;
	struct err e = witness_request_parse((const char *)body, n, &r);
	if (e.code == ERR_NONE)
		e = note_parse(r.checkpoint, r.checkpoint_len, &note);
	if (e.code == ERR_NONE)
		e = checkpoint_parse(note.text, note.text_len, &c);
	if (e.code != ERR_NONE) {
		say(out, 400, e.text);
		return;
	}
	bool good = is_signed(k, &note, c.origin, &known, &e);
	if (!known)
		say(out, 404, "this log is not in the witness's configuration");
	else if (!good)
		say(out, 403, e.text);
	else if (r.old > c.size)
		say(out, 400, "the old size is larger than the checkpoint's");
	else
		follow(k, &r, &note, &c, now_s, out);
}
