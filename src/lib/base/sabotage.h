// SPDX-License-Identifier: Apache-2.0
// Controls that a test build (-Dsabotage=true) can switch off by name, so that each conformance
// check can be seen to fail without its control: GEMEL_SABOTAGE=grant,batch-proof. In a real build
// sabotaged() is the constant false and the names are not in the program.
// Used where a control is enforced: `if (!permitted && !sabotaged("grant")) refuse`.
#pragma once

#include <stdbool.h>

#ifdef SABOTAGE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool sabotaged(const char *control)
{
	const char *all = getenv("GEMEL_SABOTAGE");
	size_t n = strlen(control);
	for (const char *at = all; at && (at = strstr(at, control)); at += n)
		if ((at == all || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
			return true;
	return false;
}

// For the environment that a process gives its own: NULL in a real build.
static inline char *sabotage_variable(char *room, size_t n)
{
	const char *all = getenv("GEMEL_SABOTAGE");
	return all && snprintf(room, n, "GEMEL_SABOTAGE=%s", all) < (int)n ? room : NULL;
}
#else
#define sabotaged(control) false
#define sabotage_variable(room, n) ((void)(room), (void)(n), (char *)NULL)
#endif
