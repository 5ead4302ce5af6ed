// SPDX-License-Identifier: Apache-2.0
// For the unit tests of lib/abe: asserting on struct err, short cuts, and a generator of policies.
#pragma once

#include "lib/abe/abe_internal.h"
#include "lib/crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline void check_good(struct err e, const char *file, int line)
{
	if (e.code != ERR_NONE) {
		print_error("%s\n", e.text);
		_fail(file, line);
	}
}
#define assert_good(expression) check_good((expression), __FILE__, __LINE__)

static inline void check_bad(enum err_code code, const char *words, struct err e, const char *file,
			     int line)
{
	if (e.code == code && (!words || strstr(e.text, words)))
		return;
	print_error("wanted %s \"%s\", got %s \"%s\"\n", err_code_name(code), words ? words : "",
		    err_code_name(e.code), e.text ? e.text : "");
	_fail(file, line);
}
#define assert_bad(code, words, expression) check_bad(code, words, (expression), __FILE__, __LINE__)

static inline struct policy *policy_of(const char *text)
{
	struct policy *p = NULL;
	struct err e = policy_parse(text, strlen(text), &p);
	if (e.code != ERR_NONE)
		fail_msg("%s: %s", text, e.text);
	return p;
}

static inline struct attributes *attributes_of(const char *text)
{
	struct attributes *a = NULL;
	struct err e = attributes_parse(text, strlen(text), &a);
	if (e.code != ERR_NONE)
		fail_msg("%s: %s", text, e.text);
	return a;
}

static inline bool permitted(const char *policy, const char *attributes)
{
	struct policy *p = policy_of(policy);
	struct attributes *a = attributes_of(attributes);
	bool yes = policy_permits(p, a);
	policy_free(p);
	attributes_free(a);
	return yes;
}

static inline blst_fr fr_of(uint64_t v)
{
	blst_fr a;
	scalar_small(&a, v);
	return a;
}

// A scalar that depends on the text only.
static inline blst_fr fr_seeded(const char *text)
{
	uint8_t hash[48] = {0};
	blst_fr a;
	hash_sha256(text, strlen(text), hash + 16);
	assert_true(scalar_reduce(hash, &a));
	return a;
}

static inline bool fr_same(const blst_fr *a, const blst_fr *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

// --- random policies over the attributes a0 = v ... a<universe - 1> = v, the same for one seed

static inline unsigned dice(uint64_t *seed, unsigned sides)
{
	*seed ^= *seed << 13; // xorshift64
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (unsigned)(*seed >> 33) % sides;
}

static inline void random_formula(uint64_t *seed, unsigned depth, unsigned universe,
				  struct buf *out)
{
	if (depth == 0 || dice(seed, 4) == 0) {
		buf_printf(out, "a%u = v", dice(seed, universe));
		return;
	}
	unsigned kind = dice(seed, 3), n = 2 + dice(seed, 3), k = 1 + dice(seed, n);
	buf_printf(out, kind == 2 ? "%u OF (" : "(", k);
	for (unsigned i = 0; i < n; i++) {
		buf_str(out, i == 0 ? "" : kind == 0 ? " AND " : kind == 1 ? " OR " : ", ");
		random_formula(seed, depth - 1, universe, out);
	}
	buf_str(out, ")");
}

// The next one that is a policy (an operand given twice is not).
static inline struct policy *random_policy(uint64_t *seed, unsigned depth, unsigned universe)
{
	for (;;) {
		scoped(buf) struct buf text = {0};
		struct policy *p;
		random_formula(seed, depth, universe, &text);
		if (policy_parse(buf_text(&text), text.len, &p).code == ERR_NONE)
			return p;
	}
}

// "a0=v,a3=v" of the bits of `mask`.
static inline struct attributes *attributes_of_mask(unsigned mask)
{
	scoped(buf) struct buf text = {0};
	for (unsigned i = 0; mask >> i; i++)
		if (mask >> i & 1)
			buf_printf(&text, "%sa%u=v", text.len ? "," : "", i);
	return attributes_of(buf_text(&text));
}

// --- files of vectors: lines "field value", a blank line ends a case, '#' comments

struct vector {
	struct vector_field {
		char *name, *value;
	} fields[16];
	size_t n;
};

static inline const char *vector_text(const struct vector *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->fields[i].name, name) == 0)
			return v->fields[i].value;
	fail_msg("the vector has no field %s", name);
	return NULL;
}

// The field's bytes from hexadecimal, appended.
static inline void vector_bytes(const struct vector *v, const char *name, struct buf *out)
{
	const char *hex = vector_text(v, name);
	size_t n = strlen(hex) / 2;
	uint8_t *at = buf_space(out, n);
	assert_non_null(at);
	assert_true(hash_unhex(hex, at, n));
}

static inline size_t vectors_run(const char *file, void (*each)(const struct vector *v))
{
	char path[4096], *line = NULL;
	size_t cases = 0, cap = 0;
	struct vector v = {.n = 0};
	snprintf(path, sizeof path, "%s/%s", VECTORS, file);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	for (bool more = true; more;) {
		more = getline(&line, &cap, f) > 0;
		if (!more || line[0] == '\n') {
			if (v.n) {
				each(&v);
				cases++;
			}
			for (size_t i = 0; i < v.n; i++)
				free(v.fields[i].name);
			v.n = 0;
			continue;
		}
		if (line[0] == '#')
			continue;
		assert_true(v.n < 16);
		struct vector_field *field = &v.fields[v.n++];
		line[strcspn(line, "\n")] = 0;
		field->name = strdup(line);
		size_t n = strcspn(field->name, " ");
		field->value = field->name + n + (field->name[n] == ' ');
		field->name[n] = 0;
	}
	free(line);
	fclose(f);
	return cases;
}
