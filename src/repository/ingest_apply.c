// SPDX-License-Identifier: Apache-2.0
// Points into heads, for batches that have just been proved and for those that the journal gives
// back at start. r->records holds the records with the repository's own series numbers.
#include "repository/chain.h"
#include "repository/ingest.h"
#include "repository/proofs.h"

#include <string.h>

static struct err keep_proof(struct repository *r, struct device *d, const struct batch_head *head,
			     const uint8_t hash[BATCH_HASH], uint64_t grant)
{
	struct proof p = {.revision = head->revision,
			  .seq = head->seq,
			  .grant = grant,
			  .received_ns = head->received_ns,
			  .count = head->count,
			  .flags = head->flags,
			  .algorithm = head->algorithm,
			  .signature = head->signature,
			  .signature_len = head->signature_len};
	memcpy(p.key_id, head->key_id, BATCH_KEY_ID);
	memcpy(p.hash, hash, BATCH_HASH);
	size_t cap = d->proofs.cap;
	if (!d->n_proofs++)
		d->first_proof = head->revision;
	proof_write(&d->proofs, &p);
	r->index.head_bytes += d->proofs.cap - cap;
	return buf_check(&d->proofs, "proofs of batches");
}

struct ending {
	struct repository *r;
	struct device *d;
	uint32_t tick;
	struct err e;
};

static void end_series(void *ctx, uint32_t number, struct series *s)
{
	struct ending *x = ctx;
	(void)number;
	if (x->e.code == ERR_NONE && (s->flags & SERIES_LIVE) && !(s->flags & SERIES_DELETED))
		x->e = head_append(&x->r->index, x->d, s, x->tick, NULL);
}

// A deletion ends everything at and below its path.
static struct err apply_deletion(struct repository *r, struct device *d, uint32_t number,
				 uint32_t tick)
{
	const struct series *at = index_series(&r->index, number);
	struct ending x = {r, d, tick, OK};
	TRY(index_under(&r->index, d, at->path, at->path_len, end_series, &x));
	return x.e;
}

struct err ingest_apply(struct repository *r, struct device *d, const struct batch_head *head,
			const uint8_t hash[BATCH_HASH], uint64_t grant, uint64_t segment)
{
	uint32_t tick = 0;
	int64_t time_ns = 0;
	for (uint32_t i = 0; i < head->count; i++) {
		const struct batch_record *rec = &r->records[i];
		if (!i || rec->time_ns != time_ns) {
			time_ns = rec->time_ns;
			TRY(head_tick(&r->index, d, time_ns, head->revision, &tick));
		}
		if (rec->op == BATCH_DELETE) {
			TRY(apply_deletion(r, d, rec->series, tick));
			continue;
		}
		struct series *s = index_series(&r->index, rec->series);
		TRY(head_append(&r->index, d, s, tick, &rec->value));
	}
	TRY(keep_proof(r, d, head, hash, grant));
	if (!d->oldest_segment)
		d->oldest_segment = segment;
	r->full_devices |= head_full(d);
	r->bursting_devices |= head_bursting(d);
	d->last_ns = head->received_ns;
	d->revision = head->revision;
	d->points += head->count;
	d->batches++;
	r->count.points += head->count;
	r->count.batches++;
	return OK;
}

// --- from the journal, at start

struct err ingest_replay_series(struct repository *r, const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_over(bytes, n);
	while (cursor_left(&c)) {
		uint32_t device = cursor_be32(&c), number = cursor_be32(&c);
		uint16_t len = cursor_be16(&c);
		const char *path = (const char *)cursor_take(&c, len);
		struct device *d = index_device(&r->index, device);
		ENSURE(path && d, ERR_CORRUPT, "journal: a series of device %u is broken", device);
		TRY(index_series_restore(&r->index, number, d, path, len,
					 ingest_class(r, path, len)));
		index_series(&r->index, number)->flags |= SERIES_SAVED;
	}
	return OK;
}

struct err ingest_replay(struct repository *r, uint64_t segment, const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_over(bytes, n);
	struct device *d = index_device(&r->index, cursor_be32(&c));
	uint64_t grant = cursor_be64(&c);
	uint8_t hash[BATCH_HASH];
	cursor_copy(&c, hash, BATCH_HASH);
	ENSURE(d && !c.failed, ERR_CORRUPT, "journal: a batch of an unknown device");
	struct batch_head head;
	TRY(batch_read_head(&c, &head));
	if (head.revision > r->revision)
		r->revision = head.revision;
	if (head.revision <= d->flushed)
		return OK; // its points are in chunks
	ENSURE(head.count <= BATCH_COUNT_MAX, ERR_CORRUPT, "journal: %u records", head.count);
	for (uint32_t i = 0; i < head.count; i++) {
		TRY(batch_read_record(&c, &r->records[i]));
		const struct series *s = index_series(&r->index, r->records[i].series);
		ENSURE(s && s->path && s->device == d->number, ERR_CORRUPT,
		       "journal: series %u is not of %s", r->records[i].series, d->name);
	}
	if (head.flags & BATCH_SIGNED) {
		struct chain *chain;
		struct err e = chain_add(d, head.key_id, &chain);
		if (e.code == ERR_NONE && head.seq > chain->seq)
			chain_advance(chain, head.seq, hash); // else a key that was forgotten since
		d->changed = true;
	}
	return ingest_apply(r, d, &head, hash, grant, segment);
}
