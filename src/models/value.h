// SPDX-License-Identifier: Apache-2.0
// From a record's value to a typed field, by the type that the schema names. A value of another
// type, or out of its range, is refused whole: the field then holds nothing.
// Used by state.c and by the fuzz target.
#pragma once

#include "lib/batch/batch.h"
#include "models/schema.h"

enum value_outcome { VALUE_SAME, VALUE_CHANGED, VALUE_REFUSED };

enum { VALUE_TEXT_MAX = 8192 };

// `object` is the value struct that `leaf->offset` points into. Text is allocated and owned by the
// field; value_clear frees it. `time_ns` dates counters. `*bytes` follows what the field holds.
enum value_outcome value_set(const struct schema_leaf *leaf, void *object,
			     const struct batch_value *v, int64_t time_ns, size_t *bytes);
// IP protocol: number or name ("TCP", "openconfig-packet-match-types:IP_TCP"); -1: not known.
int protocol_parse(const char *text, size_t n);
void value_clear(const struct schema_leaf *leaf, void *object, size_t *bytes);
