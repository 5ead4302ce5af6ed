// SPDX-License-Identifier: Apache-2.0
// Text for a terminal: foreign text made harmless, times as people say them, tables that fit, state
// in colour. Pure: everything goes into a buffer. Used by gemel(1).
#pragma once

#include "lib/base/mem.h"

#include <jansson.h>

struct style {
	bool terminal; // aligned, shortened, "12 s ago"; else tabs, whole, exact
	bool colour;
	unsigned width; // columns of the terminal
	int64_t now_ns;
};

// Appends `s` with control characters (also C1 and what turns the direction of writing) as '?':
// names of devices must not steer the terminal. Invalid UTF-8 too.
void text_safe(const char *s, struct buf *out);
unsigned text_columns(const char *s); // code points; good enough for names
// "now", "12 s ago", "3 min ago", "in 2 h".
void text_ago(int64_t then_ns, int64_t now_ns, struct buf *out);
// RFC 3339 text as text_ago on a terminal, as it is elsewhere.
void text_time(const char *rfc3339, const struct style *s, struct buf *out);
// A JSON scalar as text; arrays of scalars joined by ", "; objects as compact JSON.
void text_value(const json_t *j, struct buf *out);
// State words in colour: green what is as it should be, red what is not, yellow in between.
void text_state(const char *word, const struct style *s, struct buf *out);
bool text_is_time(const char *key, const json_t *j);
bool text_is_state(const char *key);

struct table; // opaque
struct table *table_new(unsigned columns); // NULL: out of memory
void table_free(struct table *t);
void table_head(struct table *t, const char *const *names); // copied, in capitals on a terminal
void table_cell(struct table *t, const char *text, bool state); // row by row; copied, made safe
void table_print(const struct table *t, const struct style *s, struct buf *out);
unsigned table_rows(const struct table *t);
