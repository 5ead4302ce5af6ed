// SPDX-License-Identifier: Apache-2.0
// gemel.yaml: one table for the parent and all processes; `gemeld --describe-config` prints it.
// The parent loads the file and the PEM files that it names, and writes the whole out again as one
// text for the processes, which open no file. Keys of the file are the names below, but for
// `references`, which is `reference_values` there.
#pragma once

#include "lib/base/conf.h"

struct conf_listen {
	char *address; // numeric
	int64_t port;
	char *netns; // path or name of the network namespace to open it in; NULL: ours
};

struct conf_witness {
	char *name; // as in its vkey
	char *vkey;
	char *address;
	int64_t port;
	char *netns;
};

struct conf_reference { // a reference value of attestation: what may run on a device
	char *name;
	char *pcr17; // hex SHA-256
};

struct conf_target { // a standard gNMI device that telemetry dials
	char *device;
	char *address;
	int64_t port;
	char *netns;
	char *server_name;
	char *authority; // PEM text; in the file also a path, which daemon_conf_load reads
	char *domain;
};

struct conf_class { // class by path rule; first match wins; then the shipped rules
	char *path;
	int class; // index into batch classes: public, internal, confidential, restricted, personal
};

struct daemon_conf {
	char *name;  // ledger origin and trust domain, such as gemel.example/campus
	char *state; // folder
	int64_t uid_base;
	int log_level;
	struct conf_listen telemetry, enrolment, control, api, console;
	int witnesses_mode;	      // 0 required, 1 none
	struct conf_items witnesses;  // struct conf_witness
	struct conf_list ek_roots;    // PEM texts: manufacturers' authorities; paths as above
	struct conf_items references; // struct conf_reference
	struct conf_items targets;    // struct conf_target
	struct conf_items classes;    // struct conf_class
	int64_t memory_budget;	      // head chunks in repository
	int64_t sample_interval;      // ns, counters
	int64_t device_rate;	      // updates per second and device
	int64_t device_series;	      // series per device
	int64_t certificate_days;
	char *console_files; // folder of the console; default: installed place
};

extern const struct conf_key daemon_conf_keys[];

// From a file, with the files that it names read in. ERR_USAGE names file, line and key, and says
// what is allowed. *out points into `a`.
MUST_USE struct err daemon_conf_load(const char *path, struct daemon_conf *out, struct arena *a);
// From text. PEM values must be in the text already.
MUST_USE struct err daemon_conf_parse(const char *name, const char *text, size_t n,
				      struct daemon_conf *out, struct arena *a);
// The whole configuration, defaults included, as text for daemon_conf_parse.
MUST_USE struct err daemon_conf_write(const struct daemon_conf *c, struct buf *out);
