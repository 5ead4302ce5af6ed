// SPDX-License-Identifier: Apache-2.0
// The digest at the end is no protection against someone who writes the file on purpose: it tells a
// damaged disk from a log's crime, which would otherwise look alike.

#include "lib/tlog/pins.h"

#include "lib/base/cursor.h"
#include "lib/base/sabotage.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/sealedfile.h"
#include "lib/tlog/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	DIGEST_LINE = 7 + 2 * HASH_SIZE + 1, // "sha256 ", hexadecimal, newline
	LINE_MAX_BYTES = 19 + 1 + 44 + 1 + NOTE_NAME_MAX + 1,
	FILE_MAX = 64 + PINS_MAX * LINE_MAX_BYTES + DIGEST_LINE,
};

static const char title[] = "gemel pins v1";

struct pins {
	int folder;
	char *name;
	struct checkpoint *at;
	size_t n;
};

// --- the file

static void write_line(const struct checkpoint *c, struct buf *out)
{
	buf_printf(out, "%" PRIu64 " ", c->size);
	text_base64_write(c->root.bytes, MERKLE_HASH, out);
	buf_printf(out, " %s\n", c->origin);
}

static struct err save(const struct pins *p, const struct checkpoint *at, size_t n)
{
	scoped(buf) struct buf b = {.limit = FILE_MAX};
	uint8_t digest[HASH_SIZE];
	char hex[HASH_HEX];
	buf_printf(&b, "%s\n", title);
	for (size_t i = 0; i < n; i++)
		write_line(&at[i], &b);
	hash_sha256(b.data, b.len, digest);
	buf_printf(&b, "sha256 %s\n", hash_hex(digest, sizeof digest, hex));
	TRY(buf_check(&b, p->name));
	return sealedfile_replace(p->folder, p->name, b.data, b.len);
}

static struct err read_file(int folder, const char *name, struct buf *out, bool *there)
{
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*there = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? OK : err_system("%s", name);
	for (;;) {
		uint8_t block[4096];
		ssize_t n = read(fd, block, sizeof block);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("%s", name);
		if (n == 0)
			return OK;
		buf_append(out, block, (size_t)n);
		ENSURE(!out->failed, ERR_CORRUPT, "%s: larger than %d bytes", name, FILE_MAX);
	}
}

static bool read_line(struct cursor *c, struct checkpoint *out)
{
	const char *line;
	size_t n, len = 0;
	*out = (struct checkpoint){0};
	if (!text_line(c, &line, &n))
		return false;
	const char *root = memchr(line, ' ', n), *origin;
	if (!root || !text_decimal(line, (size_t)(root++ - line), &out->size))
		return false;
	n -= (size_t)(root - line);
	origin = memchr(root, ' ', n);
	if (!origin ||
	    !text_base64_read(root, (size_t)(origin - root), out->root.bytes, MERKLE_HASH, &len))
		return false;
	n -= (size_t)(++origin - root);
	if (len != MERKLE_HASH || n == 0 || n > NOTE_NAME_MAX || !text_clean(origin, n))
		return false;
	memcpy(out->origin, origin, n);
	return true;
}

static const struct checkpoint *find(const struct pins *p, const char *origin)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->at[i].origin, origin) == 0)
			return &p->at[i];
	return NULL;
}

static struct err room(struct pins *p)
{
	struct checkpoint *more = realloc(p->at, (p->n + 1) * sizeof *more);
	ENSURE(more, ERR_LIMIT, "%s: out of memory", p->name);
	p->at = more;
	return OK;
}

static struct err load(struct pins *p, const struct buf *b)
{
	const char *line;
	size_t n;
	uint8_t digest[HASH_SIZE], said[HASH_SIZE];
	char hex[HASH_HEX];
	ENSURE(b->len > DIGEST_LINE, ERR_CORRUPT, "%s: cut short", p->name);
	size_t body = b->len - DIGEST_LINE;
	const char *last = (const char *)b->data + body;
	memcpy(hex, last + 7, 2 * HASH_SIZE);
	hex[2 * HASH_SIZE] = 0;
	hash_sha256(b->data, body, digest);
	ENSURE(memcmp(last, "sha256 ", 7) == 0 && last[DIGEST_LINE - 1] == '\n' &&
		       hash_unhex(hex, said, sizeof said) &&
		       memcmp(said, digest, sizeof digest) == 0,
	       ERR_CORRUPT, "%s: was altered: its digest does not fit", p->name);
	struct cursor c = cursor_over(b->data, body);
	ENSURE(text_line(&c, &line, &n) && n == sizeof title - 1 && memcmp(line, title, n) == 0,
	       ERR_CORRUPT, "%s: line 1 must be %s", p->name, title);
	while (cursor_left(&c)) {
		struct checkpoint next;
		ENSURE(read_line(&c, &next) && p->n < PINS_MAX && !find(p, next.origin),
		       ERR_CORRUPT, "%s: line %zu must be a size, a root and an origin, once each",
		       p->name, p->n + 2);
		TRY(room(p));
		p->at[p->n++] = next;
	}
	return OK;
}

struct err pins_open(int folder, const char *name, struct pins **out)
{
	scoped(buf) struct buf b = {.limit = FILE_MAX};
	bool there = false;
	struct pins *p = calloc(1, sizeof *p);
	ENSURE(p, ERR_LIMIT, "%s: out of memory", name);
	p->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	p->name = strdup(name);
	struct err e = p->folder < 0 ? err_system("%s: folder", name) : OK;
	if (e.code == ERR_NONE && !p->name)
		e = err_make(ERR_LIMIT, "%s: out of memory", name);
	if (e.code == ERR_NONE)
		e = read_file(folder, name, &b, &there);
	if (e.code == ERR_NONE && there)
		e = load(p, &b);
	if (e.code != ERR_NONE) {
		pins_close(p);
		return e;
	}
	*out = p;
	return OK;
}

void pins_close(struct pins *p)
{
	if (!p)
		return;
	if (p->folder >= 0)
		close(p->folder);
	free(p->name);
	free(p->at);
	free(p);
}

size_t pins_count(const struct pins *p)
{
	return p->n;
}

struct err pins_keep(const struct pins *p)
{
	return save(p, p->at, p->n);
}

// --- what was seen

bool pins_find(const struct pins *p, const char *origin, struct checkpoint *out)
{
	const struct checkpoint *c = find(p, origin);
	if (c)
		*out = *c;
	return c != NULL;
}

struct err pins_check(const struct pins *p, const struct checkpoint *c,
		      const struct merkle_proof *proof)
{
	const struct checkpoint *seen = find(p, c->origin);
	struct merkle_hash empty;
	merkle_empty(&empty);
	ENSURE(c->size || merkle_equal(&c->root, &empty), ERR_CORRUPT,
	       "log %s: size 0 with a root that is not the empty tree's", c->origin);
	if (!seen)
		return OK;
	ENSURE(c->size >= seen->size, ERR_CONFLICT,
	       "log %s: rolled back to %" PRIu64 "; %" PRIu64 " was seen", c->origin, c->size,
	       seen->size);
	if (c->size == seen->size) {
		ENSURE(merkle_equal(&c->root, &seen->root), ERR_CORRUPT,
		       "log %s: forked: another root was seen at size %" PRIu64, c->origin,
		       c->size);
		return OK;
	}
	ENSURE(proof, ERR_BUSY,
	       "log %s: a consistency proof from %" PRIu64 " to %" PRIu64 " is needed", c->origin,
	       seen->size, c->size);
	struct err e = merkle_check_consistency(seen->size, &seen->root, c->size, &c->root,
						proof->at, proof->n);
	return e.code == ERR_NONE ? OK : err_within(e, "log %s: forked", c->origin);
}

struct err pins_advance(struct pins *p, const struct checkpoint *c,
			const struct merkle_proof *proof)
{
	if (!sabotaged("witness"))
		TRY(pins_check(p, c, proof));
	const struct checkpoint *seen = find(p, c->origin);
	if (seen && seen->size == c->size)
		return OK;
	size_t at = seen ? (size_t)(seen - p->at) : p->n, n = seen ? p->n : p->n + 1;
	ENSURE(n <= PINS_MAX, ERR_LIMIT, "%s: %d logs are remembered, and no more", p->name,
	       PINS_MAX);
	if (!seen)
		TRY(room(p));
	struct checkpoint before = seen ? *seen : (struct checkpoint){0};
	p->at[at] = *c;
	p->at[at].extended = false;
	struct err e = save(p, p->at, n);
	if (e.code == ERR_NONE)
		p->n = n;
	else
		p->at[at] = before; // nothing may be answered on the ground of what is not on disk
	return e;
}
