// SPDX-License-Identifier: Apache-2.0
// The FEED payload itself: series 1 to 6 of devices a and b are announced, the rest is the input.

#include "models/state.h"

#include <stdlib.h>
#include <string.h>

#define AFT "/network-instances/network-instance[name=default]/afts"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {
		"/interfaces/interface[name=e1]/state/oper-status",
		"/interfaces/interface[name=e1]/state/counters/in-octets",
		"/interfaces/interface[name=e1]",
		AFT "/ipv4-unicast/ipv4-entry[prefix=10.0.0.0/8]/state/next-hop-group",
		"/acl/acl-sets/acl-set[name=inet:filter:forward][type=ACL_MIXED]/state/hook",
		AFT "/state/not-modelled",
	};
	struct series *s = series_new();
	for (uint32_t i = 0; i < 6; i++)
		if (series_add(s, i + 1, i < 5 ? "a" : "b", paths[i], strlen(paths[i])).code)
			abort();
	struct state *state = state_new(s);
	struct state_change change;
	struct err e = state_apply(state, data, size, &change);
	if (e.code != ERR_NONE && e.code != ERR_PEER)
		abort();
	uint64_t applied = state_records(state) + state_ignored(state);
	if (e.code == ERR_NONE && applied == 0 && size > 200)
		abort(); // accepted, and nothing of it was read
	state_free(state);
	series_free(s);
	return 0;
}
