// SPDX-License-Identifier: Apache-2.0
// IPv4 and IPv6 addresses and prefixes in one type. An IPv4 address is the first four bytes, the
// rest are zeros, so that one comparison orders a family. Used by the models process.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

struct address {
	uint8_t family; // 4, 6; 0: none
	uint8_t bytes[16];
};

struct prefix {
	struct address address; // host bits are zeros
	uint8_t length;
};

enum { ADDRESS_TEXT_MAX = 46, PREFIX_TEXT_MAX = 50 };

static inline unsigned address_bits(const struct address *a)
{
	return a->family == 4 ? 32 : 128;
}

// False when the text is neither an IPv4 nor an IPv6 address (a zone or anything behind it: false).
bool address_parse(const char *text, size_t n, struct address *out);
// "10.0.0.0/8"; a bare address is a host prefix. Host bits are cleared.
bool prefix_parse(const char *text, size_t n, struct prefix *out);
// Both return `out`.
char *address_print(const struct address *a, char out[ADDRESS_TEXT_MAX]);
char *prefix_print(const struct prefix *p, char out[PREFIX_TEXT_MAX]);

// Order: family, then bytes.
int address_compare(const struct address *a, const struct address *b);
// Order: address, then the shorter prefix first, so that a prefix stands before what it contains.
int prefix_compare(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *p, const struct address *a);
// The prefix of `length` bits around an address; a length beyond the family's is its longest.
struct prefix prefix_around(const struct address *a, unsigned length);
struct address prefix_last(const struct prefix *p);
// The next address; false at the family's last.
bool address_next(const struct address *a, struct address *out);

bool address_is_link_local(const struct address *a); // 169.254/16, fe80::/10
bool address_is_loopback(const struct address *a);   // 127/8, ::1
// Multicast, limited broadcast and unspecified: addresses that no unicast route decides.
bool address_is_special(const struct address *a);
