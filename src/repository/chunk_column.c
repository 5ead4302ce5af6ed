// SPDX-License-Identifier: Apache-2.0
// One column:
//     u8 flags (1: ticks follow each other, 2: some points are deletions)  u8 type or 255 (mixed)
//     varint first tick, unless flag 1 zigzag varint delta of each next; flag 2: bitmap
//     values of the points that are not deletions:
//       bool    bitmap
//       int     u8 order << 4 | width, `order` first terms u64, then zigzag deltas of that order
//               in `width` byte planes, lowest first (order 1 or 2, whichever has fewer bits)
//       double  u8 low << 4 | high, u64 first, then XOR with the one before, planes low..high-1
//       text    varint distinct, each varint length and bytes; varint index of each point if > 1
//       mixed   each: u8 type, value as in the batch layout
#include "repository/chunk_internal.h"

#include <string.h>

enum { TICKS_REGULAR = 1, HAS_DELETES = 2, KNOWN_FLAGS = 3, TYPE_MIXED = 255 };

static void put_bitmap(struct buf *out, const struct chunk_point *p, size_t n, bool deletes)
{
	uint8_t byte = 0;
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		if (!deletes && p[i].deleted)
			continue;
		if (deletes ? p[i].deleted : p[i].value.b)
			byte |= (uint8_t)(1u << at % 8);
		if (++at % 8 == 0) {
			buf_u8(out, byte);
			byte = 0;
		}
	}
	if (at % 8)
		buf_u8(out, byte);
}

static unsigned bytes_of(uint64_t v)
{
	return v ? (71 - (unsigned)__builtin_clzll(v)) / 8 : 0;
}

// The k-th live value's delta of the given order, walking: state is the last value and delta.
struct walk {
	uint64_t value, delta;
	size_t seen;
};

static uint64_t walk_on(struct walk *w, uint64_t v, unsigned order)
{
	uint64_t delta = v - w->value, out = order == 1 ? delta : delta - w->delta;
	w->value = v;
	w->delta = delta;
	w->seen++;
	return zigzag(out);
}

static void put_plane(struct buf *out, const struct chunk_point *p, size_t n, unsigned order,
		      unsigned plane)
{
	struct walk w = {0};
	uint8_t *space = buf_space(out, n);
	if (!space)
		return;
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i].deleted)
			continue;
		uint64_t z = walk_on(&w, p[i].value.u, order);
		if (w.seen > order)
			space[at++] = (uint8_t)(z >> 8 * plane);
	}
	out->len -= n - at;
}

static void put_integers(struct buf *out, const struct chunk_point *p, size_t n)
{
	uint64_t bits[3] = {0}, all[3] = {0};
	struct walk w[3] = {{0}, {0}, {0}};
	for (size_t i = 0; i < n; i++) {
		if (p[i].deleted)
			continue;
		for (unsigned order = 1; order <= 2; order++) {
			uint64_t z = walk_on(&w[order], p[i].value.u, order);
			if (w[order].seen <= order)
				continue;
			bits[order] += z ? 64 - (unsigned)__builtin_clzll(z) : 0;
			all[order] |= z;
		}
	}
	unsigned order = w[1].seen > 2 && bits[2] < bits[1] ? 2 : 1;
	unsigned width = bytes_of(all[order]);
	buf_u8(out, (uint8_t)(order << 4 | width));
	size_t first = 0;
	for (size_t i = 0; i < n && first < order; i++)
		if (!p[i].deleted) {
			buf_be64(out, p[i].value.u);
			first++;
		}
	for (unsigned plane = 0; plane < width; plane++)
		put_plane(out, p, n, order, plane);
}

static void put_doubles(struct buf *out, const struct chunk_point *p, size_t n)
{
	uint64_t all = 0, before = 0;
	bool first = true;
	for (size_t i = 0; i < n; i++) {
		if (p[i].deleted)
			continue;
		if (!first)
			all |= p[i].value.u ^ before;
		before = p[i].value.u;
		first = false;
	}
	unsigned high = bytes_of(all), low = all ? (unsigned)__builtin_ctzll(all) / 8 : 0;
	buf_u8(out, (uint8_t)(low << 4 | high));
	for (unsigned plane = low; plane <= high; plane++) {
		first = true;
		for (size_t i = 0; i < n; i++) {
			if (p[i].deleted)
				continue;
			if (first && plane == low)
				buf_be64(out, p[i].value.u);
			else if (!first && plane < high)
				buf_u8(out, (uint8_t)((p[i].value.u ^ before) >> 8 * plane));
			before = p[i].value.u;
			first = false;
		}
	}
}

static bool text_equal(const struct batch_value *a, const struct batch_value *b)
{
	return a->s.len == b->s.len && (!a->s.len || !memcmp(a->s.bytes, b->s.bytes, a->s.len));
}

static void put_texts(struct buf *out, const struct chunk_point *p, size_t n)
{
	enum { MOST = 1024 }; // more distinct ones are written again as new
	uint32_t distinct[MOST];
	size_t found = 0, total = 0;
	struct buf index = {0}, words = {0};
	for (size_t i = 0; i < n; i++) {
		if (p[i].deleted)
			continue;
		size_t k = 0;
		while (k < found && k < MOST && !text_equal(&p[distinct[k]].value, &p[i].value))
			k++;
		if (k == found || k == MOST) {
			k = total++;
			if (found < MOST)
				distinct[found++] = (uint32_t)i;
			put_varint(&words, p[i].value.s.len);
			buf_append(&words, p[i].value.s.bytes, p[i].value.s.len);
		}
		put_varint(&index, k);
	}
	put_varint(out, total);
	buf_append(out, words.data, words.len);
	if (total > 1)
		buf_append(out, index.data, index.len);
	out->failed |= words.failed || index.failed;
	buf_clear(&words);
	buf_clear(&index);
}

void column_encode(struct buf *out, const struct chunk_point *p, size_t n)
{
	unsigned flags = TICKS_REGULAR, type = VALUE_NONE;
	bool typed = false;
	for (size_t i = 0; i < n; i++) {
		if (i && p[i].tick != p[i - 1].tick + 1)
			flags &= ~(unsigned)TICKS_REGULAR;
		if (p[i].deleted)
			flags |= HAS_DELETES;
		else if (!typed)
			type = p[i].value.type, typed = true;
		else if (type != p[i].value.type)
			type = TYPE_MIXED;
	}
	buf_u8(out, (uint8_t)flags);
	buf_u8(out, (uint8_t)type);
	put_varint(out, n ? p[0].tick : 0);
	for (size_t i = 1; i < n && !(flags & TICKS_REGULAR); i++)
		put_varint(out, zigzag((uint64_t)p[i].tick - p[i - 1].tick));
	if (flags & HAS_DELETES)
		put_bitmap(out, p, n, true);
	if (!typed || type == VALUE_NONE)
		return;
	if (type == VALUE_BOOL)
		put_bitmap(out, p, n, false);
	else if (type == VALUE_INT || type == VALUE_UINT)
		put_integers(out, p, n);
	else if (type == VALUE_DOUBLE)
		put_doubles(out, p, n);
	else if (type != TYPE_MIXED)
		put_texts(out, p, n);
	for (size_t i = 0; i < n && type == TYPE_MIXED; i++)
		if (!p[i].deleted)
			batch_write_value(out, &p[i].value);
}

// --- reading: `live` lists the indices of points that are not deletions

struct live {
	const uint32_t *at;
	size_t n;
};

static struct err get_bools(struct cursor *c, struct chunk_point *p, struct live l)
{
	const uint8_t *bits = cursor_take(c, (l.n + 7) / 8);
	for (size_t i = 0; bits && i < l.n; i++)
		p[l.at[i]].value.b = bits[i / 8] >> i % 8 & 1;
	return OK;
}

static struct err get_integers(struct cursor *c, struct chunk_point *p, struct live l)
{
	unsigned form = cursor_u8(c), order = form >> 4, width = form & 15;
	ENSURE((order == 1 || order == 2) && width <= 8, ERR_CORRUPT, "chunk: integer form %#x",
	       form);
	uint64_t terms[2] = {0};
	size_t first = l.n < order ? l.n : order;
	for (size_t i = 0; i < first; i++)
		terms[i] = cursor_be64(c);
	size_t rest = l.n - first;
	const uint8_t *planes = cursor_take(c, rest * width);
	ENSURE(planes || rest * width == 0, ERR_CORRUPT, "chunk: %zu integers are cut", l.n);
	uint64_t value = 0, delta = 0;
	for (size_t i = 0; i < l.n; i++) {
		if (i < first) {
			delta = terms[i] - value;
			value = terms[i];
		} else {
			uint64_t z = 0;
			for (unsigned k = 0; k < width; k++)
				z |= (uint64_t)planes[k * rest + i - first] << 8 * k;
			delta = order == 1 ? unzigzag(z) : delta + unzigzag(z);
			value += delta;
		}
		p[l.at[i]].value.u = value;
	}
	return OK;
}

static struct err get_doubles(struct cursor *c, struct chunk_point *p, struct live l)
{
	unsigned form = cursor_u8(c), low = form >> 4, high = form & 15;
	ENSURE(low <= high && high <= 8, ERR_CORRUPT, "chunk: double form %#x", form);
	uint64_t value = cursor_be64(c);
	size_t rest = l.n - 1;
	const uint8_t *planes = cursor_take(c, rest * (high - low));
	ENSURE(planes || rest * (high - low) == 0, ERR_CORRUPT, "chunk: %zu doubles are cut", l.n);
	for (size_t i = 0; i < l.n; i++) {
		for (unsigned k = low; i && k < high; k++)
			value ^= (uint64_t)planes[(k - low) * rest + i - 1] << 8 * k;
		p[l.at[i]].value.u = value;
	}
	return OK;
}

static struct err get_texts(struct cursor *c, struct chunk_point *p, struct live l, struct arena *a)
{
	uint64_t distinct = cursor_varint(c);
	ENSURE(distinct && distinct <= l.n, ERR_CORRUPT, "chunk: %llu texts of %zu points",
	       (unsigned long long)distinct, l.n);
	struct batch_value *words = arena_alloc(a, distinct * sizeof *words);
	ENSURE(words, ERR_LIMIT, "chunk: no memory for its texts");
	for (size_t i = 0; i < distinct; i++) {
		uint64_t n = cursor_varint(c);
		words[i].s.bytes = cursor_take(c, n);
		ENSURE(words[i].s.bytes && n <= BATCH_STRING_MAX, ERR_CORRUPT, "chunk: text %zu",
		       i);
		words[i].s.len = (uint32_t)n;
	}
	for (size_t i = 0; i < l.n; i++) {
		uint64_t k = distinct > 1 ? cursor_varint(c) : 0;
		ENSURE(k < distinct, ERR_CORRUPT, "chunk: text %llu of %llu", (unsigned long long)k,
		       (unsigned long long)distinct);
		p[l.at[i]].value.s = words[k].s;
	}
	return OK;
}

static struct err get_mixed(struct cursor *c, struct chunk_point *p, struct live l)
{
	for (size_t i = 0; i < l.n; i++) {
		struct err e = batch_read_value(c, &p[l.at[i]].value);
		if (e.code != ERR_NONE)
			return err_make(ERR_CORRUPT, "chunk: %s", e.text);
	}
	return OK;
}

static struct err get_ticks(struct cursor *c, struct chunk_point *p, size_t n, unsigned flags)
{
	uint64_t tick = cursor_varint(c);
	for (size_t i = 0; i < n; i++) {
		if (i)
			tick += flags & TICKS_REGULAR ? 1 : unzigzag(cursor_varint(c));
		ENSURE(tick < CHUNK_TICKS_MAX, ERR_CORRUPT, "chunk: tick %llu",
		       (unsigned long long)tick);
		p[i].tick = (uint32_t)tick;
	}
	return OK;
}

struct err column_decode(struct cursor *c, struct chunk_point *p, size_t n, struct arena *a)
{
	unsigned flags = cursor_u8(c), type = cursor_u8(c);
	ENSURE(!(flags & ~(unsigned)KNOWN_FLAGS) && (type <= VALUE_JSON || type == TYPE_MIXED),
	       ERR_CORRUPT, "chunk: column flags %#x, type %u", flags, type);
	TRY(get_ticks(c, p, n, flags));
	const uint8_t *deletes = flags & HAS_DELETES ? cursor_take(c, (n + 7) / 8) : NULL;
	uint32_t *at = arena_alloc(a, (n + 1) * sizeof *at);
	ENSURE(at, ERR_LIMIT, "chunk: no memory for a column");
	struct live l = {at, 0};
	for (size_t i = 0; i < n; i++) {
		p[i].deleted = deletes && (deletes[i / 8] >> i % 8 & 1);
		if (p[i].deleted)
			continue;
		p[i].value.type = type == TYPE_MIXED ? VALUE_NONE : (enum batch_type)type;
		at[l.n++] = (uint32_t)i;
	}
	if (!l.n || type == VALUE_NONE)
		return OK;
	switch (type) {
	case VALUE_BOOL:
		return get_bools(c, p, l);
	case VALUE_INT:
	case VALUE_UINT:
		return get_integers(c, p, l);
	case VALUE_DOUBLE:
		return get_doubles(c, p, l);
	case TYPE_MIXED:
		return get_mixed(c, p, l);
	default:
		return get_texts(c, p, l, a);
	}
}
