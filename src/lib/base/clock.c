// SPDX-License-Identifier: Apache-2.0

#include "lib/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_wall_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

char *clock_format(int64_t wall_ns, char out[CLOCK_TEXT_MAX])
{
	int64_t second = wall_ns / NS_PER_S, rest = wall_ns % NS_PER_S;
	if (rest < 0) {
		second--;
		rest += NS_PER_S;
	}
	time_t t = (time_t)second;
	struct tm tm;
	gmtime_r(&t, &tm);
	size_t n = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLOCK_TEXT_MAX - n, ".%03dZ", (int)(rest / NS_PER_MS));
	return out;
}

static struct err clock_bad(const char *text)
{
	return err_make(ERR_USAGE,
			"time \"%.64s\": write RFC 3339 (2026-11-24T09:30:00Z), nanoseconds since "
			"1970, or a time ago (-90s, -5m, -2h, -1d)",
			text);
}

static struct err clock_parse_ago(const char *text, int64_t *wall_ns)
{
	static const struct {
		char unit;
		int64_t ns;
	} units[] = {{'s', NS_PER_S}, {'m', 60 * NS_PER_S}, {'h', 3600 * NS_PER_S},
		     {'d', 86400 * NS_PER_S}};
	char *end;
	long long n = strtoll(text + 1, &end, 10);
	if (end == text + 1 || n < 0 || n > 1000000)
		return clock_bad(text);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (end[0] == units[i].unit && !end[1] && n <= clock_wall_ns() / units[i].ns) {
			*wall_ns = clock_wall_ns() - n * units[i].ns;
			return OK;
		}
	return clock_bad(text);
}

static bool clock_parse_zone(const char *p, int64_t *offset_s)
{
	if ((*p == 'Z' || *p == 'z') && !p[1]) {
		*offset_s = 0;
		return true;
	}
	int h, m, n = 0;
	if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &h, &m, &n) != 2 || p[1 + n])
		return false;
	*offset_s = (h * 3600 + m * 60) * (*p == '-' ? -1 : 1);
	return h >= 0 && h < 24 && m >= 0 && m < 60;
}

struct err clock_parse(const char *text, int64_t *wall_ns)
{
	if (text[0] == '-')
		return clock_parse_ago(text, wall_ns);
	struct tm tm = {0};
	char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!p) {
		char *end;
		long long n = strtoll(text, &end, 10);
		if (end == text || *end || n < 0)
			return clock_bad(text);
		*wall_ns = n;
		return OK;
	}
	int64_t fraction = 0;
	if (*p == '.') {
		int64_t unit = NS_PER_S / 10;
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			fraction += (*p - '0') * unit;
	}
	int64_t offset;
	if (!clock_parse_zone(p, &offset))
		return clock_bad(text);
	// int64_t nanoseconds end in the year 2262
	if (tm.tm_year < 70 || tm.tm_year > 2261 - 1900)
		return clock_bad(text);
	*wall_ns = ((int64_t)timegm(&tm) - offset) * NS_PER_S + fraction;
	return OK;
}
