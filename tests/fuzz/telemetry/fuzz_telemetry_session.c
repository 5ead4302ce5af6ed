// SPDX-License-Identifier: Apache-2.0
// The bytes of an admitted device on its connection, behind TLS: Register, the tunnel's sessions,
// the gNMI inside them, Enrolment calls. Must hold: what reaches the repository is in order
// (process.h); when the device goes, nothing of it stays but its grant.

#include "process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct telemetry *t = fuzz_process();
	struct device *d = fuzz_granted(true);
	struct memory *m = memory_new(fuzzed.p.base);
	fuzz_must(session_new(t, &m->common, NULL, NULL, "192.0.2.1:1"));
	struct session *s = LIST_FIRST(&t->sessions);
	s->state = ADMISSION_ADMITTED; // as management would have said
	t->n_handshakes--;
	memcpy(s->claimed, "r1", 3);
	s->device = d;
	d->n_admitted++;
	s->attested = true;
	d->retry_ns = 0;
	memory_feed(m, data, n);
	for (int i = 0; i < 3; i++)
		memory_turn(fuzzed.p.base);
	memory_end(m);
	for (int i = 0; i < 3; i++)
		memory_turn(fuzzed.p.base);
	if (t->n_sessions || t->n_streaming || t->n_paused || d->session || d->conn || d->call ||
	    d->n_flights)
		abort();
	memset(d->places, 0, sizeof d->places);
	return 0;
}
