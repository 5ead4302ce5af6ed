// SPDX-License-Identifier: Apache-2.0
// Attributes: what a key holds and a policy asks for, in one canonical form on both sides.
//
//     role = traffic-model            a text
//     net/role = traffic-model        the same name in the namespace "net": another attribute
//     zone{core,edge} = core          a member of a closed enumeration; the set belongs to the
//     identity level:8 >= 3                    an unsigned integer of 8 bits (1 to 64) valid:date
//     >= 2026-12-31        days since 1970-01-01, 16 bits
//
// A key holds terms with `=`. Of an integer it holds the whole value and each of its bits, so that
// a policy compares by bits: that is why a key has at most one value of each integer (two would mix
// their bits) and of each enumeration (else NOT would mean nothing).
//
// Identity, what is hashed to the curve, integers big-endian, each string after its u16 length:
//     u8 kind || namespace || name || value
//     kind 1 text:         value = UTF-8
//     kind 2 member:       value = member || u16 count || members in order, each after its length
//     kind 3 integer:      value = u8 'u' or 'd' (date) || u8 width || u64
//     kind 4 bit:          value = u8 'u' or 'd' || u8 width || u8 index || u8 0 or 1
// Used by lib/abe, gemel(1), the key centre, the DTMF.
#pragma once

#include "lib/base/mem.h"

enum {
	ATTRIBUTE_NAME_MAX = 64, // of names and namespaces
	ATTRIBUTE_VALUE_MAX = 256,
	ATTRIBUTE_MEMBERS_MAX = 16, // of an enumeration, each at most ATTRIBUTE_NAME_MAX bytes
	ATTRIBUTE_DATE_WIDTH = 16,
	ATTRIBUTE_LIST_MAX = 16384, // bytes of an attribute list's text
	ATTRIBUTES_MAX = 1024,	    // identities of one key
};

struct attribute {
	const uint8_t *id; // canonical identity
	size_t len;
	uint8_t hash[32];  // SHA-256 of it
	const char *label; // for people: "role = traffic-model", "level:8 bit 7 = 1"
};

struct attributes; // opaque: what one key holds
// "role=traffic-model,domain=core,level:8=3". ERR_USAGE: not of the form, something given twice;
// ERR_LIMIT. *out: attributes_free.
MUST_USE struct err attributes_parse(const char *text, size_t n, struct attributes **out);
// Only the canonical form: what attributes_text would print. ERR_PEER.
MUST_USE struct err attributes_read(const char *text, size_t n, struct attributes **out);
void attributes_free(struct attributes *a); // NULL is fine
const char *
attributes_text(const struct attributes *a); // canonical: sorted, spaced; NUL-terminated
size_t attributes_count(const struct attributes *a);
// In canonical order: each term's identity, an integer's bits behind it, highest first.
const struct attribute *attributes_at(const struct attributes *a, size_t i);
// The index of this identity's hash, or -1.
int attributes_find(const struct attributes *a, const uint8_t hash[static 32]);
