// SPDX-License-Identifier: Apache-2.0
// The table of the extension functions, their calls, and decimal.

#include "lib/cedar/ext.h"

#define B VALUE_BOOL
#define L VALUE_LONG
#define S VALUE_STRING
#define DE VALUE_DECIMAL
#define IP VALUE_IP
#define DT VALUE_DATETIME
#define DU VALUE_DURATION
const struct fn_info cedar_fns[FN_COUNT] = {
	[FN_DECIMAL] = {"decimal", false, 1, {S}, DE},
	[FN_IP] = {"ip", false, 1, {S}, IP},
	[FN_DATETIME] = {"datetime", false, 1, {S}, DT},
	[FN_DURATION] = {"duration", false, 1, {S}, DU},
	[FN_LESS_THAN] = {"lessThan", true, 2, {DE, DE}, B},
	[FN_LESS_THAN_OR_EQUAL] = {"lessThanOrEqual", true, 2, {DE, DE}, B},
	[FN_GREATER_THAN] = {"greaterThan", true, 2, {DE, DE}, B},
	[FN_GREATER_THAN_OR_EQUAL] = {"greaterThanOrEqual", true, 2, {DE, DE}, B},
	[FN_IS_IPV4] = {"isIpv4", true, 1, {IP}, B},
	[FN_IS_IPV6] = {"isIpv6", true, 1, {IP}, B},
	[FN_IS_LOOPBACK] = {"isLoopback", true, 1, {IP}, B},
	[FN_IS_MULTICAST] = {"isMulticast", true, 1, {IP}, B},
	[FN_IS_IN_RANGE] = {"isInRange", true, 2, {IP, IP}, B},
	[FN_OFFSET] = {"offset", true, 2, {DT, DU}, DT},
	[FN_DURATION_SINCE] = {"durationSince", true, 2, {DT, DT}, DU},
	[FN_TO_DATE] = {"toDate", true, 1, {DT}, DT},
	[FN_TO_TIME] = {"toTime", true, 1, {DT}, DU},
	[FN_TO_MILLISECONDS] = {"toMilliseconds", true, 1, {DU}, L},
	[FN_TO_SECONDS] = {"toSeconds", true, 1, {DU}, L},
	[FN_TO_MINUTES] = {"toMinutes", true, 1, {DU}, L},
	[FN_TO_HOURS] = {"toHours", true, 1, {DU}, L},
	[FN_TO_DAYS] = {"toDays", true, 1, {DU}, L},
};

enum { DECIMAL_DIGITS = 4 };
static const int64_t day_ms = 86400000;

bool cedar_fn_find(struct cedar_text name, enum fn *out)
{
	for (unsigned f = 0; f < FN_COUNT; f++)
		if (text_is(name, cedar_fns[f].name)) {
			*out = f;
			return true;
		}
	return false;
}

enum fn cedar_fn_constructor(enum value_kind kind)
{
	return kind == VALUE_DECIMAL	? FN_DECIMAL
	       : kind == VALUE_IP	? FN_IP
	       : kind == VALUE_DATETIME ? FN_DATETIME
					: FN_DURATION;
}

static bool decimal_parse(struct cedar_text t, int64_t *out)
{
	bool negative = t.n && t.s[0] == '-';
	size_t i = negative, whole = 0, fraction = 0;
	int64_t v = 0;
	for (; i < t.n && (t.s[i] == '.' ? !fraction && whole : t.s[i] >= '0' && t.s[i] <= '9');
	     i++) {
		if (t.s[i] == '.') {
			fraction = 1; // counts the point, too
			continue;
		}
		int64_t digit = t.s[i] - '0';
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, negative ? -digit : digit, &v))
			return false;
		if (fraction)
			fraction++;
		else
			whole++;
	}
	if (i < t.n || fraction < 2 || fraction > DECIMAL_DIGITS + 1)
		return false;
	for (; fraction < DECIMAL_DIGITS + 1; fraction++)
		if (__builtin_mul_overflow(v, 10, &v))
			return false;
	*out = v;
	return true;
}

const char *cedar_ext_parse(enum fn constructor, struct cedar_text t, struct arena *a,
			    struct value *out)
{
	int64_t i = 0;
	struct ip ip = {0};
	switch (constructor) {
	case FN_DECIMAL:
		*out = (struct value){.kind = VALUE_DECIMAL};
		if (!decimal_parse(t, &out->i))
			return "no decimal: digits, a point and one to four digits, within 64 bits";
		return NULL;
	case FN_DATETIME:
		if (!cedar_datetime_parse(t, &i))
			return "no datetime: YYYY-MM-DD, or YYYY-MM-DDThh:mm:ss[.mmm] with Z, "
			       "+hhmm or "
			       "-hhmm";
		*out = value_int(VALUE_DATETIME, i);
		return NULL;
	case FN_DURATION:
		if (!cedar_duration_parse(t, &i))
			return "no duration: such as 1d2h3m4s5ms, in this order, within 64 bits";
		*out = value_int(VALUE_DURATION, i);
		return NULL;
	default:
		if (!cedar_ip_parse(t, &ip))
			return "no IP address or range in CIDR form";
		struct ip *p = arena_alloc(a, sizeof *p);
		if (!p)
			return "memory is out";
		*p = ip;
		*out = (struct value){.kind = VALUE_IP, .ip = p};
		return NULL;
	}
}

// Everything after the prefix is the host's.
static bool same_network(const struct ip *a, const struct ip *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	return memcmp(a->bytes, b->bytes, whole) == 0 &&
	       (!rest || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0);
}

static bool is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};
	return ip->v6 ? memcmp(ip->bytes, one, 16) == 0 && ip->prefix == 128
		      : ip->bytes[0] == 127 && ip->prefix >= 8;
}

static bool is_multicast(const struct ip *ip)
{
	return ip->v6 ? ip->bytes[0] == 0xff && ip->prefix >= 8
		      : ip->bytes[0] >> 4 == 14 && ip->prefix >= 4;
}

static bool call_ip(enum fn f, const struct value *args)
{
	const struct ip *ip = args[0].ip;
	switch (f) {
	case FN_IS_IPV4:
		return !ip->v6;
	case FN_IS_IPV6:
		return ip->v6;
	case FN_IS_LOOPBACK:
		return is_loopback(ip);
	case FN_IS_MULTICAST:
		return is_multicast(ip);
	default:
		return ip->v6 == args[1].ip->v6 && ip->prefix >= args[1].ip->prefix &&
		       same_network(ip, args[1].ip, args[1].ip->prefix);
	}
}

static int64_t time_of_day(int64_t ms)
{
	int64_t rest = ms % day_ms;
	return rest < 0 ? rest + day_ms : rest;
}

static bool call_time(enum fn f, const struct value *args, int64_t *out)
{
	int64_t ms = args[0].i;
	switch (f) {
	case FN_OFFSET:
		return !__builtin_add_overflow(ms, args[1].i, out);
	case FN_DURATION_SINCE:
		return !__builtin_sub_overflow(ms, args[1].i, out);
	case FN_TO_DATE: // the day that it falls in: rounds down, before 1970, too
		return !__builtin_sub_overflow(ms, time_of_day(ms), out);
	case FN_TO_TIME:
		*out = time_of_day(ms);
		return true;
	case FN_TO_SECONDS:
		*out = ms / 1000;
		return true;
	case FN_TO_MINUTES:
		*out = ms / 60000;
		return true;
	case FN_TO_HOURS:
		*out = ms / 3600000;
		return true;
	case FN_TO_DAYS:
		*out = ms / day_ms;
		return true;
	default:
		*out = ms;
		return true;
	}
}

static bool call_decimal(enum fn f, int64_t a, int64_t b)
{
	switch (f) {
	case FN_LESS_THAN:
		return a < b;
	case FN_LESS_THAN_OR_EQUAL:
		return a <= b;
	case FN_GREATER_THAN:
		return a > b;
	default:
		return a >= b;
	}
}

const char *cedar_ext_call(enum fn f, const struct value *args, size_t n, struct arena *a,
			   struct value *out)
{
	const struct fn_info *info = &cedar_fns[f];
	if (n != info->arity)
		return "the number of arguments is wrong";
	for (size_t i = 0; i < n; i++)
		if (args[i].kind != info->takes[i])
			return "an argument has the wrong type";
	if (f < FN_CONSTRUCTORS)
		return cedar_ext_parse(f, value_string(args), a, out);
	*out = (struct value){.kind = info->gives};
	if (info->takes[0] == VALUE_DECIMAL)
		out->b = call_decimal(f, args[0].i, args[1].i);
	else if (info->takes[0] == VALUE_IP)
		out->b = call_ip(f, args);
	else if (!call_time(f, args, &out->i))
		return "the time overflows 64 bits of milliseconds";
	return NULL;
}
