// SPDX-License-Identifier: Apache-2.0
// The device's state as a tree of leaves: canonical path text -> value. An ordered map (treap), so
// that a subtree is one contiguous range: all texts that begin with "/a/b/" or "/a/b[".
//
// Writers say what is so now; the tree finds out what is news. tree_flush hands out each subtree
// that went, then each leaf that came or changed, since the last flush: a leaf that changed twice
// is told once, one that came and went not at all. Lists that are read as a whole (a ruleset, a
// dump of routes) are written between tree_pass_begin and tree_pass_end, which removes what was not
// written again. A volatile leaf (a counter) is never news; it is read when a sample is due.
// Used by agent: apply makes changes with it, wire serves from it.
#pragma once

#include "lib/batch/batch.h"
#include "lib/gnmi/path.h"

enum {
	TREE_LEAVES_MAX = 1 << 20,
	TREE_BYTES_MAX = 256 << 20,
	TREE_VALUE_MAX = 32 << 10, // bytes of one value
	TREE_WATCHERS = 8,	   // subscribers that may keep a match of their own on a leaf
};

enum tree_flag {
	TREE_VOLATILE = 1, // counters: sampled, never on change
	TREE_OWN = 2,	   // the serving process's own; outlives tree_pass over "/"
};

struct tree_leaf {
	char *path;
	uint8_t *wire;		  // the gnmi.Path, made when first asked for: tree_wire
	struct batch_value value; // strings are owned
	int64_t time_ns;	  // when it took this value
	uint64_t match[TREE_WATCHERS];
	uint8_t known; // bit per watcher: match is valid
	uint8_t flags;
	bool dirty, seen;
	uint64_t version; // grows with each change of a value, over the whole tree
	uint16_t path_len, wire_len;
	uint32_t weight; // treap heap order
	struct tree_leaf *left, *right, *parent;
};

struct tree;		     // opaque
struct tree *tree_new(void); // NULL: out of memory
void tree_free(struct tree *t);
size_t tree_leaves(const struct tree *t);
uint64_t tree_version(const struct tree *t); // of the newest change
// Something did not fit since the last call (a bound or memory); clears it.
bool tree_lost(struct tree *t);

// Values are copied. `time_ns` is when this was so.
void tree_put(struct tree *t, const char *path, const struct batch_value *v, int64_t time_ns,
	      unsigned flags);
void tree_delete(struct tree *t, const char *path); // the leaf, or all below

// The first leaf at or below `path`, and the next one still below it; NULL: none.
struct tree_leaf *tree_first(const struct tree *t, const char *path);
struct tree_leaf *tree_next(const struct tree_leaf *leaf, const char *path);
// The first leaf behind `path` in order, whether that is there or not: to walk on later. "": the
// first.
struct tree_leaf *tree_after(const struct tree *t, const char *path);
bool tree_below(const char *leaf, const char *path);
// The gnmi.Path of a leaf; NULL when memory is out.
const uint8_t *tree_wire(struct tree_leaf *leaf);
void tree_forget_watcher(struct tree *t, unsigned watcher);

// One pass at a time. `flags`: leaves with any of these are left alone.
void tree_pass_begin(struct tree *t, const char *below);
void tree_pass_end(struct tree *t, const char *below, unsigned except);

struct tree_reader {
	void (*gone)(void *ctx, const char *path); // a leaf, or a list entry with all below it
	void (*leaf)(void *ctx, struct tree_leaf *leaf);
};
bool tree_changed(const struct tree *t);
// All that went first, then all that is new.
void tree_flush(struct tree *t, const struct tree_reader *r, void *ctx);

// --- paths and values of collectors

struct leaf_path { // one list entry's path, to which leaves are appended
	char text[PATH_TEXT_MAX + 1];
	size_t len;
	bool failed; // too long: nothing is put
};
// printf into the path. Keys given as %s must have gone through path_key.
void leaf_at(struct leaf_path *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A key's value as it stands in a path: `]` and `\` escaped, control and non-ASCII bytes as _xNN.
enum { PATH_KEY_TEXT = 512 };
const char *path_key(char out[PATH_KEY_TEXT], const char *value);

struct leaf_writer {
	struct tree *tree;
	const struct leaf_path *at;
	int64_t time_ns;
	unsigned flags;
};
void leaf_text(const struct leaf_writer *w, const char *name, const char *text); // NULL: skipped
void leaf_uint(const struct leaf_writer *w, const char *name, uint64_t u);
void leaf_int(const struct leaf_writer *w, const char *name, int64_t i);
void leaf_bool(const struct leaf_writer *w, const char *name, bool b);
void leaf_json(const struct leaf_writer *w, const char *name, const char *json);
void leaf_drop(const struct leaf_writer *w, const char *name); // this leaf is no longer so
