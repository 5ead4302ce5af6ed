// SPDX-License-Identifier: Apache-2.0
// Texts of IP addresses, datetimes and durations, exactly as the language defines them: no more is
// accepted, since a policy that is read differently elsewhere is a hole.

#include "lib/base/cursor.h"
#include "lib/cedar/ext.h"

enum { IP_TEXT_MAX = 43 }; // eight groups of four, seven colons, /128

static int peek(const struct cursor *c)
{
	return cursor_left(c) ? *c->at : -1;
}

static bool accept(struct cursor *c, char want)
{
	if (peek(c) != want)
		return false;
	cursor_take(c, 1);
	return true;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

// One to `most` digits without leading zeros.
static bool small_number(struct cursor *c, unsigned most, unsigned *out)
{
	unsigned n = 0, v = 0;
	bool zero = peek(c) == '0';
	for (; is_digit(peek(c)); n++) {
		if (n == most)
			return false;
		v = v * 10 + *cursor_take(c, 1) - '0';
	}
	*out = v;
	return n && !(zero && n > 1);
}

static bool parse_v4(struct cursor *c, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned v;
		if ((i && !accept(c, '.')) || !small_number(c, 3, &v) || v > 255)
			return false;
		out[i] = (uint8_t)v;
	}
	return true;
}

static int hex(int c)
{
	return is_digit(c)	      ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool group(struct cursor *c, uint8_t out[2])
{
	unsigned n = 0, v = 0;
	for (; n < 4 && hex(peek(c)) >= 0; n++)
		v = v << 4 | (unsigned)hex(*cursor_take(c, 1));
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
	return n;
}

// Groups separated by colons; one :: stands for the groups that are missing. No embedded IPv4.
static bool parse_v6(struct cursor *c, uint8_t out[16])
{
	uint8_t tail[16] = {0};
	unsigned head_n = 0, tail_n = 0;
	while (head_n < 8 && peek(c) != ':') {
		if (!group(c, out + 2 * head_n++))
			return false;
		if (head_n == 8)
			return true;
		if (!accept(c, ':'))
			return false;
		if (peek(c) == ':')
			break;
	}
	// here one colon of :: was read when there was a group, none when it begins the text
	if ((!head_n && !accept(c, ':')) || !accept(c, ':'))
		return false;
	while (head_n + tail_n < 7 && hex(peek(c)) >= 0) {
		group(c, tail + 2 * tail_n++);
		if (peek(c) != ':')
			break;
		if (head_n + tail_n == 7)
			return false;
		cursor_take(c, 1);
		if (hex(peek(c)) < 0)
			return false;
	}
	memset(out + 2 * head_n, 0, 16 - 2 * head_n);
	memcpy(out + 16 - 2 * tail_n, tail, 2 * tail_n);
	return true;
}

bool cedar_ip_parse(struct cedar_text t, struct ip *out)
{
	if (t.n > IP_TEXT_MAX)
		return false;
	struct cursor c = cursor_over(t.s, t.n);
	memset(out, 0, sizeof *out);
	out->v6 = t.n && memchr(t.s, ':', t.n) != NULL;
	if (!(out->v6 ? parse_v6(&c, out->bytes) : parse_v4(&c, out->bytes)))
		return false;
	unsigned most = out->v6 ? 128 : 32, prefix = most;
	if (accept(&c, '/') && (!small_number(&c, out->v6 ? 3 : 2, &prefix) || prefix > most))
		return false;
	out->prefix = (uint8_t)prefix;
	return cursor_left(&c) == 0;
}

// Exactly n digits.
static bool digits(struct cursor *c, unsigned n, int64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < n; i++) {
		if (!is_digit(peek(c)))
			return false;
		*out = *out * 10 + *cursor_take(c, 1) - '0';
	}
	return true;
}

static bool leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
static bool days_of(int64_t year, int64_t month, int64_t day, int64_t *out)
{
	static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (month < 1 || month > 12 || day < 1 ||
	    day > lengths[month - 1] + (month == 2 && leap(year)))
		return false;
	int64_t before = year + 399; // years are counted from -400, to keep divisions positive
	int64_t days = before * 365 + before / 4 - before / 100 + before / 400;
	for (int64_t m = 1; m < month; m++)
		days += lengths[m - 1] + (m == 2 && leap(year));
	static const int64_t epoch = 2369LL * 365 + 2369 / 4 - 2369 / 100 + 2369 / 400;
	*out = days + day - 1 - epoch;
	return true;
}

static bool clock_time(struct cursor *c, int64_t *ms)
{
	int64_t h, m, s, milli = 0, sign = 0, zone_h = 0, zone_m = 0;
	if (!accept(c, 'T') || !digits(c, 2, &h) || !accept(c, ':') || !digits(c, 2, &m) ||
	    !accept(c, ':') || !digits(c, 2, &s) || (accept(c, '.') && !digits(c, 3, &milli)))
		return false;
	if (!accept(c, 'Z')) {
		sign = peek(c) == '+' ? 1 : -1;
		if ((!accept(c, '+') && !accept(c, '-')) || !digits(c, 2, &zone_h) ||
		    !digits(c, 2, &zone_m))
			return false;
	}
	*ms = ((h * 60 + m - sign * (zone_h * 60 + zone_m)) * 60 + s) * 1000 + milli;
	return h < 24 && m < 60 && s < 60 && zone_h < 24 && zone_m < 60;
}

bool cedar_datetime_parse(struct cedar_text t, int64_t *out)
{
	struct cursor c = cursor_over(t.s, t.n);
	int64_t year, month, day, days, ms = 0;
	if (!digits(&c, 4, &year) || !accept(&c, '-') || !digits(&c, 2, &month) ||
	    !accept(&c, '-') || !digits(&c, 2, &day) || !days_of(year, month, day, &days))
		return false;
	if (cursor_left(&c) && !clock_time(&c, &ms))
		return false;
	*out = days * 86400000 + ms;
	return cursor_left(&c) == 0;
}

bool cedar_duration_parse(struct cedar_text t, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	struct cursor c = cursor_over(t.s, t.n);
	int64_t sign = accept(&c, '-') ? -1 : 1, sum = 0;
	unsigned next = 0, any = 0;
	for (; cursor_left(&c); any++) {
		int64_t v = 0;
		bool seen = false;
		for (; is_digit(peek(&c)); seen = true) {
			int64_t digit = sign * (*cursor_take(&c, 1) - '0');
			if (__builtin_mul_overflow(v, 10, &v) ||
			    __builtin_add_overflow(v, digit, &v))
				return false;
		}
		bool ms = cursor_left(&c) >= 2 && memcmp(c.at, "ms", 2) == 0;
		unsigned u = next;
		while (u < 5 && (ms ? u != 4 : u == 4 || peek(&c) != units[u].unit[0]))
			u++;
		if (!seen || u == 5 || __builtin_mul_overflow(v, units[u].ms, &v) ||
		    __builtin_add_overflow(sum, v, &sum))
			return false;
		cursor_take(&c, strlen(units[u].unit));
		next = u + 1;
	}
	*out = sum;
	return any;
}
