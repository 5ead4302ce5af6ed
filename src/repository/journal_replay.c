// SPDX-License-Identifier: Apache-2.0
// Reading the journal back. A frame that does not open at the very end of the last segment was
// being written when power went: its batches were never acknowledged. It is cut off, and told all
// the same, because an attacker could make it look so; the devices' chains then show the gap.
// The start that finds it so writes into its own first segment where the good frames ended.
// Everything else that does not open is damage: reported, never silently dropped, and reading goes
// on behind it. X.2011 8.3.1-1, 8.3.3-9.
#include "lib/crypto/aead.h"
#include "repository/commit.h"
#include "repository/journal_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct err journal_frame(const uint8_t *plain, size_t n, uint64_t segment,
			 const struct journal_reader *r)
{
	struct cursor c = cursor_over(plain, n);
	while (cursor_left(&c)) {
		uint8_t kind = cursor_u8(&c);
		uint32_t len = cursor_be32(&c);
		const uint8_t *bytes = cursor_take(&c, len);
		ENSURE(bytes, ERR_CORRUPT, "journal: a record of %u bytes is cut", len);
		TRY(r->record(r->ctx, segment, (enum journal_kind)kind, bytes, len));
	}
	return OK;
}

struct replay {
	struct journal *j;
	const struct journal_reader *r;
	uint64_t number;
	bool last; // of the segments
	const uint8_t *bytes;
	size_t size;
	struct seal_segment *segment;
	bool ended, begun; // JOURNAL_END, any record was read
};

static void damage(struct replay *p, uint64_t offset, uint64_t bytes, bool torn, const char *what)
{
	p->r->damage(p->r->ctx, &(struct journal_damage){p->number, offset, bytes, torn, what});
}

// What is known of a segment's end, when it is not known to be good: told now, or when the next
// segment does not vouch for it.
static void settle_cut(struct journal *j, const struct journal_reader *r, uint64_t before,
		       uint64_t end)
{
	struct journal_damage d = j->cut, none = j->headless;
	j->cut.segment = j->headless.segment = 0;
	if (d.segment && (d.segment != before || d.offset != end))
		r->damage(r->ctx, &d);
	if (none.segment && none.segment <= before) // else a start has passed over it
		r->damage(r->ctx, &none);
}

static struct err each_record(void *ctx, uint64_t segment, enum journal_kind kind,
			      const uint8_t *bytes, size_t n)
{
	struct replay *p = ctx;
	bool first = !p->begun;
	struct cursor c = cursor_over(bytes, n);
	p->begun = true;
	if (kind == JOURNAL_BEGIN && first) {
		uint64_t before = cursor_be64(&c), end = cursor_be64(&c);
		settle_cut(p->j, p->r, before, end);
		return cursor_finish(&c, "journal: BEGIN");
	}
	if (first)
		settle_cut(p->j, p->r, 0, 0);
	if (kind == JOURNAL_END) {
		p->ended = true;
		return OK;
	}
	return p->r->record(p->r->ctx, segment, kind, bytes, n);
}

static struct err open_segment(struct replay *p)
{
	struct cursor c = cursor_over(p->bytes, p->size);
	const uint8_t *magic = cursor_take(&c, 8), *id = cursor_take(&c, STORE_ID);
	uint64_t number = cursor_be64(&c);
	uint32_t epoch = cursor_be32(&c);
	const uint8_t *wrapped = cursor_take(&c, 40), *head = cursor_take(&c, SEGMENT_HEAD);
	ENSURE(head, ERR_CORRUPT, "its head is cut");
	ENSURE(!memcmp(magic, JOURNAL_MAGIC, 8) &&
		       !memcmp(id, data_keys_store_id(p->j->keys), STORE_ID) && number == p->number,
	       ERR_CORRUPT, "its head is of another store or segment");
	uint8_t context[64];
	scoped(secret) struct secret *key = NULL;
	TRY(data_keys_journal_open(p->j->keys, wrapped, epoch, &key));
	size_t n = journal_context(p->j->keys, number, epoch, context);
	return seal_segment_open(key, journal_label, context, n, head, &p->segment);
}

// One frame at *offset. *ok false: it does not open.
static struct err read_frame(struct replay *p, size_t *offset, uint64_t counter, bool *ok)
{
	struct cursor c = cursor_over(p->bytes + *offset, p->size - *offset);
	uint32_t n = cursor_be32(&c);
	const uint8_t *sealed = cursor_take(&c, n);
	*ok = sealed && n >= AEAD_TAG && n <= JOURNAL_FRAME_MAX + 64;
	if (!*ok)
		return OK;
	uint8_t *plain = malloc(n);
	ENSURE(plain, ERR_LIMIT, "no memory to read a journal frame of %u bytes", n);
	uint8_t aad[JOURNAL_AAD];
	journal_aad(p->number, *offset, n, aad);
	struct err e = seal_segment_unseal(p->segment, counter, aad, sizeof aad, sealed, n, plain);
	*ok = e.code == ERR_NONE;
	*offset += 4 + (size_t)n;
	if (*ok) {
		const struct journal_reader inner = {each_record, NULL, p};
		e = journal_frame(plain, n - AEAD_TAG, p->number, &inner);
	} else {
		err_ignore(e);
		e = OK;
	}
	secret_zero(plain, n);
	free(plain);
	return e;
}

static void note_end(struct replay *p, uint64_t end, bool bad)
{
	struct journal *j = p->j;
	if (!p->begun) // not even the frame that vouches for the segment before
		settle_cut(j, p->r, 0, 0);
	if (!j->lived) {
		j->before = p->number;
		j->before_end = end;
	}
	if (p->last) {
		if (bad)
			damage(p, end, p->size - end, true,
			       "the last frame was not written whole, or altered");
	} else if (bad || !p->ended) {
		j->cut = (struct journal_damage){p->number, end, p->size - end, false,
						 bad ? "altered: does not open under its key"
						     : "cut: its last frames are missing"};
	}
}

// A damaged frame whose length still leads to frames that open is stepped over.
static struct err read_frames(struct replay *p)
{
	size_t offset = JOURNAL_HEAD, bad_at = 0;
	uint64_t counter = 0;
	for (; offset < p->size; counter++) {
		size_t at = offset;
		bool ok;
		TRY(read_frame(p, &offset, counter, &ok));
		if (ok) {
			if (bad_at)
				damage(p, bad_at, at - bad_at, false,
				       "altered: does not open under its key");
			bad_at = 0;
			continue;
		}
		if (!bad_at)
			bad_at = at;
		if (offset == at)
			break; // its length leads nowhere
	}
	note_end(p, bad_at ? bad_at : p->size, bad_at != 0);
	return OK;
}

static struct err replay_segment(struct replay *p)
{
	char name[JOURNAL_NAME];
	int scoped(fd) fd =
		openat(p->j->folder, journal_name(p->number, name), O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st))
		return err_system("journal: %s", name);
	p->size = (size_t)st.st_size;
	void *map = p->size ? mmap(NULL, p->size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	if (map == MAP_FAILED)
		return err_system("journal: %s", name);
	p->bytes = map;
	struct err e = open_segment(p);
	if (e.code == ERR_NONE)
		e = read_frames(p);
	else if (e.code == ERR_CORRUPT && p->size < JOURNAL_HEAD) { // as it was being made: empty
		if (p->last)
			damage(p, 0, p->size, true, "its head was not written whole");
		else
			p->j->headless = (struct journal_damage){p->number, 0, p->size, false,
								 "altered: its head is cut"};
		e = OK;
	} else if (e.code == ERR_CORRUPT) {
		settle_cut(p->j, p->r, 0, 0);
		damage(p, 0, p->size, false, e.text);
		if (!p->j->lived) {
			p->j->before = p->number;
			p->j->before_end = 0;
		}
		e = OK;
	}
	seal_segment_close(p->segment);
	if (map)
		munmap(map, p->size);
	return e;
}

struct err journal_replay_next(struct journal *j, uint64_t *number, const struct journal_reader *r,
			       bool *done)
{
	uint64_t *numbers;
	size_t n, i = 0;
	struct err e = journal_list(j->folder, &numbers, &n);
	*done = true;
	while (i < n && numbers[i] < *number)
		i++;
	// The segment that is open now is not replayed; what went before it ends the last life.
	if (e.code == ERR_NONE && i < n && !(j->fd >= 0 && numbers[i] == j->number)) {
		struct replay p = {.j = j, .r = r, .number = *number, .last = i + 1 == n};
		*done = false;
		if (!*number)
			j->cut.segment = j->headless.segment = 0;
		if (*number && numbers[i] != *number && *number >= j->first) {
			settle_cut(j, r, 0, 0);
			damage(&p, 0, 0, false, "a whole segment is missing");
		}
		p.number = numbers[i];
		e = replay_segment(&p);
		*number = numbers[i] + 1;
	}
	free(numbers);
	return e;
}

struct err journal_replay(struct journal *j, const struct journal_reader *r)
{
	uint64_t number = 0;
	for (bool done = false; !done;)
		TRY(journal_replay_next(j, &number, r, &done));
	return OK;
}
