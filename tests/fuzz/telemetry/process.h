// SPDX-License-Identifier: Apache-2.0
// The telemetry process for fuzz targets: started, with management and a repository at the other
// ends of its channels. The repository holds it to the contract: each BATCH must be readable to its
// last byte, and each of its series must have been named for that device. abort() otherwise.
#pragma once

#include "../gnmi/memory.h"

#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"
#include "telemetry/telemetry.h"

#include <stdio.h>
#include <string.h>

enum { NAMED_MAX = 1 << 16 };

struct fuzzed {
	struct process p;
	struct daemon_conf conf;
	struct ipc_channel *management, *repository;
	char named[NAMED_MAX][BATCH_DEVICE_MAX + 1];
	uint64_t batches;
};

static struct fuzzed fuzzed = {.p = {.id = PROCESS_TELEMETRY, .state_dir = -1}};

static void fuzz_must(struct err e)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "%s\n", e.text);
	abort();
}

static struct err fuzz_to_telemetry(void *ctx, const struct ipc_message *m)
{
	arena_reset(fuzzed.p.scratch);
	for (size_t i = 0; i < telemetry_part.n_handlers; i++)
		if (telemetry_part.handlers[i].type == m->type)
			return telemetry_part.handlers[i].handle(&fuzzed.p, m);
	abort();
}

static void fuzz_batch(const struct ipc_message *m)
{
	struct cursor c = cursor_over(m->bytes, m->len);
	struct batch_head head;
	fuzz_must(batch_read_head(&c, &head));
	for (uint32_t i = 0; i < head.count; i++) {
		struct batch_record r;
		fuzz_must(batch_read_record(&c, &r));
		if (r.series >= NAMED_MAX || strcmp(fuzzed.named[r.series], head.device) != 0)
			abort();
	}
	fuzz_must(cursor_finish(&c, "BATCH"));
	fuzzed.batches++;
	Ipc__BatchAck ack = IPC__BATCH_ACK__INIT;
	ack.device = head.device;
	ack.seq = head.seq;
	ack.key_id = (ProtobufCBinaryData){BATCH_KEY_ID, head.key_id};
	fuzz_must(ipc_send_pb(fuzzed.repository, IPC_BATCH_ACK, &ack.base));
}

static void fuzz_series(const Ipc__Series *list)
{
	for (size_t i = 0; i < list->n_items; i++) {
		if (list->items[i]->number >= NAMED_MAX || !list->items[i]->path[0])
			abort();
		snprintf(fuzzed.named[list->items[i]->number], BATCH_DEVICE_MAX + 1, "%s",
			 list->items[i]->device);
	}
}

static struct err fuzz_to_neighbour(void *ctx, const struct ipc_message *m)
{
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(16 << 20);
	void *r;
	if (m->type == IPC_BATCH) {
		fuzz_batch(m);
	} else if (m->type == IPC_SERIES) {
		if (!(r = IPC_UNPACK(series, m, a, &e)))
			abort();
		fuzz_series(r);
	} else if (m->type == IPC_ENROL_REQUEST) {
		if (!(r = IPC_UNPACK(enrol_request, m, a, &e)))
			abort();
		Ipc__EnrolAnswer answer = IPC__ENROL_ANSWER__INIT;
		answer.id = ((Ipc__EnrolRequest *)r)->id;
		answer.message = ((Ipc__EnrolRequest *)r)->message;
		fuzz_must(ipc_send_pb(fuzzed.management, IPC_ENROL_ANSWER, &answer.base));
	}
	return OK;
}

static void fuzz_closed(void *ctx, enum process_id peer, struct err why)
{
	abort(); // somebody broke the contract
}

static struct ipc_channel *fuzz_neighbour(enum process_id id)
{
	static const struct ipc_events ours = {fuzz_to_telemetry, NULL, fuzz_closed};
	static const struct ipc_events theirs = {fuzz_to_neighbour, NULL, fuzz_closed};
	struct ipc_channel *other;
	int fds[2];
	fuzz_must(ipc_pair(fds));
	fuzz_must(ipc_open(&fuzzed.p.peers[id], fuzzed.p.base, fds[0], PROCESS_TELEMETRY, id, &ours,
			   NULL));
	fuzz_must(ipc_open(&other, fuzzed.p.base, fds[1], id, PROCESS_TELEMETRY, &theirs, NULL));
	ipc_set_running(fuzzed.p.peers[id], true);
	ipc_set_running(other, true);
	return other;
}

// Once; returns the process's inside.
static inline struct telemetry *fuzz_process(void)
{
	if (fuzzed.p.self)
		return fuzzed.p.self;
	log_start("fuzz", LOG_ERROR);
	fuzzed.conf.device_rate = 1 << 30;
	fuzzed.conf.device_series = 1000;
	fuzzed.p.base = event_base_new();
	fuzzed.p.conf = &fuzzed.conf;
	fuzzed.p.scratch = arena_new(16 << 20);
	fuzz_must(telemetry_part.start(&fuzzed.p));
	fuzzed.management = fuzz_neighbour(PROCESS_MANAGEMENT);
	fuzzed.repository = fuzz_neighbour(PROCESS_REPOSITORY);
	fuzzed.p.running = true;
	return fuzzed.p.self;
}

// "r1" may be collected from, below /interfaces.
static inline struct device *fuzz_granted(bool signed_batches)
{
	struct device *d;
	Ipc__GrantItem item = IPC__GRANT_ITEM__INIT, *items[] = {&item};
	Ipc__Grant m = IPC__GRANT__INIT;
	uint8_t bytes[256];
	item.path = (char *)(uintptr_t) "/interfaces";
	item.mode = 1;
	m.device = (char *)(uintptr_t) "r1";
	m.grant = 1;
	m.items = items;
	m.n_items = 1;
	m.signed_batches = signed_batches;
	size_t n = ipc__grant__pack(&m, bytes);
	const struct ipc_message grant = {IPC_GRANT, PROCESS_REPOSITORY, bytes, n, -1};
	fuzz_must(fuzz_to_telemetry(NULL, &grant));
	fuzz_must(device_get(fuzzed.p.self, "r1", &d));
	return d;
}
