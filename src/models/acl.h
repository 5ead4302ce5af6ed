// SPDX-License-Identifier: Apache-2.0
// What a device's nftables chains say to the first packet of a flow, in nft's order: the base
// chains of a hook by priority, the rules of each from the top, jumps and returns; accept ends a
// base chain, drop ends the packet. Logic has three values: a field that the question leaves open
// makes a rule match *perhaps*, and both outcomes are followed. Only when all that can happen is
// the same is it said; anything unmodelled that can be reached makes the verdict inconclusive,
// never permitted. Conntrack: the first packet is `new`; established and related rules do not match
// it. Used by trace.c.
#pragma once

#include "models/state.h"

struct packet {
	struct address source; // family 0: open
	struct address destination;
	int protocol;			   // -1: open
	int source_port, destination_port; // -1: open
};

enum acl_outcome { ACL_PERMIT, ACL_DROP, ACL_REJECT, ACL_INCONCLUSIVE };

struct acl_verdict {
	enum acl_outcome outcome;
	bool filtered;	    // some base chain looked at it
	uint32_t set, rule; // what decided; rule UINT32_MAX: the chain's default action
	char why[200];
};

struct acl; // one device's chains, compiled; opaque

// NULL: out of memory. Valid until the device's rules change.
struct acl *acl_new(const struct state *s, uint32_t device);
void acl_free(struct acl *a);
// `in` and `out` are interface names, NULL where the hook has none.
void acl_judge(const struct acl *a, enum hook hook, const struct packet *p, const char *in,
	       const char *out, struct acl_verdict *verdict);
// "inet filter forward, rule 12: drop tcp dport 443 (comment)". Returns `out`.
char *acl_rule_text(const struct state *s, uint32_t device, uint32_t set, uint32_t rule, char *out,
		    size_t size);
// Rule numbers of a chain in order; the array is the acl's.
size_t acl_rules(const struct acl *a, uint32_t set, const uint32_t **rules);
