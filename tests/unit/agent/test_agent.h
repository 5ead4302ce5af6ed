// SPDX-License-Identifier: Apache-2.0
// For the unit tests of the agent: leaves of a tree as text, files of captures, links to oneself.
#pragma once

#include "../crypto/test_crypto.h"

#include "agent/link.h"
#include "agent/tree.h"

#include <event2/event.h>
#include <inttypes.h>

// The value at a path as text: "UP", "1500", "true", "[...]"; NULL: no such leaf.
static inline const char *leaf_of(const struct tree *t, const char *path)
{
	static char text[8][TREE_VALUE_MAX + 1];
	static unsigned next;
	char *out = text[next++ % 8];
	const struct tree_leaf *leaf = tree_first(t, path);
	if (!leaf || strcmp(leaf->path, path) != 0)
		return NULL;
	const struct batch_value *v = &leaf->value;
	if (v->type == VALUE_BOOL)
		return v->b ? "true" : "false";
	if (v->type == VALUE_UINT)
		snprintf(out, 32, "%" PRIu64, v->u);
	else if (v->type == VALUE_INT)
		snprintf(out, 32, "%" PRId64, v->i);
	else
		snprintf(out, TREE_VALUE_MAX + 1, "%.*s", (int)v->s.len, (const char *)v->s.bytes);
	return out;
}

#define assert_leaf(tree, path, value)                                                             \
	do {                                                                                       \
		const char *leaf_is_ = leaf_of(tree, path);                                        \
		if (!leaf_is_)                                                                     \
			fail_msg("%s: no such leaf", path);                                        \
		assert_string_equal(leaf_is_, value);                                              \
	} while (0)
#define assert_no_leaf(tree, path) assert_null(leaf_of(tree, path))

static inline size_t count_below(const struct tree *t, const char *path)
{
	size_t n = 0;
	for (const struct tree_leaf *l = tree_first(t, path); l; l = tree_next(l, path))
		n++;
	return n;
}

static inline void put_uint(struct tree *t, const char *path, uint64_t u, unsigned flags)
{
	tree_put(t, path, &(struct batch_value){.type = VALUE_UINT, .u = u}, 1, flags);
}

static inline void put_string(struct tree *t, const char *path, const char *s)
{
	tree_put(t, path,
		 &(struct batch_value){.type = VALUE_STRING,
				       .s = {(const uint8_t *)s, (uint32_t)strlen(s)}},
		 1, 0);
}

#ifdef CAPTURES
static inline char *capture(const char *name, size_t *n)
{
	static char text[1 << 16];
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", CAPTURES, name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	*n = fread(text, 1, sizeof text, f);
	assert_true(*n > 0 && *n < sizeof text);
	fclose(f);
	return text;
}
#endif

// Two ends of a link, and what came to the second.
struct ends {
	struct event_base *base;
	struct link *a, *b;
	struct err closed_b;
	bool is_closed;
	struct err (*on_b)(const struct link_message *m);
};
extern struct ends ends;

#ifdef LINK_ENDS
struct ends ends;

static struct err ends_message(void *ctx, const struct link_message *m)
{
	return ctx && ends.on_b ? ends.on_b(m) : OK;
}

static void ends_close(void *ctx, enum link_process peer, struct err why)
{
	static char text[ERR_TEXT_MAX];
	if (!ctx) {
		link_close(ends.a);
		ends.a = NULL;
		return;
	}
	snprintf(text, sizeof text, "%s", why.text ? why.text : "");
	ends.closed_b = (struct err){why.code, text};
	ends.is_closed = true;
	link_close(ends.b);
	ends.b = NULL;
}

static const struct link_events ends_events = {ends_message, NULL, ends_close};

// `fd`: NULL, or the raw descriptor of the first end, for a peer that does not keep the rules.
static inline void ends_make(enum link_process a, enum link_process b, int *fd)
{
	int fds[2];
	ends = (struct ends){.base = event_base_new()};
	assert_good(link_pair(fds));
	if (fd)
		*fd = fds[0];
	else
		assert_good(link_open(ends.base, fds[0], a, b, &ends_events, NULL, &ends.a));
	assert_good(link_open(ends.base, fds[1], b, a, &ends_events, &ends, &ends.b));
}

static inline void ends_turn(void)
{
	for (int i = 0; i < 64; i++)
		event_base_loop(ends.base, EVLOOP_NONBLOCK);
}

static inline void ends_clear(void)
{
	link_close(ends.a);
	link_close(ends.b);
	event_base_free(ends.base);
	ends = (struct ends){0};
}
#endif
