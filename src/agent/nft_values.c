// SPDX-License-Identifier: Apache-2.0
// The right side of a match: a value, a prefix, a range, a set, or the name of a set.

#include "agent/nft_internal.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add(struct nft_values *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool add(struct nft_values *out, const char *format, ...)
{
	if (out->n == NFT_VALUES_MAX)
		return false;
	va_list args;
	va_start(args, format);
	int n = vsnprintf(out->text[out->n], NFT_VALUE_TEXT, format, args);
	va_end(args);
	if (n < 0 || n >= NFT_VALUE_TEXT)
		return false;
	out->n++;
	return true;
}

static int family_of(enum nft_field field)
{
	return field == NFT_SOURCE6 || field == NFT_DESTINATION6 ? AF_INET6 : AF_INET;
}

static bool is_address(enum nft_field field)
{
	return field <= NFT_DESTINATION6;
}

// --- ranges of addresses as prefixes: big-endian arithmetic on 16 bytes

static int bit(const uint8_t *a, unsigned i)
{
	return a[i / 8] >> (7 - i % 8) & 1;
}

// Adds 2^(bits - length) to the address; false when it wraps.
static bool step(uint8_t *a, unsigned length)
{
	unsigned byte = (length - 1) / 8, carry = 1u << (7 - (length - 1) % 8);
	for (int i = (int)byte; i >= 0; i--) {
		unsigned sum = a[i] + carry;
		a[i] = (uint8_t)sum;
		if (sum < 256)
			return true;
		carry = 1;
	}
	return false;
}

static void last_of(const uint8_t *a, unsigned length, unsigned bits, uint8_t *out)
{
	memcpy(out, a, bits / 8);
	for (unsigned i = length; i < bits; i++)
		out[i / 8] |= (uint8_t)(1u << (7 - i % 8));
}

bool nft_range_prefixes(int family, const char *first, const char *last, struct nft_values *out)
{
	uint8_t at[16] = {0}, end[16] = {0}, top[16];
	unsigned bits = family == AF_INET ? 32 : 128;
	if (inet_pton(family, first, at) != 1 || inet_pton(family, last, end) != 1 ||
	    memcmp(at, end, bits / 8) > 0)
		return false;
	for (;;) {
		unsigned length = bits; // the widest prefix that begins here and ends in time
		while (length > 0 && !bit(at, length - 1)) {
			last_of(at, length - 1, bits, top);
			if (memcmp(top, end, bits / 8) > 0)
				break;
			length--;
		}
		char ip[INET6_ADDRSTRLEN];
		inet_ntop(family, at, ip, sizeof ip);
		if (!add(out, "%s/%u", ip, length))
			return false;
		last_of(at, length, bits, top);
		if (memcmp(top, end, bits / 8) == 0)
			return true;
		if (length == 0 || !step(at, length))
			return false;
	}
}

static bool address_value(const char *text, int family, struct nft_values *out)
{
	uint8_t bytes[16];
	const char *slash = strchr(text, '/'); // older nft prints prefixes as text
	char ip[INET6_ADDRSTRLEN];
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned most = family == AF_INET ? 32 : 128;
	unsigned long length = most;
	if (n >= sizeof ip)
		return false;
	memcpy(ip, text, n);
	ip[n] = 0;
	if (slash) {
		char *end;
		length = strtoul(slash + 1, &end, 10);
		if (end == slash + 1 || *end || length > most)
			return false;
	}
	return inet_pton(family, ip, bytes) == 1 && add(out, "%s/%lu", ip, length);
}

static bool prefix_value(const json_t *prefix, int family, struct nft_values *out)
{
	const char *ip = json_string_value(json_object_get(prefix, "addr"));
	const json_t *len = json_object_get(prefix, "len");
	json_int_t length = json_integer_value(len);
	uint8_t bytes[16];
	return ip && json_is_integer(len) && length >= 0 &&
	       length <= (family == AF_INET ? 32 : 128) && inet_pton(family, ip, bytes) == 1 &&
	       add(out, "%s/%u", ip, (unsigned)length);
}

// --- scalars of the other fields

static bool port_value(const json_t *v, unsigned *port)
{
	json_int_t i = json_integer_value(v);
	*port = (unsigned)i;
	return json_is_integer(v) && i >= 0 && i <= 65535; // nft prints numbers unless told -S
}

static bool protocol_value(const json_t *v, struct nft_values *out)
{
	static const struct {
		const char *name;
		unsigned number;
	} names[] = {
		{"icmp", 1},	  {"igmp", 2},	   {"ipencap", 4}, {"tcp", 6},
		{"udp", 17},	  {"dccp", 33},	   {"ipv6", 41},   {"gre", 47},
		{"esp", 50},	  {"ah", 51},	   {"icmpv6", 58}, {"ipv6-icmp", 58},
		{"ospf", 89},	  {"ospfigp", 89}, {"ipip", 94},   {"pim", 103},
		{"comp", 108},	  {"ipcomp", 108}, {"vrrp", 112},  {"sctp", 132},
		{"udplite", 136},
	};
	json_int_t number = json_is_integer(v) ? json_integer_value(v) : -1;
	const char *name = json_string_value(v);
	for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i].name, name) == 0)
			number = names[i].number;
	if (number < 0 || number > 255)
		return false;
	const char *known = number == 1	   ? "ICMP"
			    : number == 6  ? "TCP"
			    : number == 17 ? "UDP"
					   : NULL;
	return known ? add(out, "%s", known) : add(out, "%d", (int)number);
}

static bool name_value(const json_t *v, struct nft_values *out)
{
	const char *name = json_string_value(v);
	return name && name[0] && name[0] != '@' && add(out, "%s", name);
}

static bool scalar(const json_t *v, enum nft_field field, struct nft_values *out)
{
	unsigned port;
	if (is_address(field))
		return json_is_string(v) &&
		       address_value(json_string_value(v), family_of(field), out);
	if (field == NFT_PROTOCOL)
		return protocol_value(v, out);
	if (field == NFT_SOURCE_PORT || field == NFT_DESTINATION_PORT)
		return port_value(v, &port) && add(out, "%u", port);
	return name_value(v, out);
}

static bool range(const json_t *v, enum nft_field field, struct nft_values *out)
{
	const json_t *low = json_array_get(v, 0), *high = json_array_get(v, 1);
	unsigned a, b;
	if (json_array_size(v) != 2)
		return false;
	if (is_address(field))
		return json_is_string(low) && json_is_string(high) &&
		       nft_range_prefixes(family_of(field), json_string_value(low),
					  json_string_value(high), out);
	if (field != NFT_SOURCE_PORT && field != NFT_DESTINATION_PORT)
		return false;
	return port_value(low, &a) && port_value(high, &b) && a <= b && add(out, "%u..%u", a, b);
}

// --- sets

static bool one(const json_t *v, enum nft_field field, struct nft_values *out)
{
	const json_t *inner;
	if ((inner = json_object_get(v, "elem"))) // with a timeout, a comment or a counter
		v = json_object_get(inner, "val");
	if ((inner = json_object_get(v, "prefix")))
		return is_address(field) && prefix_value(inner, family_of(field), out);
	if ((inner = json_object_get(v, "range")))
		return range(inner, field, out);
	return v && !json_is_object(v) && !json_is_array(v) && scalar(v, field, out);
}

static bool all(const json_t *list, enum nft_field field, struct nft_values *out)
{
	size_t i;
	json_t *v;
	json_array_foreach(list, i, v) if (!one(v, field, out)) return false;
	return true;
}

static const json_t *set_named(const json_t *sets, const char *family, const char *table,
			       const char *name)
{
	size_t i;
	json_t *s;
	json_array_foreach(sets, i, s)
	{
		const char *f = json_string_value(json_object_get(s, "family"));
		const char *t = json_string_value(json_object_get(s, "table"));
		const char *n = json_string_value(json_object_get(s, "name"));
		if (f && t && n && strcmp(f, family) == 0 && strcmp(t, table) == 0 &&
		    strcmp(n, name) == 0)
			return s;
	}
	return NULL;
}

bool nft_values_read(const json_t *right, enum nft_field field, const char *family,
		     const char *table, const json_t *sets, struct nft_values *out)
{
	const json_t *list = json_object_get(right, "set");
	const char *name = json_string_value(right);
	if (list)
		return json_is_array(list) ? all(list, field, out) : one(list, field, out);
	if (json_is_array(right))
		return all(right, field, out);
	if (name && name[0] == '@') {
		const json_t *set = set_named(sets, family, table, name + 1);
		const json_t *elements = json_object_get(set, "elem");
		return set && (!elements || all(elements, field, out));
	}
	return one(right, field, out);
}
