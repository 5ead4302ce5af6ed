// SPDX-License-Identifier: Apache-2.0

#include "models/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool address_parse(const char *text, size_t n, struct address *out)
{
	char copy[ADDRESS_TEXT_MAX];
	*out = (struct address){0};
	if (n == 0 || n >= sizeof copy || memchr(text, 0, n))
		return false;
	memcpy(copy, text, n);
	copy[n] = 0;
	bool six = memchr(copy, ':', n) != NULL;
	if (inet_pton(six ? AF_INET6 : AF_INET, copy, out->bytes) != 1)
		return false;
	out->family = six ? 6 : 4;
	return true;
}

bool prefix_parse(const char *text, size_t n, struct prefix *out)
{
	const char *slash = memchr(text, '/', n);
	size_t head = slash ? (size_t)(slash - text) : n;
	struct address a;
	if (!address_parse(text, head, &a))
		return false;
	unsigned length = address_bits(&a);
	if (slash) {
		size_t digits = n - head - 1;
		if (digits == 0 || digits > 3)
			return false;
		length = 0;
		for (size_t i = 0; i < digits; i++) {
			if (slash[1 + i] < '0' || slash[1 + i] > '9')
				return false;
			length = length * 10 + (unsigned)(slash[1 + i] - '0');
		}
		if (length > address_bits(&a))
			return false;
	}
	*out = prefix_around(&a, length);
	return true;
}

char *address_print(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
	out[0] = 0;
	if (a->family)
		inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->bytes, out, ADDRESS_TEXT_MAX);
	return out;
}

char *prefix_print(const struct prefix *p, char out[PREFIX_TEXT_MAX])
{
	char address[ADDRESS_TEXT_MAX];
	snprintf(out, PREFIX_TEXT_MAX, "%s/%u", address_print(&p->address, address), p->length);
	return out;
}

int address_compare(const struct address *a, const struct address *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int order = address_compare(&a->address, &b->address);
	return order ? order : (int)a->length - (int)b->length;
}

bool prefix_contains(const struct prefix *p, const struct address *a)
{
	if (p->address.family != a->family)
		return false;
	unsigned whole = p->length / 8, rest = p->length % 8;
	if (memcmp(p->address.bytes, a->bytes, whole) != 0)
		return false;
	return rest == 0 || (p->address.bytes[whole] ^ a->bytes[whole]) >> (8 - rest) == 0;
}

struct prefix prefix_around(const struct address *a, unsigned length)
{
	struct prefix p = {*a, 0};
	unsigned bits = address_bits(a);
	p.length = (uint8_t)(length > bits ? bits : length);
	for (unsigned bit = p.length; bit < bits; bit++)
		p.address.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return p;
}

struct address prefix_last(const struct prefix *p)
{
	struct address last = p->address;
	for (unsigned bit = p->length; bit < address_bits(&last); bit++)
		last.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	return last;
}

bool address_next(const struct address *a, struct address *out)
{
	*out = *a;
	for (unsigned i = address_bits(a) / 8; i-- > 0;)
		if (++out->bytes[i])
			return true;
	return false;
}

bool address_is_link_local(const struct address *a)
{
	if (a->family == 4)
		return a->bytes[0] == 169 && a->bytes[1] == 254;
	return a->family == 6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool address_is_loopback(const struct address *a)
{
	static const uint8_t one[16] = {[15] = 1};
	return a->family == 4 ? a->bytes[0] == 127
			      : a->family == 6 && memcmp(a->bytes, one, sizeof one) == 0;
}

bool address_is_special(const struct address *a)
{
	static const uint8_t zeros[16];
	static const uint8_t ones[4] = {255, 255, 255, 255};
	if (memcmp(a->bytes, zeros, sizeof zeros) == 0)
		return true;
	if (a->family == 4)
		return (a->bytes[0] & 0xf0) == 0xe0 || memcmp(a->bytes, ones, 4) == 0;
	return a->bytes[0] == 0xff;
}
