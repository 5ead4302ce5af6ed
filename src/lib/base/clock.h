// SPDX-License-Identifier: Apache-2.0
// Time. Wall time is nanoseconds since 1970-01-01 UTC as int64_t (gNMI's unit); durations and
// timers use the monotonic clock. Used by every process.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S 1000000000LL

int64_t clock_wall_ns(void);
int64_t clock_mono_ns(void);

enum { CLOCK_TEXT_MAX = 40 };
// RFC 3339 UTC with milliseconds: 2026-11-24T09:30:00.123Z. Returns `out`.
char *clock_format(int64_t wall_ns, char out[CLOCK_TEXT_MAX]);
// RFC 3339 (Z or an offset, optional fraction), or integer nanoseconds since 1970, or a past
// duration such as "-90s", "-5m", "-2h", "-1d" relative to now. ERR_USAGE with examples.
MUST_USE struct err clock_parse(const char *text, int64_t *wall_ns);
