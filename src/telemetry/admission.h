// SPDX-License-Identifier: Apache-2.0
// The life of a connection, as one table: what may happen in which state, and what a peer may do
// there. Nothing but ADMITTED may register a target or be collected from; whatever is not in the
// table ends the connection. X.2011 8.1.2-2, 8.2.1-1. Used by telemetry.
#pragma once

#include <stdbool.h>

enum admission {
	ADMISSION_HANDSHAKE, // TLS is under way
	ADMISSION_ASKED,     // management has been asked; nothing is read from the peer
	ADMISSION_ADMITTED,
	ADMISSION_REFUSED, // each of its calls is answered with the reason; then it ends
	ADMISSION_ENDED,
	ADMISSION_STATES,
};

enum admission_event {
	ADMISSION_OPENED, // the peer's certificate was verified
	ADMISSION_BROKEN, // the handshake or the connection ended
	ADMISSION_YES,	  // management's answer
	ADMISSION_NO,
	ADMISSION_TIMEOUT, // no answer, or nothing done with it
	ADMISSION_AGAIN, // management came anew: it is asked again, and the peer goes on meanwhile
	ADMISSION_DROPPED, // management ends it (DEVICE_DROP)
	ADMISSION_EVENTS,
};

// The next state. An event that has no place in `state` leads to ADMISSION_ENDED.
enum admission admission_next(enum admission state, enum admission_event event);
bool admission_may_attest(enum admission state);   // Enrolment/Challenge, Attest, Renew
bool admission_may_register(enum admission state); // a tunnel target, and so: be collected from
const char *admission_name(enum admission state);
