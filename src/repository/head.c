// SPDX-License-Identifier: Apache-2.0
// A point in a head:
//     varint zigzag(tick - last tick - 1) << 2 | kind
//     DELTA     varint zigzag(value - last value), of the same integer type
//     WHOLE     u8 type, then 8 bytes, or varint length and the bytes
//     DELETION  nothing
//     SAME      nothing: the value before
// The last value is the series' latest, so coding needs no state of its own. A point older than the
// latest is WHOLE and leaves the latest alone; SERIES_ABSOLUTE then makes the next one WHOLE too.
// Nothing is allocated for a point but when a head's space grows by half.
#include "repository/head.h"

#include "repository/chunk_internal.h"

#include <stdlib.h>
#include <string.h>

enum { DELTA, WHOLE, DELETION, SAME };

struct err head_tick(struct index *x, struct device *d, int64_t time_ns, uint64_t revision,
		     uint32_t *tick)
{
	if (d->n_ticks && d->ticks[d->n_ticks - 1].time_ns == time_ns &&
	    d->ticks[d->n_ticks - 1].revision == revision) {
		*tick = d->n_ticks - 1;
		return OK;
	}
	ENSURE(d->n_ticks < CHUNK_TICKS_MAX, ERR_LIMIT, "%s: too many times in one batch", d->name);
	if (d->n_ticks == d->cap_ticks) {
		uint32_t cap = d->cap_ticks ? d->cap_ticks + d->cap_ticks / 2 : 16;
		struct chunk_tick *ticks = realloc(d->ticks, cap * sizeof *ticks);
		ENSURE(ticks, ERR_LIMIT, "no memory for the times of %s", d->name);
		x->head_bytes += (cap - d->cap_ticks) * sizeof *ticks;
		d->head_bytes += (cap - d->cap_ticks) * sizeof *ticks;
		d->ticks = ticks;
		d->cap_ticks = cap;
	}
	d->ticks[d->n_ticks] = (struct chunk_tick){time_ns, revision};
	*tick = d->n_ticks++;
	return OK;
}

static struct err make_room(struct index *x, struct device *d, struct series *s, size_t n)
{
	if (s->head_cap - s->head_len >= n)
		return OK;
	size_t cap = s->head_cap + s->head_cap / 2 + 8 + n;
	cap = (cap + 7) & ~(size_t)7;
	uint8_t *head = realloc(s->head, cap);
	ENSURE(head && cap <= UINT32_MAX, ERR_LIMIT, "no memory for %s", s->path);
	x->head_bytes += cap - s->head_cap;
	d->head_bytes += cap - s->head_cap;
	s->head = head;
	s->head_cap = (uint32_t)cap;
	return OK;
}

static bool same_as_last(const struct series *s, const struct batch_value *v)
{
	if (s->type != v->type)
		return false;
	if (!value_is_text(v->type))
		return s->last.bits == value_bits(v);
	return s->text_len == v->s.len && !memcmp(s->last.text, v->s.bytes, v->s.len);
}

static struct err set_last(struct device *d, struct series *s, const struct batch_value *v)
{
	uint8_t *text = NULL;
	if (value_is_text(v->type)) {
		text = malloc(v->s.len + 1u);
		ENSURE(text, ERR_LIMIT, "no memory for a value of %s", s->path);
		memcpy(text, v->s.bytes ? v->s.bytes : (const uint8_t *)"", v->s.len);
		text[v->s.len] = 0;
	}
	if (s->type >= VALUE_STRING) {
		d->text_bytes -= s->text_len;
		free(s->last.text);
	}
	s->type = (uint8_t)v->type;
	s->text_len = text ? v->s.len : 0;
	d->text_bytes += s->text_len;
	if (text)
		s->last.text = text;
	else
		s->last.bits = v->type == VALUE_NONE ? 0 : value_bits(v);
	return OK;
}

static size_t write_whole(uint8_t *out, const struct batch_value *v)
{
	size_t n = 0;
	out[n++] = (uint8_t)v->type;
	if (value_is_text(v->type)) {
		n += varint_write(out + n, v->s.len);
		if (v->s.len)
			memcpy(out + n, v->s.bytes, v->s.len);
		return n + v->s.len;
	}
	uint64_t bits = v->type == VALUE_NONE ? 0 : value_bits(v);
	memcpy(out + n, &bits, sizeof bits);
	return n + sizeof bits;
}

static unsigned kind_of(const struct series *s, const struct batch_value *v, bool late)
{
	if (!v)
		return DELETION;
	if (late || (s->flags & (SERIES_ABSOLUTE | SERIES_DELETED)))
		return WHOLE;
	if (same_as_last(s, v))
		return SAME;
	return s->type == v->type && (v->type == VALUE_INT || v->type == VALUE_UINT) ? DELTA
										     : WHOLE;
}

struct err head_append(struct index *x, struct device *d, struct series *s, uint32_t tick,
		       const struct batch_value *v)
{
	enum { MOST = 10 + 1 + 10 };
	int64_t time_ns = d->ticks[tick].time_ns;
	bool late = (s->flags & SERIES_LIVE) && time_ns < s->time_ns;
	unsigned kind = kind_of(s, v, late);
	TRY(make_room(x, d, s, MOST + (kind == WHOLE && value_is_text(v->type) ? v->s.len : 0)));
	uint8_t *at = s->head + s->head_len;
	uint64_t distance = s->head_n ? (uint64_t)tick - s->head_tick - 1 : tick;
	at += varint_write(at, zigzag(distance) << 2 | kind);
	if (kind == DELTA)
		at += varint_write(at, zigzag(v->u - s->last.bits));
	else if (kind == WHOLE)
		at += write_whole(at, v);
	s->head_len = (uint32_t)(at - s->head);
	s->head_tick = tick;
	s->head_n++;
	d->head_points++;
	x->head_points++;
	if (s->head_n > d->most_points)
		d->most_points = s->head_n;
	if (late) {
		s->flags |= SERIES_ABSOLUTE;
		return OK;
	}
	if (v && kind != SAME)
		TRY(set_last(d, s, v));
	s->flags &= (uint8_t) ~(SERIES_ABSOLUTE | SERIES_DELETED);
	s->flags |= v ? SERIES_LIVE : SERIES_LIVE | SERIES_DELETED;
	s->time_ns = time_ns;
	s->revision = d->ticks[tick].revision;
	return OK;
}

void head_points(const struct series *s, struct chunk_point *points)
{
	if (!s->head_n)
		return;
	struct cursor c = cursor_over(s->head, s->head_len); // our own bytes, yet bounded
	uint64_t tick = 0;
	struct batch_value last = {0};
	for (uint32_t i = 0; i < s->head_n; i++) {
		uint64_t tag = cursor_varint(&c);
		tick = unzigzag(tag >> 2) + (i ? tick + 1 : 0);
		unsigned kind = tag & 3;
		if (kind == DELTA) {
			last.u += unzigzag(cursor_varint(&c));
		} else if (kind == WHOLE) {
			last.type = (enum batch_type)cursor_u8(&c);
			if (value_is_text(last.type)) {
				last.s.len = (uint32_t)cursor_varint(&c);
				last.s.bytes = cursor_take(&c, last.s.len);
			} else {
				uint64_t bits = 0;
				cursor_copy(&c, &bits, sizeof bits);
				last.u = bits;
				if (last.type == VALUE_BOOL)
					last.b = bits != 0;
			}
		}
		points[i] = (struct chunk_point){(uint32_t)tick, kind == DELETION, last};
	}
}

void head_reset(struct index *x, struct device *d)
{
	for (uint32_t i = 0; i < d->n_series; i++) {
		struct series *s = index_series(x, d->series[i]);
		free(s->head);
		s->head = NULL;
		s->head_n = s->head_len = s->head_cap = s->head_tick = 0;
		s->flags |= SERIES_ABSOLUTE;
	}
	x->head_bytes -= d->head_bytes;
	x->head_points -= d->head_points;
	d->head_bytes = d->head_points = 0;
	free(d->ticks);
	d->ticks = NULL;
	d->n_ticks = d->cap_ticks = 0;
	d->most_points = 0;
	d->oldest_segment = 0;
}

struct err head_restore(struct device *d, struct series *s, int64_t time_ns, uint64_t revision,
			const struct batch_value *value)
{
	if ((s->flags & SERIES_LIVE) && time_ns < s->time_ns)
		return OK;
	if (value)
		TRY(set_last(d, s, value));
	s->flags |= SERIES_LIVE | SERIES_ABSOLUTE;
	s->flags &= (uint8_t)~SERIES_DELETED;
	if (!value)
		s->flags |= SERIES_DELETED;
	s->time_ns = time_ns;
	s->revision = revision;
	return OK;
}
