// SPDX-License-Identifier: Apache-2.0
// What nft and lldpcli print. The tree that it makes must be one that can be told: each path has a
// wire form, and the whole is one JSON document.
#include "agent/lldp.h"
#include "agent/nft.h"
#include "agent/rfc7951.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void tell(struct tree *t)
{
	scoped(buf) struct buf b = {0};
	for (struct tree_leaf *l = tree_after(t, ""); l; l = tree_next(l, "/"))
		if (!tree_wire(l))
			abort();
	if (!tree_after(t, ""))
		return;
	if (rfc7951_node(&b, t, "/", true).code != ERR_NONE)
		abort();
	json_t *j = json_loadb((const char *)b.data, b.len, JSON_ALLOW_NUL, NULL);
	if (!j)
		abort();
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tree *t = tree_new();
	const char *json = (const char *)data;
	err_ignore(nft_read(t, json, n, 1, NULL));
	err_ignore(lldp_read_neighbours(t, json, n, 1));
	err_ignore(lldp_read_chassis(t, json, n, 1));
	tell(t);
	tree_free(t);
	return 0;
}
