// SPDX-License-Identifier: Apache-2.0
// The programs whose output apply reads. Only the parent starts them, with these arguments and
// nothing else: apply can neither open a file nor run one. Used by agent (parent, apply).
#pragma once

enum program {
	PROGRAM_NFT_LIST,
	PROGRAM_NFT_MONITOR,
	PROGRAM_LLDP_NEIGHBOURS,
	PROGRAM_LLDP_CHASSIS,
	PROGRAM_LLDP_WATCH,
	PROGRAMS,
};

enum { PROGRAM_ARGUMENTS = 10 };
// Fills argv (NULL-terminated) and returns true when the program is installed and configured.
// `lldp`: lldpd's socket, or NULL.
_Bool program_arguments(enum program p, const char *lldp, const char *argv[PROGRAM_ARGUMENTS]);
