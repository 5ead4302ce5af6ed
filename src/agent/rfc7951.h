// SPDX-License-Identifier: Apache-2.0
// Leaves as JSON by RFC 7951, for clients that ask for JSON_IETF or JSON: one value, or all below a
// path as one document. The tree's order keeps each container and each list entry together, so that
// a document is written in one pass, with the previous path as the only state.
// Used by agent (wire).
#pragma once

#include "agent/tree.h"

// `ietf`: 64-bit numbers as strings (6.1) and module names (4). Otherwise plain JSON.
void rfc7951_value(struct buf *out, const struct tree_leaf *leaf, bool ietf);
// The node at `path` with all below it: an object, or the value of a leaf. ERR_NOT_FOUND.
MUST_USE struct err rfc7951_node(struct buf *out, const struct tree *t, const char *path,
				 bool ietf);
// Where the first n elements of a path's text end.
size_t rfc7951_cut(const char *path, unsigned elems);
