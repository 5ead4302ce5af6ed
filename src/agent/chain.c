// SPDX-License-Identifier: Apache-2.0

#include "agent/chain.h"

#include "agent/note.h"

#include <stdlib.h>
#include <string.h>

struct item {			// of the group under way
	struct tree_leaf *leaf; // NULL: a delete
	char *path;		// owned, of a delete
};

struct pending {
	uint32_t id, updates;
	bool sync;
	uint64_t seq;
	uint8_t previous[BATCH_HASH];
	struct buf message;
	struct gnmi_writer writer;
};

struct chain {
	char device[BATCH_DEVICE_MAX + 1];
	struct spool *spool;
	struct batch_canonical *canonical;
	struct buf prefix, certified, path;
	bool has_key;
	uint8_t key_id[8];
	unsigned algorithm;
	uint64_t seq; // of the last batch
	uint8_t previous[BATCH_HASH];
	uint32_t next_id;
	struct item *items;
	size_t n_items, cap_items, bytes;
	int64_t time_ns;
	bool failed; // memory ran out in this group
	struct pending ring[CHAIN_PENDING];
	unsigned first, n_pending;
};

struct err chain_new(const char *device, struct spool *spool, struct chain **out)
{
	struct chain *c = calloc(1, sizeof *c);
	ENSURE(c && strlen(device) <= BATCH_DEVICE_MAX, ERR_LIMIT, "out of memory");
	memcpy(c->device, device, strlen(device) + 1);
	c->spool = spool;
	c->canonical = batch_canonical_new();
	if (!c->canonical) {
		free(c);
		return err_make(ERR_LIMIT, "out of memory");
	}
	*out = c;
	return OK;
}

static void items_clear(struct chain *c)
{
	for (size_t i = 0; i < c->n_items; i++)
		free(c->items[i].path);
	c->n_items = 0;
	c->bytes = 0;
}

void chain_free(struct chain *c)
{
	if (!c)
		return;
	items_clear(c);
	free(c->items);
	for (unsigned i = 0; i < CHAIN_PENDING; i++)
		buf_clear(&c->ring[i].message);
	batch_canonical_free(c->canonical);
	buf_clear(&c->prefix);
	buf_clear(&c->certified);
	buf_clear(&c->path);
	free(c);
}

struct err chain_key(struct chain *c, const uint8_t key_id[8], unsigned algorithm,
		     struct cursor certified)
{
	memcpy(c->key_id, key_id, 8);
	c->algorithm = algorithm;
	buf_reset(&c->certified);
	buf_append(&c->certified, certified.at, cursor_left(&certified));
	c->seq = 0;
	memset(c->previous, 0, sizeof c->previous);
	c->n_pending = 0;
	c->first = 0;
	c->has_key = true;
	return buf_check(&c->certified, "batch key");
}

bool chain_ready(const struct chain *c)
{
	return c->has_key;
}

void chain_stop(struct chain *c)
{
	c->has_key = false;
	c->n_pending = 0;
	c->first = 0;
}

bool chain_full(const struct chain *c)
{
	return c->n_pending >= CHAIN_PENDING / 2;
}

bool chain_idle(const struct chain *c)
{
	return c->n_pending == 0;
}

const uint8_t *chain_key_id(const struct chain *c)
{
	return c->key_id;
}

uint64_t chain_seq(const struct chain *c)
{
	return c->seq;
}

void chain_prefix(struct chain *c, const uint8_t *bytes, size_t n)
{
	buf_reset(&c->prefix);
	buf_append(&c->prefix, bytes, n);
}

const struct buf *chain_certified(const struct chain *c)
{
	return &c->certified;
}

// --- a group

static struct item *add(struct chain *c)
{
	if (c->n_items == c->cap_items) {
		size_t cap = c->cap_items ? c->cap_items * 2 : 256;
		struct item *more = realloc(c->items, cap * sizeof *more);
		if (!more) {
			c->failed = true;
			return NULL;
		}
		c->items = more;
		c->cap_items = cap;
	}
	struct item *i = &c->items[c->n_items++];
	*i = (struct item){0};
	return i;
}

void chain_start(struct chain *c, int64_t time_ns)
{
	items_clear(c);
	c->failed = false;
	c->time_ns = time_ns;
}

void chain_delete(struct chain *c, const char *path)
{
	struct item *i = add(c);
	if (i && !(i->path = strdup(path)))
		c->failed = true;
}

void chain_update(struct chain *c, struct tree_leaf *leaf)
{
	struct item *i = add(c);
	if (i)
		i->leaf = leaf;
}

static size_t size_of(const struct item *i)
{
	const struct batch_value *v = i->leaf ? &i->leaf->value : NULL;
	bool text =
		v && (v->type == VALUE_STRING || v->type == VALUE_BYTES || v->type == VALUE_JSON);
	return (i->leaf ? i->leaf->path_len : strlen(i->path)) + 32 + (text ? v->s.len : 0);
}

// How many items from `at` make one batch.
static size_t portion(const struct chain *c, size_t at)
{
	size_t n = 0, bytes = 0;
	while (at + n < c->n_items && n < CHAIN_RECORDS && (n == 0 || bytes < CHAIN_BYTES))
		bytes += size_of(&c->items[at + n++]);
	return n;
}

static struct err write_item(struct chain *c, struct pending *p, const struct item *i)
{
	if (!i->leaf) {
		buf_reset(&c->path);
		TRY(path_wire_of_text(i->path, NULL, &c->path));
		gnmi_write_delete(&p->writer, c->path.data, c->path.len);
		batch_canonical_add(c->canonical, BATCH_DELETE, c->time_ns, i->path,
				    strlen(i->path), &(struct batch_value){0});
		return OK;
	}
	const uint8_t *path = tree_wire(i->leaf);
	ENSURE(path, ERR_LIMIT, "out of memory");
	struct gnmi_value v = note_value(&i->leaf->value);
	gnmi_write_update(&p->writer, path, i->leaf->wire_len, &v);
	batch_canonical_add(c->canonical, BATCH_UPDATE, c->time_ns, i->leaf->path,
			    i->leaf->path_len, &i->leaf->value);
	return OK;
}

static struct err batch(struct chain *c, size_t at, size_t n, bool sync, struct link *keys)
{
	ENSURE(c->n_pending < CHAIN_PENDING, ERR_BUSY, "signatures are late");
	struct pending *p = &c->ring[(c->first + c->n_pending) % CHAIN_PENDING];
	scoped(buf) struct buf ask = {0};
	uint8_t hash[BATCH_HASH];
	buf_reset(&p->message);
	p->message.failed = false;
	p->id = ++c->next_id;
	p->updates = (uint32_t)n;
	p->sync = sync;
	p->seq = c->seq + 1;
	memcpy(p->previous, c->previous, BATCH_HASH);
	gnmi_writer_start(&p->writer, &p->message, c->time_ns, c->prefix.data, c->prefix.len);
	batch_canonical_start(c->canonical, c->device, p->seq, c->previous, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		TRY(write_item(c, p, &c->items[at + i]));
	batch_canonical_finish(c->canonical, hash);
	TRY(buf_check(&p->message, "batch"));
	buf_be32(&ask, p->id);
	buf_append(&ask, c->key_id, 8);
	buf_append(&ask, hash, sizeof hash);
	TRY(link_send_buf(keys, LINK_SIGN, &ask));
	c->n_pending++;
	c->seq = p->seq;
	memcpy(c->previous, hash, BATCH_HASH);
	return OK;
}

struct err chain_finish(struct chain *c, bool sync, struct link *keys)
{
	struct err e = c->failed ? err_make(ERR_LIMIT, "out of memory") : OK;
	size_t at = 0;
	while (e.code == ERR_NONE && at < c->n_items) {
		size_t n = portion(c, at);
		e = batch(c, at, n, sync && at + n == c->n_items, keys);
		at += n;
	}
	items_clear(c);
	return e;
}

// --- signatures

static struct err append_key(struct chain *c)
{
	struct spool_record r = {
		.kind = SPOOL_KEY, .len = (uint32_t)c->certified.len, .bytes = c->certified.data};
	memcpy(r.key_id, c->key_id, 8);
	return spool_append(c->spool, &r);
}

struct err chain_signed(struct chain *c, uint32_t id, struct cursor signature, uint64_t *synced)
{
	struct pending *p = &c->ring[c->first];
	*synced = 0;
	if (!c->n_pending || p->id != id)
		return OK; // of a chain that has ended
	c->first = (c->first + 1) % CHAIN_PENDING;
	c->n_pending--;
	ENSURE(cursor_left(&signature) > 0, ERR_CONFLICT, "keys has no such batch key");
	struct gnmi_proof proof = {.present = true,
				   .seq = p->seq,
				   .previous = p->previous,
				   .key_id = c->key_id,
				   .signature = signature.at,
				   .signature_len = (uint32_t)cursor_left(&signature),
				   .algorithm = c->algorithm,
				   .sync = p->sync,
				   .device = (const uint8_t *)c->device,
				   .device_len = (uint32_t)strlen(c->device)};
	gnmi_writer_finish(&p->writer, &proof, NULL);
	TRY(buf_check(&p->message, "batch"));
	struct spool_record r = {.kind = SPOOL_BATCH,
				 .len = (uint32_t)p->message.len,
				 .updates = p->updates,
				 .seq = p->seq,
				 .bytes = p->message.data};
	memcpy(r.key_id, c->key_id, 8);
	// Each segment begins with the key of what follows: an older one may have been dropped.
	if (p->seq == 1 || spool_turns(c->spool, p->message.len + c->certified.len + SPOOL_HEAD))
		TRY(append_key(c));
	*synced = p->sync ? p->seq : 0;
	return spool_append(c->spool, &r);
}
