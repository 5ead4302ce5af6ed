// SPDX-License-Identifier: Apache-2.0

#include "agent/conf.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/x509.h"

#include <stddef.h>

#define AT(field) offsetof(struct agent_conf, field)
#define IN(type, field) offsetof(struct type, field)

static const char *const levels[] = {"error", "warning", "notice", "debug", NULL};

static const struct conf_key twin_keys[] = {
	{.name = "address",
	 .type = CONF_STRING,
	 .offset = IN(agent_twin, address),
	 .help = "numeric address of gemeld"},
	{.name = "port",
	 .type = CONF_INT,
	 .offset = IN(agent_twin, port),
	 .fallback = "9339",
	 .min = 1,
	 .max = 65535,
	 .help = "telemetry"},
	{.name = "enrolment_port",
	 .type = CONF_INT,
	 .offset = IN(agent_twin, enrolment_port),
	 .fallback = "9340",
	 .min = 1,
	 .max = 65535,
	 .help = "enrolment"},
	{0},
};

static const struct conf_key listen_keys[] = {
	{.name = "address",
	 .type = CONF_STRING,
	 .offset = IN(agent_listen, address),
	 .optional = true,
	 .help = "numeric address for gNMI clients that dial in; none: listen on nothing"},
	{.name = "port",
	 .type = CONF_INT,
	 .offset = IN(agent_listen, port),
	 .fallback = "9339",
	 .min = 1,
	 .max = 65535,
	 .help = "port for them"},
	{.name = "roles",
	 .type = CONF_LIST,
	 .offset = IN(agent_listen, roles),
	 .optional = true,
	 .help = "roles in a client's certificate that may read; default: telemetry-client"},
	{0},
};

const struct conf_key agent_conf_keys[] = {
	{.name = "device", .type = CONF_STRING, .offset = AT(device), .help = "this device's id"},
	{.name = "twin",
	 .type = CONF_SECTION,
	 .offset = AT(twin),
	 .keys = twin_keys,
	 .help = "where gemeld is"},
	{.name = "token_file",
	 .type = CONF_PATH,
	 .offset = AT(token_file),
	 .optional = true,
	 .help = "enrolment token; may appear later, is removed when used"},
	{.name = "state", .type = CONF_PATH, .offset = AT(state), .help = "state folder"},
	{.name = "tpm",
	 .type = CONF_PATH,
	 .offset = AT(tpm),
	 .optional = true,
	 .help = "TPM 2.0: swtpm's Unix socket, or /dev/tpmrm0"},
	{.name = "listen",
	 .type = CONF_SECTION,
	 .offset = AT(listen),
	 .keys = listen_keys,
	 .optional = true,
	 .help = "gNMI by mutual TLS"},
	{.name = "lldp",
	 .type = CONF_PATH,
	 .offset = AT(lldp),
	 .optional = true,
	 .help = "lldpd's control socket"},
	{.name = "frr",
	 .type = CONF_PATH,
	 .offset = AT(frr),
	 .optional = true,
	 .help = "folder of FRR's sockets; reserved: origins come from the kernel"},
	{.name = "spool",
	 .type = CONF_SIZE,
	 .offset = AT(spool_bytes),
	 .fallback = "64M",
	 .min = 48 << 20,
	 .max = 1LL << 34,
	 .help = "batches kept while the twin is away"},
	{.name = "rate",
	 .type = CONF_INT,
	 .offset = AT(rate),
	 .fallback = "20000",
	 .min = 10,
	 .max = 1000000,
	 .help = "updates each second; above it they are merged"},
	{.name = "sample_interval",
	 .type = CONF_DURATION,
	 .offset = AT(sample_ns),
	 .fallback = "10s",
	 .min = NS_PER_S / 10,
	 .max = 3600 * NS_PER_S,
	 .help = "of counters, when the client asks for no other"},
	{.name = "uid_base",
	 .type = CONF_INT,
	 .offset = AT(uid_base),
	 .fallback = "61300",
	 .min = 1,
	 .max = 2000000000,
	 .help = "users that its processes become when started as root"},
	{.name = "log_level",
	 .type = CONF_CHOICE,
	 .offset = AT(log_level),
	 .fallback = "notice",
	 .choices = levels,
	 .help = "error, warning, notice, debug"},
	{0},
};

struct err agent_conf_load(const char *path, struct agent_conf *out, struct arena *a)
{
	*out = (struct agent_conf){0};
	TRY(conf_load(path, agent_conf_keys, out, a));
	struct err e = x509_name_check(out->device);
	return e.code == ERR_NONE ? OK : err_within(e, "%s: device", path);
}
