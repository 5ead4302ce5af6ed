// SPDX-License-Identifier: Apache-2.0
// Texts, names and escapes of the Cedar language, positions in a source, and the hash under which
// names and expressions are found.
#pragma once

#include "lib/base/mem.h"
#include "lib/cedar/cedar.h"

#include <string.h>

static inline bool text_equal(struct cedar_text a, struct cedar_text b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

static inline bool text_is(struct cedar_text a, const char *s)
{
	return a.n == strlen(s) && memcmp(a.s, s, a.n) == 0;
}

// Shorter first: any total order will do, and this one seldom looks at the bytes.
static inline int text_compare(struct cedar_text a, struct cedar_text b)
{
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return a.n ? memcmp(a.s, b.s, a.n) : 0;
}

// For "%.*s"; never more than 200 bytes of it.
#define TEXT_ARG(t) (int)((t).n < 200 ? (t).n : 200), (t).s ? (t).s : ""

// Keyed with a random number of this process, so that names cannot be chosen to collide.
uint64_t cedar_hash(const void *bytes, size_t n, uint64_t seed);
static inline uint64_t hash_text(struct cedar_text t, uint64_t seed)
{
	return cedar_hash(t.s, t.n, seed);
}
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m =
		(unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xe7037ed1a0b428dbu);
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

bool cedar_utf8_valid(struct cedar_text t);
// The line and column (in characters), both from 1, of a byte of the source.
void cedar_position(struct cedar_text source, size_t at, unsigned *line, unsigned *column);
// ERR_USAGE "line:column: ..."
struct err cedar_syntax(struct cedar_text source, size_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4))) MUST_USE;

bool cedar_reserved(struct cedar_text ident); // may not be used as an identifier
// IDENT {"::" IDENT}, none reserved, without spaces; `internal` also allows __cedar.
bool cedar_name_valid(struct cedar_text name, bool internal);
struct cedar_text cedar_basename(struct cedar_text name);
struct cedar_text cedar_namespace(struct cedar_text name); // empty when there is none
// NS::NAME, or NAME when ns is empty; .s NULL when memory is out.
struct cedar_text cedar_qualify(struct arena *a, struct cedar_text ns, struct cedar_text name);
struct cedar_text cedar_copy(struct arena *a, struct cedar_text t); // .s NULL when memory is out

// A `like` pattern: parts with any text between them. Parts[0] begins the text, the last ends it.
struct pattern {
	uint32_t n; // one more than there are *
	struct cedar_text part[];
};
bool cedar_pattern_matches(const struct pattern *p, struct cedar_text t);

// Undoes the escapes of a string literal's inside. `what` must point at `raw` in `source`.
MUST_USE struct err cedar_unescape(struct arena *a, struct cedar_text source, struct cedar_text raw,
				   struct cedar_text *out);
MUST_USE struct err cedar_unescape_pattern(struct arena *a, struct cedar_text source,
					   struct cedar_text raw, const struct pattern **out);

MUST_USE struct err cedar_no_memory(void); // ERR_LIMIT
#define NEED(pointer)                                                                              \
	do {                                                                                       \
		if (!(pointer))                                                                    \
			return cedar_no_memory();                                                  \
	} while (0)

// A growing array: VEC(struct x) list = {0}; VEC_PUSH(&list, value); free(list.v).
#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n, cap;                                                                     \
	}
bool cedar_vec_grow(void *v, size_t size, size_t n, size_t *cap);
#define VEC_PUSH(list, value)                                                                      \
	do {                                                                                       \
		if ((list)->n == (list)->cap &&                                                    \
		    !cedar_vec_grow(&(list)->v, sizeof *(list)->v, (list)->n, &(list)->cap))       \
			return cedar_no_memory();                                                  \
		(list)->v[(list)->n++] = (value);                                                  \
	} while (0)
