// SPDX-License-Identifier: Apache-2.0
#include "repository/grant.h"

#include "lib/base/sabotage.h"
#include "lib/gnmi/path.h"

#include <string.h>

#define IF "/interfaces/interface"

// docs/contracts.md, "Paths that the agent sends, and that models reads": exactly these.
static const struct grant_item production[] = {
	{IF "/state/name", GRANT_ON_CHANGE},
	{IF "/state/type", GRANT_ON_CHANGE},
	{IF "/state/mtu", GRANT_ON_CHANGE},
	{IF "/state/ifindex", GRANT_ON_CHANGE},
	{IF "/state/admin-status", GRANT_ON_CHANGE},
	{IF "/state/oper-status", GRANT_ON_CHANGE},
	{IF "/state/last-change", GRANT_ON_CHANGE},
	{IF "/ethernet/state", GRANT_ON_CHANGE},
	{IF "/subinterfaces", GRANT_ON_CHANGE},
	{"/network-instances/network-instance/afts", GRANT_ON_CHANGE},
	{"/acl", GRANT_ON_CHANGE},
	{"/lldp", GRANT_ON_CHANGE},
	{"/system/state", GRANT_ON_CHANGE},
	{"/system/memory/state", GRANT_ON_CHANGE},
	{"/system/cpus", GRANT_ON_CHANGE},
	{"/components", GRANT_ON_CHANGE},
	{"/gemel", GRANT_ON_CHANGE},
	{IF "/state/counters", GRANT_SAMPLE},
};

static const struct grant_item quarantine[] = {
	{"/system/state", GRANT_ON_CHANGE},
	{"/gemel", GRANT_ON_CHANGE},
};

enum { QUARANTINE_ITEMS = sizeof quarantine / sizeof *quarantine };
enum { PRODUCTION_ITEMS = sizeof production / sizeof *production };

struct grant {
	const char *state;
	const struct grant_item *items;
	size_t n;
	struct path_pattern *patterns[PRODUCTION_ITEMS];
};

// A state that is not here is granted nothing: invited, suspended, revoked, unknown.
static struct grant grants[] = {
	{"quarantine", quarantine, QUARANTINE_ITEMS, {NULL}},
	{"tested", quarantine, QUARANTINE_ITEMS, {NULL}},
	{"attested", quarantine, QUARANTINE_ITEMS, {NULL}},
	{"production", production, PRODUCTION_ITEMS, {NULL}},
};
enum { GRANTS = sizeof grants / sizeof *grants };

struct err grants_start(void)
{
	for (size_t i = 0; i < GRANTS; i++)
		for (size_t k = 0; k < grants[i].n; k++)
			if (!grants[i].patterns[k])
				TRY(path_pattern_new(grants[i].items[k].path,
						     &grants[i].patterns[k]));
	return OK;
}

void grants_stop(void)
{
	for (size_t i = 0; i < GRANTS; i++)
		for (size_t k = 0; k < grants[i].n; k++) {
			path_pattern_free(grants[i].patterns[k]);
			grants[i].patterns[k] = NULL;
		}
}

const struct grant *grant_for(const char *state)
{
	for (size_t i = 0; i < GRANTS; i++)
		if (!strcmp(grants[i].state, sabotaged("collection-permit") ? "production" : state))
			return &grants[i];
	return NULL;
}

unsigned grant_number(const struct grant *g)
{
	_Static_assert(GRANTS <= 8, "a set of grants is a byte");
	return (unsigned)(g - grants);
}

const struct grant_item *grant_items(const struct grant *g, size_t *n)
{
	*n = g ? g->n : 0;
	return g ? g->items : NULL;
}

bool grant_covers(const struct grant *g, const char *path, size_t n, bool deletion)
{
	if (sabotaged("grant"))
		return true;
	for (size_t i = 0; g && i < g->n; i++)
		if (path_match_under(g->patterns[i], path, n) ||
		    (deletion && path_match_towards(g->patterns[i], path, n)))
			return true;
	return false;
}
