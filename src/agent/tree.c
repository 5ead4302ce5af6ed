// SPDX-License-Identifier: Apache-2.0
// A treap with parent pointers: random weights keep it balanced in expectation, rotations are the
// only repair. (A hash table would be faster to find a leaf in, but not a subtree.)

#include "agent/tree.h"

#include <stdlib.h>
#include <string.h>

struct tree {
	struct tree_leaf *root;
	size_t leaves, bytes;
	uint64_t version;
	uint32_t random;
	bool lost;
	struct tree_leaf **dirty; // leaves with news
	size_t n_dirty, cap_dirty;
	char **gone; // paths that went since the last flush
	size_t n_gone, cap_gone;
};

struct tree *tree_new(void)
{
	struct tree *t = calloc(1, sizeof *t);
	if (t)
		t->random = 2463534242u;
	return t;
}

static void value_clear(struct batch_value *v)
{
	if (v->type == VALUE_STRING || v->type == VALUE_BYTES || v->type == VALUE_JSON)
		free((void *)(uintptr_t)v->s.bytes);
	*v = (struct batch_value){0};
}

static size_t value_bytes(const struct batch_value *v)
{
	bool text = v->type == VALUE_STRING || v->type == VALUE_BYTES || v->type == VALUE_JSON;
	return text ? v->s.len : 0;
}

static bool value_copy(struct batch_value *to, const struct batch_value *from)
{
	*to = *from;
	if (from->type != VALUE_STRING && from->type != VALUE_BYTES && from->type != VALUE_JSON)
		return true;
	uint8_t *copy = malloc(from->s.len ? from->s.len : 1);
	if (copy && from->s.len)
		memcpy(copy, from->s.bytes, from->s.len);
	to->s.bytes = copy;
	return copy != NULL;
}

static void leaf_free(struct tree_leaf *leaf)
{
	value_clear(&leaf->value);
	free(leaf->path);
	free(leaf->wire);
	free(leaf);
}

static void gone_clear(struct tree *t)
{
	for (size_t i = 0; i < t->n_gone; i++)
		free(t->gone[i]);
	t->n_gone = 0;
}

static struct tree_leaf *leftmost(struct tree_leaf *n)
{
	while (n && n->left)
		n = n->left;
	return n;
}

static struct tree_leaf *successor(const struct tree_leaf *n)
{
	if (n->right)
		return leftmost(n->right);
	while (n->parent && n->parent->right == n)
		n = n->parent;
	return n->parent;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	struct tree_leaf *n = t->root;
	while (n) { // down to a childless one, free it, up again: no recursion
		struct tree_leaf *child = n->left ? n->left : n->right;
		if (child) {
			n = child;
			continue;
		}
		struct tree_leaf *up = n->parent;
		if (up && up->left == n)
			up->left = NULL;
		else if (up)
			up->right = NULL;
		leaf_free(n);
		n = up;
	}
	gone_clear(t);
	free(t->gone);
	free(t->dirty);
	free(t);
}

uint64_t tree_version(const struct tree *t)
{
	return t->version;
}

size_t tree_leaves(const struct tree *t)
{
	return t->leaves;
}

bool tree_lost(struct tree *t)
{
	bool lost = t->lost;
	t->lost = false;
	return lost;
}

// --- order

static struct tree_leaf *find(const struct tree *t, const char *path)
{
	struct tree_leaf *n = t->root;
	while (n) {
		int order = strcmp(path, n->path);
		if (order == 0)
			return n;
		n = order < 0 ? n->left : n->right;
	}
	return NULL;
}

// The first leaf whose path is not below `text` in byte order.
static struct tree_leaf *not_below(const struct tree *t, const char *text)
{
	struct tree_leaf *n = t->root, *best = NULL;
	while (n) {
		if (strcmp(n->path, text) >= 0) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}

static void link_child(struct tree *t, struct tree_leaf *parent, struct tree_leaf *old,
		       struct tree_leaf *new)
{
	if (!parent)
		t->root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

static void rotate_up(struct tree *t, struct tree_leaf *n)
{
	struct tree_leaf *p = n->parent, *g = p->parent;
	if (p->left == n) {
		p->left = n->right;
		if (n->right)
			n->right->parent = p;
		n->right = p;
	} else {
		p->right = n->left;
		if (n->left)
			n->left->parent = p;
		n->left = p;
	}
	link_child(t, g, p, n);
	p->parent = n;
}

static void insert(struct tree *t, struct tree_leaf *leaf)
{
	struct tree_leaf *parent = NULL, **at = &t->root;
	while (*at) {
		parent = *at;
		at = strcmp(leaf->path, parent->path) < 0 ? &parent->left : &parent->right;
	}
	*at = leaf;
	leaf->parent = parent;
	t->random ^= t->random << 13; // xorshift: balance, not secrecy
	t->random ^= t->random >> 17;
	t->random ^= t->random << 5;
	leaf->weight = t->random;
	while (leaf->parent && leaf->parent->weight < leaf->weight)
		rotate_up(t, leaf);
	t->leaves++;
}

static void unlink_leaf(struct tree *t, struct tree_leaf *n)
{
	while (n->left && n->right)
		rotate_up(t, n->left->weight > n->right->weight ? n->left : n->right);
	link_child(t, n->parent, n, n->left ? n->left : n->right);
	t->leaves--;
}

// --- news

static bool grow(void **items, size_t *cap, size_t n, size_t size)
{
	if (n < *cap)
		return true;
	size_t wanted = *cap ? *cap * 2 : 64;
	void *more = realloc(*items, wanted * size);
	if (!more)
		return false;
	*items = more;
	*cap = wanted;
	return true;
}

static void mark_dirty(struct tree *t, struct tree_leaf *leaf)
{
	if (leaf->dirty)
		return;
	if (!grow((void **)&t->dirty, &t->cap_dirty, t->n_dirty, sizeof *t->dirty)) {
		t->lost = true;
		return;
	}
	leaf->dirty = true;
	t->dirty[t->n_dirty++] = leaf;
}

static void mark_gone(struct tree *t, const char *path, size_t n)
{
	char *copy = strndup(path, n);
	// A sweep goes in order: leaves went before their entry was seen to be empty.
	while (copy && t->n_gone && tree_below(t->gone[t->n_gone - 1], copy))
		free(t->gone[--t->n_gone]);
	if (!copy || !grow((void **)&t->gone, &t->cap_gone, t->n_gone, sizeof *t->gone)) {
		free(copy);
		t->lost = true;
		return;
	}
	t->gone[t->n_gone++] = copy;
}

static void remove_leaf(struct tree *t, struct tree_leaf *leaf)
{
	for (size_t i = 0; leaf->dirty && i < t->n_dirty; i++)
		if (t->dirty[i] == leaf) {
			t->dirty[i] = t->dirty[--t->n_dirty];
			break;
		}
	t->bytes -= leaf->path_len + value_bytes(&leaf->value) + sizeof *leaf;
	unlink_leaf(t, leaf);
	leaf_free(leaf);
}

// --- writing

static struct tree_leaf *leaf_new(struct tree *t, const char *path, size_t n)
{
	if (t->leaves >= TREE_LEAVES_MAX || t->bytes + n > TREE_BYTES_MAX || n > PATH_TEXT_MAX)
		return NULL;
	struct tree_leaf *leaf = calloc(1, sizeof *leaf);
	if (!leaf)
		return NULL;
	leaf->path = strndup(path, n);
	leaf->path_len = (uint16_t)n;
	if (!leaf->path) {
		free(leaf);
		return NULL;
	}
	insert(t, leaf);
	t->bytes += n + sizeof *leaf;
	return leaf;
}

void tree_put(struct tree *t, const char *path, const struct batch_value *v, int64_t time_ns,
	      unsigned flags)
{
	struct tree_leaf *leaf = find(t, path);
	if (leaf && batch_value_equal(&leaf->value, v)) {
		leaf->seen = true;
		if (flags & TREE_VOLATILE)
			leaf->time_ns = time_ns;
		return;
	}
	struct batch_value copy;
	if (t->bytes + value_bytes(v) > TREE_BYTES_MAX || value_bytes(v) > TREE_VALUE_MAX ||
	    !value_copy(&copy, v)) {
		t->lost = true;
		return;
	}
	bool is_new = leaf == NULL;
	if (!leaf && !(leaf = leaf_new(t, path, strlen(path)))) {
		value_clear(&copy);
		t->lost = true;
		return;
	}
	t->bytes += value_bytes(v);
	t->bytes -= value_bytes(&leaf->value);
	value_clear(&leaf->value);
	leaf->value = copy;
	leaf->version = ++t->version;
	leaf->time_ns = time_ns;
	leaf->flags = (uint8_t)flags;
	leaf->seen = true;
	// A volatile leaf is news once: when it comes to be.
	if (!(flags & TREE_VOLATILE) || is_new)
		mark_dirty(t, leaf);
}

bool tree_below(const char *leaf, const char *path)
{
	size_t n = strlen(path);
	if (n == 1 && path[0] == '/')
		return true;
	return strncmp(leaf, path, n) == 0 &&
	       (leaf[n] == 0 || leaf[n] == '/' || (leaf[n] == '[' && path[n - 1] != ']'));
}

// Byte order puts other names between "/a/b" and "/a/b/c" ("/a/b-c"), so a subtree is up to three
// ranges: the path itself, what follows with '/', and what follows with '['.
static struct tree_leaf *below_from(const struct tree *t, const char *path, char after)
{
	char text[PATH_TEXT_MAX + 2];
	size_t n = strlen(path);
	if (n > PATH_TEXT_MAX)
		return NULL;
	memcpy(text, path, n);
	text[n] = after;
	text[n + 1] = 0;
	struct tree_leaf *leaf = not_below(t, text);
	return leaf && strncmp(leaf->path, text, n + 1) == 0 ? leaf : NULL;
}

struct tree_leaf *tree_first(const struct tree *t, const char *path)
{
	if (strcmp(path, "/") == 0)
		return leftmost(t->root);
	struct tree_leaf *leaf = find(t, path);
	if (!leaf)
		leaf = below_from(t, path, '/');
	return leaf ? leaf : below_from(t, path, '[');
}

struct tree_leaf *tree_next(const struct tree_leaf *leaf, const char *path)
{
	struct tree_leaf *next = successor(leaf);
	size_t n = strlen(path);
	// Between the ranges lie siblings whose names begin alike: skip them one by one.
	while (next && !tree_below(next->path, path)) {
		if (strncmp(next->path, path, n) != 0)
			return NULL;
		next = successor(next);
	}
	return next;
}

struct tree_leaf *tree_after(const struct tree *t, const char *path)
{
	struct tree_leaf *leaf = not_below(t, path);
	return leaf && strcmp(leaf->path, path) == 0 ? successor(leaf) : leaf;
}

void tree_delete(struct tree *t, const char *path)
{
	struct tree_leaf *leaf = tree_first(t, path);
	if (!leaf)
		return;
	mark_gone(t, path, strlen(path));
	while (leaf) {
		struct tree_leaf *next = tree_next(leaf, path);
		remove_leaf(t, leaf);
		leaf = next;
	}
}

// --- passes

void tree_pass_begin(struct tree *t, const char *below)
{
	for (struct tree_leaf *n = tree_first(t, below); n; n = tree_next(n, below))
		n->seen = false;
}

// The highest list entry above `path` that has no leaf left, or the leaf itself.
static size_t emptied(const struct tree *t, const char *path, size_t n)
{
	char text[PATH_TEXT_MAX + 1];
	size_t best = n;
	for (size_t at = n; at-- > 1;) {
		bool entry_ends =
			path[at] == '/' && path[at - 1] == ']' && (at < 2 || path[at - 2] != '\\');
		if (!entry_ends)
			continue;
		memcpy(text, path, at);
		text[at] = 0;
		if (tree_first(t, text))
			break;
		best = at;
	}
	return best;
}

void tree_pass_end(struct tree *t, const char *below, unsigned except)
{
	char path[PATH_TEXT_MAX + 1];
	struct tree_leaf *leaf = tree_first(t, below);
	while (leaf) {
		struct tree_leaf *next = tree_next(leaf, below);
		if (!leaf->seen && !(leaf->flags & except)) {
			size_t n = leaf->path_len;
			memcpy(path, leaf->path, n + 1);
			remove_leaf(t, leaf);
			mark_gone(t, path, emptied(t, path, n));
		}
		leaf = next;
	}
}

bool tree_changed(const struct tree *t)
{
	return t->n_dirty > 0 || t->n_gone > 0;
}

void tree_flush(struct tree *t, const struct tree_reader *r, void *ctx)
{
	for (size_t i = 0; i < t->n_gone; i++)
		r->gone(ctx, t->gone[i]);
	gone_clear(t);
	for (size_t i = 0; i < t->n_dirty; i++) {
		t->dirty[i]->dirty = false;
		r->leaf(ctx, t->dirty[i]);
	}
	t->n_dirty = 0;
}

// --- what subscribers keep

const uint8_t *tree_wire(struct tree_leaf *leaf)
{
	if (leaf->wire)
		return leaf->wire;
	scoped(buf) struct buf b = {.limit = 1 << 16};
	struct err e = path_wire_of_text(leaf->path, NULL, &b);
	if (e.code != ERR_NONE || b.failed || b.len > UINT16_MAX)
		return NULL;
	leaf->wire = malloc(b.len ? b.len : 1);
	if (!leaf->wire)
		return NULL;
	if (b.len)
		memcpy(leaf->wire, b.data, b.len);
	leaf->wire_len = (uint16_t)b.len;
	return leaf->wire;
}

void tree_forget_watcher(struct tree *t, unsigned watcher)
{
	for (struct tree_leaf *n = leftmost(t->root); n; n = successor(n))
		n->known &= (uint8_t) ~(1u << watcher);
}
