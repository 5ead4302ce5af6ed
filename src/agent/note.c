// SPDX-License-Identifier: Apache-2.0

#include "agent/note.h"

#include "agent/rfc7951.h"
#include "lib/gnmi/wire.h"

#include <jansson.h>
#include <string.h>

enum { TYPED_STRING = 1, TYPED_JSON = 10, TYPED_JSON_IETF = 11 }; // field numbers of TypedValue

void note_clear(struct note *n)
{
	buf_clear(&n->bytes);
	buf_clear(&n->value);
	buf_clear(&n->path);
	*n = (struct note){0};
}

void note_start(struct note *n, enum watch_encoding encoding, const char *target, int64_t time_ns)
{
	if (n->open)
		return;
	n->open = true;
	n->encoding = encoding;
	buf_reset(&n->path);
	if (target[0]) // Path.target
		wire_put_bytes(&n->path, 4, target, strlen(target));
	gnmi_writer_start(&n->writer, &n->bytes, time_ns, n->path.data, n->path.len);
}

struct gnmi_value note_value(const struct batch_value *v)
{
	struct gnmi_value g = {0};
	switch (v->type) {
	case VALUE_BOOL:
		return (struct gnmi_value){GNMI_BOOL, .b = v->b};
	case VALUE_INT:
		return (struct gnmi_value){GNMI_INT, .i = v->i};
	case VALUE_UINT:
		return (struct gnmi_value){GNMI_UINT, .u = v->u};
	case VALUE_DOUBLE:
		return (struct gnmi_value){GNMI_DOUBLE, .d = v->d};
	case VALUE_STRING:
		g.type = GNMI_STRING;
		break;
	case VALUE_BYTES:
		g.type = GNMI_BYTES;
		break;
	case VALUE_JSON:
		g.type = GNMI_JSON;
		break;
	default:
		return g;
	}
	g.s.bytes = v->s.bytes;
	g.s.len = v->s.len;
	return g;
}

// A leaf-list is kept as a JSON array of strings; in PROTO it is a ScalarArray.
static bool leaflist(struct buf *out, const struct batch_value *v)
{
	json_t *list = json_loadb((const char *)v->s.bytes, v->s.len, 0, NULL), *item;
	bool strings = json_is_array(list);
	size_t i;
	json_array_foreach(list, i, item)
	{
		size_t n = json_string_length(item);
		strings &= json_is_string(item);
		wire_put_head(out, 1, wire_bytes_size(TYPED_STRING, n));
		wire_put_bytes(out, TYPED_STRING, json_string_value(item), n);
	}
	json_decref(list);
	return strings;
}

static void put_json(struct note *n, const uint8_t *path, size_t path_len, const void *json,
		     size_t len)
{
	uint32_t field = n->encoding == WATCH_JSON ? TYPED_JSON : TYPED_JSON_IETF;
	struct buf *out = &n->bytes;
	size_t value = wire_bytes_size(field, len);
	wire_put_head(out, 4, wire_bytes_size(1, path_len) + wire_bytes_size(3, value));
	wire_put_bytes(out, 1, path, path_len);
	wire_put_head(out, 3, value);
	wire_put_bytes(out, field, json, len);
	n->writer.count++;
}

void note_leaf(struct note *n, struct tree_leaf *leaf)
{
	const uint8_t *path = tree_wire(leaf);
	if (!path) {
		n->bytes.failed = true;
		return;
	}
	struct gnmi_value v = note_value(&leaf->value);
	buf_reset(&n->value);
	if (n->encoding != WATCH_PROTO) {
		rfc7951_value(&n->value, leaf, n->encoding == WATCH_JSON_IETF);
		n->bytes.failed |= n->value.failed;
		put_json(n, path, leaf->wire_len, n->value.data, n->value.len);
		return;
	}
	if (v.type == GNMI_JSON && leaflist(&n->value, &leaf->value)) {
		v.type = GNMI_LEAFLIST;
		v.s.bytes = n->value.data;
		v.s.len = (uint32_t)n->value.len;
	}
	gnmi_write_update(&n->writer, path, leaf->wire_len, &v);
}

static bool wire_path(struct note *n, const char *path)
{
	buf_reset(&n->path);
	struct err e = path_wire_of_text(path, NULL, &n->path);
	n->bytes.failed |= e.code != ERR_NONE;
	return e.code == ERR_NONE;
}

void note_json(struct note *n, const char *path, const void *json, size_t len)
{
	if (wire_path(n, path))
		put_json(n, n->path.data, n->path.len, json, len);
}

void note_delete(struct note *n, const char *path)
{
	if (wire_path(n, path))
		gnmi_write_delete(&n->writer, n->path.data, n->path.len);
}

struct err note_finish(struct note *n)
{
	gnmi_writer_finish(&n->writer, NULL, NULL);
	n->open = false;
	return buf_check(&n->bytes, "notification");
}
