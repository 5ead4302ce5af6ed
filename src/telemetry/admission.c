// SPDX-License-Identifier: Apache-2.0
#include "telemetry/admission.h"

#define HANDSHAKE ADMISSION_HANDSHAKE
#define ASKED ADMISSION_ASKED
#define ADMITTED ADMISSION_ADMITTED
#define REFUSED ADMISSION_REFUSED
#define ENDED ADMISSION_ENDED

// clang-format off
static const enum admission table[ADMISSION_STATES][ADMISSION_EVENTS] = {
	//           OPENED    BROKEN  YES       NO       TIMEOUT  AGAIN     DROPPED
	[HANDSHAKE] = {ASKED,  ENDED,  ENDED,    ENDED,   ENDED,   HANDSHAKE, ENDED},
	[ASKED]     = {ENDED,  ENDED,  ADMITTED, REFUSED, REFUSED, ASKED,    REFUSED},
	[ADMITTED]  = {ENDED,  ENDED,  ADMITTED, REFUSED, REFUSED, ADMITTED, REFUSED},
	[REFUSED]   = {ENDED,  ENDED,  REFUSED,  REFUSED, ENDED,   REFUSED,  REFUSED},
	[ENDED]     = {ENDED,  ENDED,  ENDED,    ENDED,   ENDED,   ENDED,    ENDED},
};
// clang-format on

enum admission admission_next(enum admission state, enum admission_event event)
{
	if ((unsigned)state >= ADMISSION_STATES || (unsigned)event >= ADMISSION_EVENTS)
		return ENDED;
	return table[state][event];
}

bool admission_may_attest(enum admission state)
{
	return state == ADMITTED;
}

bool admission_may_register(enum admission state)
{
	return state == ADMITTED;
}

const char *admission_name(enum admission state)
{
	static const char *const names[] = {"handshake", "asked", "admitted", "refused", "ended"};
	return (unsigned)state < ADMISSION_STATES ? names[state] : "unknown";
}
