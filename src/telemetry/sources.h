// SPDX-License-Identifier: Apache-2.0
// Where connections come from: an IPv4 address or an IPv6 /64, with its handshake bucket and how
// many connections it holds. Checked before any cryptography is spent on a newcomer. The table has
// a fixed size; when a newcomer finds no place among those without a connection, he shares one
// entry with all others who found none: strangers never push out those who are here.
// X.2011 8.2.2-1. Used by telemetry.
#pragma once

#include "lib/base/err.h"
#include "telemetry/bucket.h"
#include "telemetry/siphash.h"

struct sockaddr;

struct source {
	uint8_t key[16]; // IPv4 mapped, or IPv6 with the lower half zero
	struct bucket handshakes;
	uint32_t open;	   // connections
	uint64_t refused;  // before a handshake
	int64_t seen_ns;   // 0: free
	char text[46 + 4]; // for people: 192.0.2.7, 2001:db8:0:1::/64
};

enum { SOURCES = 4096, SOURCES_WAYS = 8, SOURCE_TEXT_MAX = 64 };

struct sources;						    // opaque
struct sources *sources_new(const struct siphash_key *key); // NULL: out of memory
void sources_free(struct sources *s);			    // NULL is fine
// Never NULL. The entry stays his while `open` is not zero.
struct source *sources_get(struct sources *s, const struct sockaddr *from, int64_t now_ns);
// "192.0.2.7:50000" or "[2001:db8::7]:50000", for records.
const char *source_text(const struct sockaddr *from, char out[SOURCE_TEXT_MAX]);
