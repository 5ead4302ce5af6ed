// SPDX-License-Identifier: Apache-2.0
// The bytes of a stranger on the enrolment listener, behind TLS: HTTP/2, gRPC, and whatever he
// calls. Must hold: each call reaches management whole or not at all; when he goes nothing of him
// stays.

#include "process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct telemetry *t = fuzz_process();
	struct memory *m = memory_new(fuzzed.p.base);
	fuzz_must(enrolment_accept(t, &m->common, NULL, "192.0.2.1:1"));
	memory_feed(m, data, n);
	memory_turn(fuzzed.p.base);
	memory_end(m);
	memory_turn(fuzzed.p.base);
	if (!enrolment_idle(t) || t->n_handshakes)
		abort();
	return 0;
}
