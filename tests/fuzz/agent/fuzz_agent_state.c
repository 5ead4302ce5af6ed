// SPDX-License-Identifier: Apache-2.0
// STATE messages as apply sends them: u16 length and payload, one after the other.
#include "agent/state_link.h"
#include "lib/base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct state_inbox in = {tree_new(), false};
	struct cursor c = cursor_over(data, n);
	while (cursor_left(&c)) {
		struct cursor payload = cursor_sub(&c, cursor_be16(&c));
		const struct link_message m = {LINK_STATE, LINK_APPLY, payload.at,
					       cursor_left(&payload), -1};
		bool complete;
		if (c.failed || state_receive(&in, &m, &complete).code != ERR_NONE)
			break;
	}
	tree_free(in.tree);
	return 0;
}
