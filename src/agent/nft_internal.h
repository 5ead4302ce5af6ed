// SPDX-License-Identifier: Apache-2.0
// One rule taken apart: for each field the list of values that it may have. Inside nft*.c only.
#pragma once

#include "agent/nft.h"

#include <jansson.h>

enum nft_field {
	NFT_SOURCE4,
	NFT_DESTINATION4,
	NFT_SOURCE6,
	NFT_DESTINATION6,
	NFT_PROTOCOL,
	NFT_SOURCE_PORT,
	NFT_DESTINATION_PORT,
	NFT_IN,
	NFT_OUT,
	NFT_FIELDS,
};

enum { NFT_VALUES_MAX = 256, NFT_VALUE_TEXT = 64 };

struct nft_values {
	bool given; // the rule speaks of this field
	unsigned n;
	char text[NFT_VALUES_MAX][NFT_VALUE_TEXT];
};

struct nft_rule {
	const char *family; // of the table
	bool unmodelled, ipv4_only, ipv6_only;
	struct nft_values of[NFT_FIELDS];
	unsigned connection; // set of states, 0: any
	const char *verdict, *target;
	bool has_counter;
	uint64_t packets, octets;
};

// Fills `out` from a rule's "expr". `sets`: array of "set" objects to look names up in.
void nft_rule_read(const json_t *expr, const char *family, const char *table, const json_t *sets,
		   struct nft_rule *out);
// The values that a match's right side names, as text of this field. False: not understood.
bool nft_values_read(const json_t *right, enum nft_field field, const char *family,
		     const char *table, const json_t *sets, struct nft_values *out);
// Prefixes that cover first..last exactly. False: not addresses of this family, or too many.
bool nft_range_prefixes(int family, const char *first, const char *last, struct nft_values *out);
