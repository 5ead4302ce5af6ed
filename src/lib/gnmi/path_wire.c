// SPDX-License-Identifier: Apache-2.0
// Paths between gnmi.Path, as wire bytes or as a decoded message, and canonical text.
// Path: 1 element (old), 2 origin, 3 elem, 4 target. PathElem: 1 name, 2 key. KeyEntry: 1 key, 2
// value.

#include "lib/gnmi/path_internal.h"

#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/wire.h"

#include <string.h>

// --- wire to text

struct view {
	const char *at;
	size_t len;
};

static struct view view_of(struct wire_field *f)
{
	return (struct view){(const char *)f->sub.at, cursor_left(&f->sub)};
}

// Values of keys stand unescaped in `path_key.value` here.
static struct err read_key(struct cursor c, struct path_key *k)
{
	struct wire_field f;
	struct view name = {"", 0}, value = {"", 0};
	while (wire_next(&c, &f))
		if (f.number == 1 && f.type == WIRE_BYTES)
			name = view_of(&f);
		else if (f.number == 2 && f.type == WIRE_BYTES)
			value = view_of(&f);
	TRY(cursor_finish(&c, "path key"));
	TRY(path_check_name(name.at, name.len, false, "key name"));
	ENSURE(value.len <= PATH_TEXT_MAX, ERR_LIMIT, "path: key value of %zu bytes", value.len);
	TRY(path_check_value(value.at, value.len));
	*k = (struct path_key){name.at, value.at, (uint16_t)name.len, (uint16_t)value.len};
	return OK;
}

static void text_elem(struct path_text *t, struct view name, const struct path_key *key,
		      unsigned keys)
{
	path_text_bytes(t, "/", 1);
	path_text_bytes(t, name.at, name.len);
	for (unsigned i = 0; i < keys; i++) {
		path_text_bytes(t, "[", 1);
		path_text_bytes(t, key[i].name, key[i].name_len);
		path_text_bytes(t, "=", 1);
		path_text_escaped(t, key[i].value, key[i].value_len);
		path_text_bytes(t, "]", 1);
	}
	t->elems++;
}

static struct err read_elem(struct cursor c, struct path_text *t)
{
	struct path_key key[PATH_KEYS_MAX];
	unsigned keys = 0;
	struct wire_field f;
	struct view name = {"", 0};
	ENSURE(t->elems < PATH_ELEMS_MAX, ERR_LIMIT, "path: more than %d elements", PATH_ELEMS_MAX);
	while (wire_next(&c, &f)) {
		if (f.number == 1 && f.type == WIRE_BYTES) {
			name = view_of(&f);
		} else if (f.number == 2 && f.type == WIRE_BYTES) {
			ENSURE(keys < PATH_KEYS_MAX, ERR_LIMIT, "path: more than %d keys",
			       PATH_KEYS_MAX);
			TRY(read_key(f.sub, &key[keys++]));
		}
	}
	TRY(cursor_finish(&c, "path element"));
	TRY(path_check_name(name.at, name.len, true, "element name"));
	TRY(path_sort_keys(key, keys));
	text_elem(t, name, key, keys);
	return OK;
}

// The origin must stand first in the text; it may stand anywhere on the wire.
static struct err read_origin(struct cursor c, struct view *origin)
{
	struct wire_field f;
	while (wire_next(&c, &f))
		if (f.number == 2 && f.type == WIRE_BYTES)
			*origin = view_of(&f);
	return OK;
}

static struct err read_elems(struct cursor c, struct path_text *t)
{
	struct wire_field f;
	while (wire_next(&c, &f)) {
		ENSURE(f.number != 1, ERR_PEER,
		       "path: uses the withdrawn field `element`; send `elem` (gNMI 0.4 on)");
		if (f.number == 3) {
			ENSURE(f.type == WIRE_BYTES, ERR_PEER, "path: elem is not a message");
			TRY(read_elem(f.sub, t));
		}
	}
	return cursor_finish(&c, "path");
}

static struct err text_origin(struct path_text *t, struct view origin)
{
	if (origin.len == 0 || (origin.len == 10 && memcmp(origin.at, "openconfig", 10) == 0))
		return OK;
	TRY(path_check_name(origin.at, origin.len, false, "origin"));
	ENSURE(!memchr(origin.at, ':', origin.len), ERR_USAGE, "path: ':' in origin");
	path_text_bytes(t, origin.at, origin.len);
	path_text_bytes(t, ":", 1);
	return OK;
}

// A foreign path's mistakes are the peer's, whoever finds them.
static struct err as_peer(struct err e)
{
	if (e.code == ERR_USAGE)
		e.code = ERR_PEER;
	return e;
}

static struct err wire_to_text(struct cursor prefix, struct cursor path, char *out, size_t *len)
{
	struct path_text t = {.out = out};
	struct view origin = {"", 0};
	TRY(read_origin(prefix, &origin));
	TRY(read_origin(path, &origin));
	TRY(text_origin(&t, origin));
	TRY(read_elems(prefix, &t));
	TRY(read_elems(path, &t));
	return path_text_finish(&t, len);
}

struct err path_text_of_wire(const uint8_t *prefix, size_t prefix_len, const uint8_t *path,
			     size_t path_len, char out[PATH_TEXT_MAX + 1], size_t *len)
{
	static const uint8_t none[1];
	return as_peer(wire_to_text(cursor_over(prefix ? prefix : none, prefix ? prefix_len : 0),
				    cursor_over(path ? path : none, path ? path_len : 0), out,
				    len));
}

// --- text to wire

static size_t unescaped_length(const struct path_key *k)
{
	size_t n = 0;
	for (size_t i = 0; i < k->value_len; i++, n++)
		if (k->value[i] == '\\')
			i++;
	return n;
}

static size_t key_size(const struct path_key *k)
{
	return wire_bytes_size(1, k->name_len) + wire_bytes_size(2, unescaped_length(k));
}

static void write_elem(const struct path_elem *e, struct buf *out)
{
	size_t n = wire_bytes_size(1, e->name_len);
	for (unsigned i = 0; i < e->keys; i++)
		n += wire_bytes_size(2, key_size(&e->key[i]));
	wire_put_head(out, 3, n);
	wire_put_bytes(out, 1, e->name, e->name_len);
	for (unsigned i = 0; i < e->keys; i++) {
		const struct path_key *k = &e->key[i];
		char value[PATH_TEXT_MAX];
		wire_put_head(out, 2, key_size(k));
		wire_put_bytes(out, 1, k->name, k->name_len);
		wire_put_bytes(out, 2, value, path_unescape(k->value, k->value_len, value));
	}
}

struct err path_wire_of_text(const char *text, const char *target, struct buf *out)
{
	struct path p;
	TRY(path_parse(text, strlen(text), &p));
	if (p.origin)
		wire_put_bytes(out, 2, p.origin, p.origin_len);
	for (unsigned i = 0; i < p.elems; i++)
		write_elem(&p.elem[i], out);
	if (target && target[0])
		wire_put_bytes(out, 4, target, strlen(target));
	return buf_check(out, "path");
}

// --- decoded messages

static struct err message_elem(const Gnmi__PathElem *e, struct path_text *t)
{
	struct path_key key[PATH_KEYS_MAX];
	ENSURE(t->elems < PATH_ELEMS_MAX, ERR_LIMIT, "path: more than %d elements", PATH_ELEMS_MAX);
	ENSURE(e->n_key <= PATH_KEYS_MAX, ERR_LIMIT, "path: more than %d keys", PATH_KEYS_MAX);
	for (size_t i = 0; i < e->n_key; i++) {
		const char *name = e->key[i]->key, *value = e->key[i]->value;
		size_t name_len = strlen(name), value_len = strlen(value);
		TRY(path_check_name(name, name_len, false, "key name"));
		ENSURE(value_len <= PATH_TEXT_MAX, ERR_LIMIT, "path: key value of %zu bytes",
		       value_len);
		TRY(path_check_value(value, value_len));
		key[i] = (struct path_key){name, value, (uint16_t)name_len, (uint16_t)value_len};
	}
	TRY(path_check_name(e->name, strlen(e->name), true, "element name"));
	TRY(path_sort_keys(key, (unsigned)e->n_key));
	text_elem(t, (struct view){e->name, strlen(e->name)}, key, (unsigned)e->n_key);
	return OK;
}

static struct err message_elems(const Gnmi__Path *p, struct path_text *t)
{
	if (!p)
		return OK;
	ENSURE(p->n_element == 0, ERR_PEER,
	       "path: uses the withdrawn field `element`; send `elem` (gNMI 0.4 on)");
	for (size_t i = 0; i < p->n_elem; i++)
		TRY(message_elem(p->elem[i], t));
	return OK;
}

static struct err message_to_text(const Gnmi__Path *prefix, const Gnmi__Path *path, char *out,
				  size_t *len)
{
	struct path_text t = {.out = out};
	const char *origin = path && path->origin[0] ? path->origin : prefix ? prefix->origin : "";
	TRY(text_origin(&t, (struct view){origin, strlen(origin)}));
	TRY(message_elems(prefix, &t));
	TRY(message_elems(path, &t));
	return path_text_finish(&t, len);
}

struct err path_text_of_message(const struct Gnmi__Path *prefix, const struct Gnmi__Path *path,
				char out[PATH_TEXT_MAX + 1], size_t *len)
{
	return as_peer(message_to_text(prefix, path, out, len));
}

static Gnmi__PathElem *elem_message(const struct path_elem *from, struct arena *a)
{
	Gnmi__PathElem *e = arena_alloc(a, sizeof *e);
	Gnmi__PathElem__KeyEntry **key = arena_alloc(a, (from->keys + 1u) * sizeof *key);
	if (!e || !key)
		return NULL;
	gnmi__path_elem__init(e);
	e->name = arena_strndup(a, from->name, from->name_len);
	e->key = key;
	e->n_key = from->keys;
	for (unsigned i = 0; i < from->keys; i++) {
		const struct path_key *k = &from->key[i];
		char value[PATH_TEXT_MAX];
		size_t n = path_unescape(k->value, k->value_len, value);
		if (!(key[i] = arena_alloc(a, sizeof **key)))
			return NULL;
		gnmi__path_elem__key_entry__init(key[i]);
		key[i]->key = arena_strndup(a, k->name, k->name_len);
		key[i]->value = arena_strndup(a, value, n);
		if (!key[i]->key || !key[i]->value)
			return NULL;
	}
	return e->name ? e : NULL;
}

struct err path_message_of_text(const char *text, struct arena *a, struct Gnmi__Path **out)
{
	struct path p;
	TRY(path_parse(text, strlen(text), &p));
	Gnmi__Path *m = arena_alloc(a, sizeof *m);
	Gnmi__PathElem **elem = arena_alloc(a, (p.elems + 1u) * sizeof *elem);
	ENSURE(m && elem, ERR_LIMIT, "path: out of memory");
	gnmi__path__init(m);
	m->elem = elem;
	m->n_elem = p.elems;
	for (unsigned i = 0; i < p.elems; i++)
		ENSURE((elem[i] = elem_message(&p.elem[i], a)), ERR_LIMIT, "path: out of memory");
	if (p.origin)
		ENSURE((m->origin = arena_strndup(a, p.origin, p.origin_len)), ERR_LIMIT,
		       "path: out of memory");
	*out = m;
	return OK;
}
