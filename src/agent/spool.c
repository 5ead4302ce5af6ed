// SPDX-License-Identifier: Apache-2.0

#include "agent/spool.h"

#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENT_HEAD = 16, CHECKED = 36 };
static const char magic[] = "GEMELSP1";

struct segment {
	int fd;
	uint64_t number, end; // number 0: empty
};

struct spool {
	struct segment segments[SPOOL_SEGMENTS]; // by number modulo
	int acked_fd;
	uint64_t segment_bytes;
	uint64_t oldest, newest; // segment numbers; newest is written to
	uint64_t next_record, acked_record;
	struct spool_place acked; // just behind the acknowledged one
	struct spool_counts counts;
	struct buf scratch;
};

static struct segment *at(const struct spool *s, uint64_t number)
{
	return (struct segment *)(uintptr_t)&s->segments[number % SPOOL_SEGMENTS];
}

// --- one record

static void check_of(const uint8_t head[CHECKED], const uint8_t *payload, size_t n, uint8_t out[8])
{
	const struct hash_part parts[] = {{head, CHECKED}, {payload, n}};
	uint8_t hash[HASH_SIZE];
	hash_parts(parts, 2, hash);
	memcpy(out, hash, 8);
}

static struct err head_read(struct cursor *c, struct spool_record *out, const uint8_t **check)
{
	*out = (struct spool_record){.len = cursor_be32(c)};
	unsigned kind = cursor_u8(c), zeros = (unsigned)cursor_be(c, 3);
	out->number = cursor_be64(c);
	cursor_copy(c, out->key_id, 8);
	out->seq = cursor_be64(c);
	out->updates = cursor_be32(c);
	*check = cursor_take(c, 8);
	out->kind = (enum spool_kind)kind;
	ENSURE(*check && !zeros && (kind == SPOOL_BATCH || kind == SPOOL_KEY) &&
		       out->len <= SPOOL_RECORD_MAX,
	       ERR_CORRUPT, "spool: a broken record");
	return OK;
}

struct err spool_record_read(struct cursor *c, struct spool_record *out)
{
	const uint8_t *head = c->at, *check;
	uint8_t want[8];
	TRY(head_read(c, out, &check));
	out->bytes = cursor_take(c, out->len);
	ENSURE(out->bytes, ERR_CORRUPT, "spool: a record of %u bytes is cut short", out->len);
	check_of(head, out->bytes, out->len, want);
	ENSURE(memcmp(want, check, 8) == 0, ERR_CORRUPT, "spool: record %llu was changed",
	       (unsigned long long)out->number);
	return OK;
}

// --- reading

static struct err read_at(int fd, uint64_t offset, uint8_t *out, size_t n)
{
	ssize_t got = pread(fd, out, n, (off_t)offset);
	if (got < 0)
		return err_system("spool");
	ENSURE((size_t)got == n, ERR_CORRUPT, "spool: a segment is cut short");
	return OK;
}

static struct err head_at(const struct spool *s, const struct spool_place *p,
			  struct spool_record *out)
{
	uint8_t bytes[SPOOL_HEAD];
	const uint8_t *check;
	TRY(read_at(at(s, p->segment)->fd, p->offset, bytes, sizeof bytes));
	struct cursor c = cursor_over(bytes, sizeof bytes);
	return head_read(&c, out, &check);
}

// To the next segment that has something, or to the end of the newest.
static bool settle(const struct spool *s, struct spool_place *p)
{
	if (p->segment < s->oldest)
		*p = (struct spool_place){s->oldest, SEGMENT_HEAD};
	while (p->offset + SPOOL_HEAD > at(s, p->segment)->end) {
		if (p->segment >= s->newest)
			return false;
		*p = (struct spool_place){p->segment + 1, SEGMENT_HEAD};
	}
	return true;
}

struct err spool_next(struct spool *s, struct spool_place *p, struct buf *bytes,
		      struct spool_record *out, bool *more)
{
	*more = settle(s, p);
	if (!*more)
		return OK;
	TRY(head_at(s, p, out));
	buf_reset(bytes);
	size_t n = SPOOL_HEAD + out->len;
	uint8_t *room = buf_space(bytes, n);
	ENSURE(room, ERR_LIMIT, "out of memory");
	struct err e = read_at(at(s, p->segment)->fd, p->offset, room, n);
	struct cursor c = cursor_over(room, n);
	if (e.code == ERR_NONE)
		e = spool_record_read(&c, out);
	if (e.code == ERR_CORRUPT) { // the rest of this segment cannot be told apart any more
		at(s, p->segment)->end = p->offset;
		return e;
	}
	p->offset += n;
	return e;
}

struct spool_place spool_unacked(const struct spool *s)
{
	return s->acked;
}

uint64_t spool_acked(const struct spool *s)
{
	return s->acked_record;
}

struct err spool_key(struct spool *s, const uint8_t key_id[8], struct buf *out)
{
	struct spool_place p = {s->oldest, SEGMENT_HEAD};
	struct spool_record r;
	scoped(buf) struct buf bytes = {0};
	while (s->newest && settle(s, &p)) {
		TRY(head_at(s, &p, &r));
		if (r.kind == SPOOL_KEY && memcmp(r.key_id, key_id, 8) == 0) {
			bool more;
			TRY(spool_next(s, &p, &bytes, &r, &more));
			buf_append(out, r.bytes, r.len);
			return buf_check(out, "batch key");
		}
		p.offset += SPOOL_HEAD + r.len;
	}
	return err_make(ERR_NOT_FOUND, "spool: a batch key is not there any more");
}

// --- acknowledging

static void acked_write(struct spool *s)
{
	uint8_t bytes[16], hash[HASH_SIZE];
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(s->acked_record >> (56 - 8 * i));
	hash_sha256(bytes, 8, hash);
	memcpy(bytes + 8, hash, 8);
	if (pwrite(s->acked_fd, bytes, sizeof bytes, 0) != sizeof bytes)
		log_warning("spool: what was acknowledged could not be noted");
}

static uint64_t acked_read(const struct spool *s)
{
	uint8_t bytes[16], hash[HASH_SIZE];
	if (pread(s->acked_fd, bytes, sizeof bytes, 0) != sizeof bytes)
		return 0;
	hash_sha256(bytes, 8, hash);
	struct cursor c = cursor_over(bytes, 8);
	return memcmp(bytes + 8, hash, 8) == 0 ? cursor_be64(&c) : 0;
}

static void forget(struct spool *s, const struct spool_record *r)
{
	s->counts.bytes -= SPOOL_HEAD + r->len;
	s->counts.batches -= r->kind == SPOOL_BATCH;
}

// Segments that are acknowledged as a whole give their room back.
static void free_segments(struct spool *s)
{
	while (s->oldest < s->acked.segment) {
		struct segment *g = at(s, s->oldest++);
		if (ftruncate(g->fd, 0) < 0)
			log_debug("spool: a segment could not be emptied");
		g->number = g->end = 0;
	}
}

struct err spool_ack(struct spool *s, const struct spool_place *sent, const uint8_t key_id[8],
		     uint64_t seq)
{
	struct spool_place p = s->acked;
	struct spool_record r;
	bool found = false;
	while (!found && settle(s, &p) &&
	       (p.segment < sent->segment ||
		(p.segment == sent->segment && p.offset < sent->offset))) {
		TRY(head_at(s, &p, &r));
		found = r.kind == SPOOL_BATCH && r.seq == seq && memcmp(r.key_id, key_id, 8) == 0;
		p.offset += SPOOL_HEAD + r.len;
	}
	ENSURE(found, ERR_NOT_FOUND, "batch %llu was acknowledged and is not waiting for it",
	       (unsigned long long)seq);
	uint64_t last = r.number;
	for (struct spool_place q = s->acked; settle(s, &q);) {
		TRY(head_at(s, &q, &r));
		q.offset += SPOOL_HEAD + r.len;
		forget(s, &r);
		if (r.number >= last)
			break;
	}
	s->acked = p;
	s->acked_record = last;
	acked_write(s);
	free_segments(s);
	return OK;
}

// --- writing

// The oldest segment's turn has come to be written over.
static void drop_oldest(struct spool *s)
{
	struct spool_place p = s->acked;
	struct spool_record r;
	bool any = false;
	while (p.segment <= s->oldest && settle(s, &p) && p.segment <= s->oldest) {
		struct err e = head_at(s, &p, &r);
		if (e.code != ERR_NONE)
			break;
		p.offset += SPOOL_HEAD + r.len;
		forget(s, &r);
		if (r.kind != SPOOL_BATCH)
			continue;
		s->counts.lost_updates += r.updates;
		s->counts.lost_batches++;
		if (!any)
			s->counts.lost_from = r.seq;
		s->counts.lost_to = r.seq;
		any = true;
	}
	if (any)
		log_warning("spool is full: %llu batches were dropped so far",
			    (unsigned long long)s->counts.lost_batches);
	s->oldest++;
	if (s->acked.segment < s->oldest)
		s->acked = (struct spool_place){s->oldest, SEGMENT_HEAD};
}

static struct err write_at(int fd, uint64_t offset, const void *bytes, size_t n)
{
	ssize_t done = pwrite(fd, bytes, n, (off_t)offset);
	if (done < 0)
		return err_system("spool");
	ENSURE((size_t)done == n, ERR_IO, "spool: the disk is full");
	return OK;
}

static struct err turn(struct spool *s)
{
	uint64_t number = s->newest + 1;
	uint8_t head[SEGMENT_HEAD];
	if (s->newest && number - s->oldest >= SPOOL_SEGMENTS)
		drop_oldest(s);
	struct segment *g = at(s, number);
	memcpy(head, magic, 8);
	for (int i = 0; i < 8; i++)
		head[8 + i] = (uint8_t)(number >> (56 - 8 * i));
	if (ftruncate(g->fd, 0) < 0)
		return err_system("spool");
	TRY(write_at(g->fd, 0, head, sizeof head));
	*g = (struct segment){g->fd, number, SEGMENT_HEAD};
	s->newest = number;
	if (!s->oldest)
		s->oldest = number;
	if (!s->acked.segment)
		s->acked = (struct spool_place){number, SEGMENT_HEAD};
	return OK;
}

bool spool_turns(const struct spool *s, size_t n)
{
	return !s->newest || at(s, s->newest)->end + SPOOL_HEAD + n > s->segment_bytes;
}

struct err spool_append(struct spool *s, const struct spool_record *r)
{
	ENSURE(r->len <= SPOOL_RECORD_MAX && SEGMENT_HEAD + SPOOL_HEAD + r->len <= s->segment_bytes,
	       ERR_LIMIT, "spool: a batch of %u bytes is too large", r->len);
	if (spool_turns(s, r->len))
		TRY(turn(s));
	uint8_t check[8];
	buf_reset(&s->scratch);
	buf_be32(&s->scratch, r->len);
	buf_be32(&s->scratch, (uint32_t)r->kind << 24);
	buf_be64(&s->scratch, s->next_record);
	buf_append(&s->scratch, r->key_id, 8);
	buf_be64(&s->scratch, r->seq);
	buf_be32(&s->scratch, r->updates);
	TRY(buf_check(&s->scratch, "spool"));
	check_of(s->scratch.data, r->bytes, r->len, check);
	buf_append(&s->scratch, check, 8);
	buf_append(&s->scratch, r->bytes, r->len);
	TRY(buf_check(&s->scratch, "spool"));
	struct segment *g = at(s, s->newest);
	TRY(write_at(g->fd, g->end, s->scratch.data, s->scratch.len));
	g->end += s->scratch.len;
	s->next_record++;
	s->counts.bytes += s->scratch.len;
	s->counts.batches += r->kind == SPOOL_BATCH;
	return OK;
}

void spool_count(const struct spool *s, struct spool_counts *out)
{
	*out = s->counts;
}

// --- opening

static struct err segment_load(struct segment *g)
{
	uint8_t head[SEGMENT_HEAD];
	struct stat st;
	if (fstat(g->fd, &st) < 0)
		return err_system("spool");
	if (pread(g->fd, head, sizeof head, 0) != sizeof head || memcmp(head, magic, 8) != 0)
		return OK; // never used, or torn at its very start
	struct cursor c = cursor_over(head + 8, 8);
	g->number = cursor_be64(&c);
	g->end = (uint64_t)st.st_size;
	return OK;
}

// Keeps the run of segments that ends with the newest: an older one out of line is of another life.
static void order_segments(struct spool *s)
{
	for (int i = 0; i < SPOOL_SEGMENTS; i++) {
		struct segment *g = &s->segments[i];
		if (g->number % SPOOL_SEGMENTS != (uint64_t)i)
			g->number = g->end = 0;
		if (g->number > s->newest)
			s->newest = g->number;
	}
	s->oldest = s->newest;
	while (s->oldest > 1 && at(s, s->oldest - 1)->number == s->oldest - 1)
		s->oldest--;
}

static struct err recover(struct spool *s)
{
	struct spool_record r;
	scoped(buf) struct buf bytes = {0};
	struct spool_place p = {s->oldest, SEGMENT_HEAD};
	uint64_t acked = acked_read(s);
	s->acked = p;
	s->acked_record = acked;
	s->next_record = acked + 1;
	for (bool more = s->newest > 0; more;) {
		struct err e = spool_next(s, &p, &bytes, &r, &more);
		if (e.code == ERR_CORRUPT) {
			log_warning("%s: what follows it in its segment is lost", e.text);
			more = true;
			continue;
		}
		TRY(e);
		if (!more)
			break;
		if (r.number >= s->next_record)
			s->next_record = r.number + 1;
		if (r.number <= acked) {
			s->acked = p;
			continue;
		}
		s->counts.bytes += SPOOL_HEAD + r.len;
		s->counts.batches += r.kind == SPOOL_BATCH;
	}
	return OK;
}

static int open_in(int folder, const char *name)
{
	return openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

struct err spool_open(int folder, uint64_t limit, struct spool **out)
{
	struct spool *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "out of memory");
	s->segment_bytes = limit / SPOOL_SEGMENTS;
	s->scratch.limit = SPOOL_HEAD + SPOOL_RECORD_MAX;
	s->acked_fd = open_in(folder, "acked");
	struct err e = s->acked_fd < 0 ? err_system("spool/acked") : OK;
	for (int i = 0; i < SPOOL_SEGMENTS; i++) {
		char name[8];
		snprintf(name, sizeof name, "%02d", i);
		s->segments[i].fd = open_in(folder, name);
		if (e.code == ERR_NONE && s->segments[i].fd < 0)
			e = err_system("spool/%s", name);
		if (e.code == ERR_NONE)
			e = segment_load(&s->segments[i]);
	}
	if (e.code == ERR_NONE) {
		order_segments(s);
		e = recover(s);
	}
	if (e.code == ERR_NONE && s->newest)
		e = turn(s); // never behind a torn record
	if (e.code != ERR_NONE) {
		spool_close(s);
		return e;
	}
	*out = s;
	return OK;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	for (int i = 0; i < SPOOL_SEGMENTS; i++)
		if (s->segments[i].fd >= 0)
			close(s->segments[i].fd);
	if (s->acked_fd >= 0)
		close(s->acked_fd);
	buf_clear(&s->scratch);
	free(s);
}
