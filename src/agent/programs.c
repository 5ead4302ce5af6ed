// SPDX-License-Identifier: Apache-2.0

#include "agent/programs.h"

#include <stddef.h>
#include <unistd.h>

static const char *installed(const char *const places[])
{
	for (; *places; places++)
		if (access(*places, X_OK) == 0)
			return *places;
	return NULL;
}

_Bool program_arguments(enum program p, const char *lldp, const char *argv[PROGRAM_ARGUMENTS])
{
	static const char *const nft[] = {"/usr/sbin/nft", "/sbin/nft", NULL};
	static const char *const lldpcli[] = {"/usr/sbin/lldpcli", "/sbin/lldpcli", NULL};
	static const char *const what[PROGRAMS][4] = {
		[PROGRAM_NFT_LIST] = {"-j", "list", "ruleset", NULL},
		[PROGRAM_NFT_MONITOR] = {"-j", "monitor", NULL},
		[PROGRAM_LLDP_NEIGHBOURS] = {"show", "neighbors", "details", NULL},
		[PROGRAM_LLDP_CHASSIS] = {"show", "chassis", NULL},
		[PROGRAM_LLDP_WATCH] = {"watch", NULL},
	};
	if (p >= PROGRAMS)
		return 0;
	_Bool of_lldp = p >= PROGRAM_LLDP_NEIGHBOURS;
	if ((of_lldp && !lldp) || !(argv[0] = installed(of_lldp ? lldpcli : nft)))
		return 0;
	size_t n = 1;
	if (of_lldp) {
		argv[n++] = "-u";
		argv[n++] = lldp;
		argv[n++] = "-f";
		argv[n++] = "json0";
	}
	for (size_t i = 0; i < 4 && what[p][i]; i++)
		argv[n++] = what[p][i];
	argv[n] = NULL;
	return 1;
}
