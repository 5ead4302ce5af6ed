// SPDX-License-Identifier: Apache-2.0

#include "agent/state_link.h"

#include <string.h>

enum record { RECORD_LEAF = 1, RECORD_VOLATILE = 2, RECORD_GONE = 3 };
enum { HEAD = 9, ROOM = LINK_MESSAGE_MAX - 64 };

struct sending {
	struct link *link;
	struct buf b;
	uint8_t flags;
	int64_t time_ns;
	struct err e;
};

static void head(struct sending *s, uint8_t more)
{
	buf_reset(&s->b);
	buf_u8(&s->b, s->flags | more);
	buf_be64(&s->b, (uint64_t)s->time_ns);
}

static void room_for(struct sending *s, size_t n)
{
	if (s->b.len + n <= ROOM || s->b.len == HEAD || s->e.code != ERR_NONE)
		return;
	s->b.data[0] |= STATE_MORE;
	s->e = link_send_buf(s->link, LINK_STATE, &s->b);
	s->flags &= (uint8_t)~STATE_RESET; // only the first says it
	head(s, 0);
}

static void put_path(struct sending *s, enum record kind, const char *path, size_t n)
{
	buf_u8(&s->b, (uint8_t)kind);
	buf_be16(&s->b, (uint16_t)n);
	buf_append(&s->b, path, n);
}

static void on_gone(void *ctx, const char *path)
{
	struct sending *s = ctx;
	size_t n = strlen(path);
	room_for(s, n + 3);
	put_path(s, RECORD_GONE, path, n);
}

static void on_leaf(void *ctx, struct tree_leaf *leaf)
{
	struct sending *s = ctx;
	scoped(buf) struct buf value = {0};
	batch_write_value(&value, &leaf->value);
	if (value.failed || value.len + leaf->path_len + 3 > ROOM - HEAD)
		return; // tree_put bounds strings below that
	room_for(s, value.len + leaf->path_len + 3);
	put_path(s, leaf->flags & TREE_VOLATILE ? RECORD_VOLATILE : RECORD_LEAF, leaf->path,
		 leaf->path_len);
	buf_append(&s->b, value.data, value.len);
}

static void leaves(struct sending *s, struct tree *tree, const char *path, bool all)
{
	for (struct tree_leaf *n = tree_first(tree, path); n; n = tree_next(n, path))
		if (all || n->flags & TREE_VOLATILE)
			on_leaf(s, n);
}

static void forget(void *ctx, struct tree_leaf *leaf)
{
	(void)ctx;
	(void)leaf;
}

static void forget_gone(void *ctx, const char *path)
{
	(void)ctx;
	(void)path;
}

struct err state_send(struct link *l, struct tree *tree, bool whole, int64_t time_ns)
{
	static const struct tree_reader tell = {on_gone, on_leaf}, none = {forget_gone, forget};
	struct sending s = {.link = l, .flags = whole ? STATE_RESET : 0, .time_ns = time_ns};
	head(&s, 0);
	if (whole) {
		tree_flush(tree, &none, NULL);
		leaves(&s, tree, "/", true);
	} else {
		tree_flush(tree, &tell, &s);
	}
	if (s.e.code == ERR_NONE)
		s.e = link_send_buf(l, LINK_STATE, &s.b);
	buf_clear(&s.b);
	return s.e;
}

struct err state_send_volatile(struct link *l, struct tree *tree, const char *path, int64_t time_ns)
{
	struct sending s = {.link = l, .time_ns = time_ns};
	head(&s, 0);
	leaves(&s, tree, path, false);
	if (s.e.code == ERR_NONE)
		s.e = link_send_buf(l, LINK_STATE, &s.b);
	buf_clear(&s.b);
	return s.e;
}

static struct err record(struct cursor *c, struct tree *tree, int64_t time_ns)
{
	char path[PATH_TEXT_MAX + 1];
	struct batch_value v;
	unsigned kind = cursor_u8(c);
	size_t n = cursor_be16(c);
	const uint8_t *bytes = n <= PATH_TEXT_MAX ? cursor_take(c, n) : NULL;
	ENSURE(bytes && kind >= RECORD_LEAF && kind <= RECORD_GONE, ERR_PEER,
	       "STATE: broken record");
	memcpy(path, bytes, n);
	path[n] = 0;
	if (kind == RECORD_GONE) {
		tree_delete(tree, path);
		return OK;
	}
	TRY(batch_read_value(c, &v));
	tree_put(tree, path, &v, time_ns, kind == RECORD_VOLATILE ? TREE_VOLATILE : 0);
	return OK;
}

struct err state_receive(struct state_inbox *in, const struct link_message *m, bool *complete)
{
	struct cursor c = cursor_over(m->bytes, m->len);
	uint8_t flags = cursor_u8(&c);
	int64_t time_ns = (int64_t)cursor_be64(&c);
	if (flags & STATE_RESET) {
		tree_pass_begin(in->tree, "/");
		in->resetting = true;
	}
	while (cursor_left(&c) > 0)
		TRY(record(&c, in->tree, time_ns));
	*complete = !(flags & STATE_MORE);
	if (*complete && in->resetting) {
		in->resetting = false;
		tree_pass_end(in->tree, "/", TREE_OWN);
	}
	return cursor_finish(&c, "STATE");
}
