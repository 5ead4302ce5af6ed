// SPDX-License-Identifier: Apache-2.0
// For the unit tests of lib/crypto: asserting on struct err, and files of published vectors
// (tests/vectors: lines "field hex", a blank line ends a case, '#' comments).
#pragma once

#include "lib/base/mem.h"
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

// Fails with this code and a text that holds `words` (NULL: any).
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

static inline struct secret *secret_of(const void *bytes, size_t n)
{
	struct secret *s = secret_new(n);
	assert_non_null(s);
	memcpy(secret_bytes(s), bytes, n);
	return s;
}

struct vector {
	struct vector_field {
		char name[16];
		uint8_t bytes[256];
		size_t len;
	} fields[8];
	size_t n;
};

static inline const struct vector_field *vector_get(const struct vector *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->fields[i].name, name) == 0)
			return &v->fields[i];
	fail_msg("the vector has no field %s", name);
	return NULL;
}

// Runs `each` over the cases of tests/vectors/`file`; returns how many there were.
static inline size_t vectors_run(const char *file, void (*each)(const struct vector *v))
{
	char path[4096], line[1024];
	snprintf(path, sizeof path, "%s/%s", VECTORS, file);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	struct vector v = {.n = 0};
	size_t cases = 0;
	for (bool more = true; more;) {
		more = fgets(line, sizeof line, f) != NULL;
		if (!more || line[0] == '\n') {
			if (v.n) {
				each(&v);
				cases++;
			}
			v.n = 0;
			continue;
		}
		if (line[0] == '#')
			continue;
		assert_true(v.n < 8);
		struct vector_field *field = &v.fields[v.n++];
		char hex[600] = "";
		assert_true(sscanf(line, "%15s %599s", field->name, hex) >= 1);
		field->len = strlen(hex) / 2;
		assert_true(hash_unhex(hex, field->bytes, field->len));
	}
	fclose(f);
	return cases;
}
