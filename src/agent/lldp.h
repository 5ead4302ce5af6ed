// SPDX-License-Identifier: Apache-2.0
// LLDP neighbours and our own chassis, from `lldpcli -f json0` (the form with the same shape for
// one and for many). liblldpctl is not used: it marshals C structures over the socket and blocks in
// its calls; JSON is read with bounds, and the program is a child that can be ended. A neighbour's
// id is "CHASSIS PORT", so that it stays the same when lldpd starts again. Used by agent (apply).
#pragma once

#include "agent/tree.h"

enum { LLDP_JSON_MAX = 4 << 20, LLDP_TEXT_MAX = 255, LLDP_NEIGHBOURS_MAX = 4096 };

// `show neighbors details`. ERR_PEER: not such JSON; the tree is as it was.
MUST_USE struct err lldp_read_neighbours(struct tree *tree, const char *json, size_t n,
					 int64_t now_ns);
// `show chassis`.
MUST_USE struct err lldp_read_chassis(struct tree *tree, const char *json, size_t n,
				      int64_t now_ns);
