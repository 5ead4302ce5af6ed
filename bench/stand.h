// SPDX-License-Identifier: Apache-2.0
// Two real processes of gemeld, telemetry and repository, in their sandboxes, with everybody else
// played at the other ends of their channels: the parent, a management that has an authority of its
// own and admits whom it issued, keys that sign checkpoints, models that take the feed in, and a
// northbound. For benches.
#pragma once

#include "lib/crypto/x509.h"
#include "lib/ipc/process.h"

#include <sys/types.h>

enum { STAND_TELEMETRY, STAND_REPOSITORY, STAND_UNITS };

struct stand_unit {
	struct stand *s;
	enum process_id id;
	pid_t pid;
	struct ipc_channel *parent;
	int state_dir;
	bool ready;
	struct ipc_channel *peers[PROCESS_COUNT]; // our ends: who we play to it
};

struct stand_metrics { // as the processes told them last; times of arrival, monotonic
	double updates, points, chunk_points, chunk_bytes, head_bytes, syncs;
	int64_t points_ns;
};

struct stand {
	struct event_base *base;
	const char *program; // gemeld
	struct daemon_conf conf;
	struct arena *arena;
	struct buf conf_text;
	char folder[256];
	int listeners[2]; // telemetry, enrolment
	uint16_t port;
	struct sign_key *authority, *signer;
	struct buf root;
	struct stand_unit units[STAND_UNITS];
	struct stand_metrics metrics;
	uint64_t fed, refused; // batches to models; observations
	char observed[300];
	bool stopping;
};

// `folder` is made and must be empty. `conf` is YAML without name, state and listeners.
MUST_USE struct err stand_open(struct stand *s, const char *program, const char *folder,
			       const char *conf);
void stand_close(struct stand *s); // stops the processes
bool stand_ready(const struct stand *s);
// A device in production, with this batch key.
MUST_USE struct err stand_device(struct stand *s, const char *name, const struct sign_public *key);
MUST_USE struct err stand_issue(struct stand *s, const char *device, const struct sign_key *key,
				struct buf *der);
// VmRSS in bytes; processor time of any process in ns.
size_t stand_rss(const struct stand *s, int unit);
int64_t stand_cpu(pid_t pid);
