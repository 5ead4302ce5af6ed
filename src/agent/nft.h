// SPDX-License-Identifier: Apache-2.0
// A ruleset as `nft -j list ruleset` prints it -> /acl leaves (docs/contracts.md, Paths). The
// program is used, not its library (libnftables is GPL); its JSON is libnftables-json(5).
//
// A chain becomes an acl-set, a rule an acl-entry. What one rule matches by sets, ranges and lists
// is multiplied out into entries S.1, S.2 ...: they cannot match the same packet, so order among
// them does not matter. Whatever is not surely understood makes the rule `modelled` false with its
// JSON in `raw`; verdicts that meet it are then inconclusive, never wrong.
// Chains that are jumped to have hook NONE; empty accepting chains on other hooks are left out.
// Used by agent (apply).
#pragma once

#include "agent/tree.h"

enum {
	NFT_JSON_MAX = 16 << 20,
	NFT_ENTRIES_MAX = 256, // that one rule may become
	NFT_RAW_MAX = 2048,
};

// Writes the whole of /acl; what is no longer there goes. ERR_PEER when it is not such JSON: the
// tree is then as it was. `rules` may be NULL: how many were read and how many not understood.
struct nft_count {
	unsigned rules, unmodelled;
};
MUST_USE struct err nft_read(struct tree *tree, const char *json, size_t n, int64_t now_ns,
			     struct nft_count *count);
