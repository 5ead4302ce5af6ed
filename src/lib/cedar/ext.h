// SPDX-License-Identifier: Apache-2.0
// The extension types decimal, ipaddr, datetime and duration and their functions.
#pragma once

#include "lib/cedar/value.h"

enum fn {
	FN_DECIMAL, // the four constructors come first
	FN_IP,
	FN_DATETIME,
	FN_DURATION,
	FN_LESS_THAN,
	FN_LESS_THAN_OR_EQUAL,
	FN_GREATER_THAN,
	FN_GREATER_THAN_OR_EQUAL,
	FN_IS_IPV4,
	FN_IS_IPV6,
	FN_IS_LOOPBACK,
	FN_IS_MULTICAST,
	FN_IS_IN_RANGE,
	FN_OFFSET,
	FN_DURATION_SINCE,
	FN_TO_DATE,
	FN_TO_TIME,
	FN_TO_MILLISECONDS,
	FN_TO_SECONDS,
	FN_TO_MINUTES,
	FN_TO_HOURS,
	FN_TO_DAYS,
	FN_COUNT,
	FN_CONSTRUCTORS = FN_DURATION + 1,
};

struct fn_info {
	const char *name;
	bool method; // written x.name(), else name(x)
	uint8_t arity;
	uint8_t takes[2]; // enum value_kind
	uint8_t gives;
};
extern const struct fn_info cedar_fns[FN_COUNT];

bool cedar_fn_find(struct cedar_text name, enum fn *out);
// The constructor of an extension type, such as FN_IP for VALUE_IP.
enum fn cedar_fn_constructor(enum value_kind kind);

// What went wrong with a text, or NULL and the value; an ip goes to the arena.
const char *cedar_ext_parse(enum fn constructor, struct cedar_text t, struct arena *a,
			    struct value *out);
bool cedar_ip_parse(struct cedar_text t, struct ip *out);
bool cedar_datetime_parse(struct cedar_text t, int64_t *out);
bool cedar_duration_parse(struct cedar_text t, int64_t *out);

// Calls with any arguments; a text of what went wrong, or NULL and the value.
const char *cedar_ext_call(enum fn f, const struct value *args, size_t n, struct arena *a,
			   struct value *out);
