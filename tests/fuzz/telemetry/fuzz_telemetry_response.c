// SPDX-License-Identifier: Apache-2.0
// SubscribeResponses of a device, signed and observed, through the whole of ingest.c. Must hold:
// what is handed on is a readable BATCH of named series; an error is the peer's or a bound, never
// ours; what is refused leaves nothing behind.

#include "process.h"

static const struct grpc_handlers handlers;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct telemetry *t = fuzz_process();
	struct grpc_conn *conn;
	for (int i = 0; i < 2; i++) {
		struct memory *m = memory_new(fuzzed.p.base);
		struct device *d = fuzz_granted(i == 0);
		fuzz_must(grpc_client_new(&m->common, NULL, NULL, NULL, &conn));
		fuzz_must(grpc_call_start(conn, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &handlers, d, 0,
					  &d->call));
		t->n_streaming++;
		struct err e = ingest_response(d, data, n);
		if (e.code != ERR_NONE && e.code != ERR_PEER && e.code != ERR_LIMIT)
			abort();
		memory_turn(fuzzed.p.base);
		memory_turn(fuzzed.p.base);
		t->n_streaming--;
		t->n_paused -= d->paused != 0;
		d->paused = 0;
		d->call = NULL;
		grpc_conn_close(conn);
		m->held = false;
		free(m);
		memset(d->places, 0, sizeof d->places);
		if (d->n_flights || t->flight_bytes)
			abort(); // the repository answered all
	}
	return 0;
}
