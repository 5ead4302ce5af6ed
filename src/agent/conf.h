// SPDX-License-Identifier: Apache-2.0
// agent.yaml. Used by all processes of gemel-agent.
#pragma once

#include "lib/base/conf.h"

struct agent_twin {
	char *address;
	int64_t port, enrolment_port;
};

struct agent_listen {
	char *address; // NULL: the device listens on nothing
	int64_t port;
	struct conf_list roles; // whose certificates may read
};

struct agent_conf {
	char *device; // its id in the twin
	struct agent_twin twin;
	char *token_file; // may appear later
	char *state;	  // folder
	char *tpm;	  // socket of swtpm, or /dev/tpmrm0; NULL: none
	struct agent_listen listen;
	char *lldp; // lldpd's control socket; NULL: no LLDP
	char *frr;  // FRR's socket folder: origins come from the kernel's route protocol numbers
	int64_t spool_bytes;
	int64_t rate; // updates each second, at most; above it they are merged
	int64_t sample_ns;
	int64_t uid_base; // wire, apply, keys run as this, +1, +2
	int log_level;
};

extern const struct conf_key agent_conf_keys[];
MUST_USE struct err agent_conf_load(const char *path, struct agent_conf *out, struct arena *a);
