// SPDX-License-Identifier: Apache-2.0
#include "lib/ipc/daemon_conf.h"

#include "lib/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PEM_MOST = 256 << 10, NAME_MOST = 128, TEXT_MOST = 1 << 20 };

// --- the table

#define AT(field) .offset = offsetof(struct daemon_conf, field)
#define IN(type, field) .offset = offsetof(struct type, field)
#define PORT .min = 1, .max = 65535
#define NETNS(holder)                                                                              \
	{                                                                                          \
		.name = "netns", .type = CONF_STRING, IN(holder, netns), .optional = true,         \
		.help = "network namespace, by name or path"                                       \
	}

static const char *const levels[] = {"error", "warning", "notice", "debug", NULL};
static const char *const modes[] = {"required", "none", NULL};
static const char *const class_names[] = {"public",	"internal", "confidential",
					  "restricted", "personal", NULL};

#define LISTEN(symbol, default_address, default_port)                                              \
	static const struct conf_key symbol##_keys[] = {                                           \
		{.name = "address",                                                                \
		 .type = CONF_STRING,                                                              \
		 IN(conf_listen, address),                                                         \
		 .fallback = default_address,                                                      \
		 .help = "numeric address to listen on"},                                          \
		{.name = "port",                                                                   \
		 .type = CONF_INT,                                                                 \
		 IN(conf_listen, port),                                                            \
		 .fallback = default_port,                                                         \
		 PORT,                                                                             \
		 .help = "TCP port"},                                                              \
		NETNS(conf_listen),                                                                \
		{0},                                                                               \
	}

LISTEN(telemetry, "0.0.0.0", "9339");
LISTEN(enrolment, "0.0.0.0", "9340");
LISTEN(control, "0.0.0.0", "9342");
LISTEN(api, "127.0.0.1", "8443");
LISTEN(console, "127.0.0.1", "8444");

static const struct conf_key witness_keys[] = {
	{.name = "name", .type = CONF_STRING, IN(conf_witness, name), .help = "as in its vkey"},
	{.name = "vkey",
	 .type = CONF_STRING,
	 IN(conf_witness, vkey),
	 .help = "its verifier key, as gemel-witness prints it"},
	{.name = "address",
	 .type = CONF_STRING,
	 IN(conf_witness, address),
	 .help = "numeric address"},
	{.name = "port",
	 .type = CONF_INT,
	 IN(conf_witness, port),
	 .fallback = "9341",
	 PORT,
	 .help = "TCP port"},
	NETNS(conf_witness),
	{0},
};

static const struct conf_key reference_keys[] = {
	{.name = "name",
	 .type = CONF_STRING,
	 IN(conf_reference, name),
	 .help = "what it is, such as gemel-agent 0.1.0"},
	{.name = "pcr17",
	 .type = CONF_STRING,
	 IN(conf_reference, pcr17),
	 .help = "64 hex digits: PCR 17 of a device that runs it"},
	{0},
};

static const struct conf_key target_keys[] = {
	{.name = "device", .type = CONF_STRING, IN(conf_target, device), .help = "device id"},
	{.name = "address",
	 .type = CONF_STRING,
	 IN(conf_target, address),
	 .help = "numeric address"},
	{.name = "port",
	 .type = CONF_INT,
	 IN(conf_target, port),
	 .fallback = "9339",
	 PORT,
	 .help = "gNMI port"},
	NETNS(conf_target),
	{.name = "server_name",
	 .type = CONF_STRING,
	 IN(conf_target, server_name),
	 .optional = true,
	 .help = "name in its certificate; none: its address"},
	{.name = "authority",
	 .type = CONF_STRING,
	 IN(conf_target, authority),
	 .help = "PEM file of the authority that its certificate must chain to"},
	{.name = "domain",
	 .type = CONF_STRING,
	 IN(conf_target, domain),
	 .optional = true,
	 .help = "security domain"},
	{0},
};

static const struct conf_key class_keys[] = {
	{.name = "path",
	 .type = CONF_STRING,
	 IN(conf_class, path),
	 .help = "OpenConfig path; * and ... stand for any"},
	{.name = "class",
	 .type = CONF_CHOICE,
	 IN(conf_class, class),
	 .choices = class_names,
	 .help = "its class"},
	{0},
};

const struct conf_key daemon_conf_keys[] = {
	{.name = "name",
	 .type = CONF_STRING,
	 AT(name),
	 .help = "ledger origin and trust domain, such as gemel.example/campus"},
	{.name = "state", .type = CONF_PATH, AT(state), .help = "state folder"},
	{.name = "uid_base",
	 .type = CONF_INT,
	 AT(uid_base),
	 .fallback = "61200",
	 .min = 1,
	 .max = 2000000000,
	 .help = "started as root, the processes become the users and groups from here + 1 to + 7"},
	{.name = "log_level",
	 .type = CONF_CHOICE,
	 AT(log_level),
	 .fallback = "notice",
	 .choices = levels,
	 .help = "least severity that is logged"},
	{.name = "telemetry",
	 .type = CONF_SECTION,
	 AT(telemetry),
	 .keys = telemetry_keys,
	 .help = "where devices dial in (gRPC tunnel, mutual TLS)"},
	{.name = "enrolment",
	 .type = CONF_SECTION,
	 AT(enrolment),
	 .keys = enrolment_keys,
	 .help = "where devices enrol"},
	{.name = "control",
	 .type = CONF_SECTION,
	 AT(control),
	 .keys = control_keys,
	 .help = "management plane of the devices"},
	{.name = "api",
	 .type = CONF_SECTION,
	 AT(api),
	 .keys = api_keys,
	 .help = "HTTPS API, for applications and gemel(1)"},
	{.name = "console",
	 .type = CONF_SECTION,
	 AT(console),
	 .keys = console_keys,
	 .help = "web console"},
	{.name = "witnesses_mode",
	 .type = CONF_CHOICE,
	 AT(witnesses_mode),
	 .fallback = "required",
	 .choices = modes,
	 .help = "whether the ledger's checkpoints need a witness"},
	{.name = "witnesses",
	 .type = CONF_SECTIONS,
	 AT(witnesses),
	 .optional = true,
	 .keys = witness_keys,
	 .item_size = sizeof(struct conf_witness),
	 .help = "gemel-witness on other machines"},
	{.name = "ek_roots",
	 .type = CONF_LIST,
	 AT(ek_roots),
	 .optional = true,
	 .help = "PEM files of the TPM manufacturers' authorities"},
	{.name = "reference_values",
	 .type = CONF_SECTIONS,
	 AT(references),
	 .optional = true,
	 .keys = reference_keys,
	 .item_size = sizeof(struct conf_reference),
	 .help = "what may run on a device; none: every device is refused"},
	{.name = "targets",
	 .type = CONF_SECTIONS,
	 AT(targets),
	 .optional = true,
	 .keys = target_keys,
	 .item_size = sizeof(struct conf_target),
	 .help = "standard gNMI devices that are dialled"},
	{.name = "classes",
	 .type = CONF_SECTIONS,
	 AT(classes),
	 .optional = true,
	 .keys = class_keys,
	 .item_size = sizeof(struct conf_class),
	 .help = "class by path; the first match wins, then the shipped rules"},
	{.name = "memory_budget",
	 .type = CONF_SIZE,
	 AT(memory_budget),
	 .fallback = "128M",
	 .min = 1 << 20,
	 .max = 1LL << 36,
	 .help = "readings kept in memory before they are packed"},
	{.name = "sample_interval",
	 .type = CONF_DURATION,
	 AT(sample_interval),
	 .fallback = "10s",
	 .min = NS_PER_S / 10,
	 .max = 3600 * NS_PER_S,
	 .help = "of counters"},
	{.name = "device_rate",
	 .type = CONF_INT,
	 AT(device_rate),
	 .fallback = "20000",
	 .min = 10,
	 .max = 10000000,
	 .help = "updates each second that one device may send"},
	{.name = "device_series",
	 .type = CONF_INT,
	 AT(device_series),
	 .fallback = "100000",
	 .min = 100,
	 .max = 4000000,
	 .help = "different paths that one device may send"},
	{.name = "certificate_days",
	 .type = CONF_INT,
	 AT(certificate_days),
	 .fallback = "7",
	 .min = 1,
	 .max = 398,
	 .help = "life of the certificates that devices and listeners get"},
	{.name = "console_files",
	 .type = CONF_PATH,
	 AT(console_files),
	 .optional = true,
	 .help = "folder of the console; none: the installed one"},
	{0},
};

// --- what the table cannot say

static bool numeric(const char *address)
{
	uint8_t bytes[16];
	return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

static struct err check_address(const char *file, const char *key, const char *address)
{
	ENSURE(numeric(address), ERR_USAGE,
	       "%s: %s: \"%.64s\" is no address; write it in numbers, such as 192.0.2.1", file, key,
	       address);
	return OK;
}

static struct err check_name(const char *file, const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
	size_t n = strlen(name);
	ENSURE(n > 0 && n <= NAME_MOST && strspn(name, letters) == n, ERR_USAGE,
	       "%s: name: \"%.64s\" is not allowed; write 1 to %d letters, digits, '.', '_', '-', "
	       "'/'",
	       file, name, NAME_MOST);
	return OK;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static struct err check_listeners(const char *file, const struct daemon_conf *c)
{
	const struct {
		const char *name;
		const struct conf_listen *l;
	} all[] = {{"telemetry", &c->telemetry},
		   {"enrolment", &c->enrolment},
		   {"control", &c->control},
		   {"api", &c->api},
		   {"console", &c->console}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		TRY(check_address(file, all[i].name, all[i].l->address));
		for (size_t k = 0; k < i; k++)
			ENSURE(all[i].l->port != all[k].l->port ||
				       !same_text(all[i].l->netns, all[k].l->netns) ||
				       !same_text(all[i].l->address, all[k].l->address),
			       ERR_USAGE, "%s: %s.port: %d is the port of %s too", file,
			       all[i].name, (int)all[i].l->port, all[k].name);
	}
	return OK;
}

static struct err check_items(const char *file, const struct daemon_conf *c)
{
	const struct conf_witness *w = c->witnesses.items;
	const struct conf_target *t = c->targets.items;
	const struct conf_reference *r = c->references.items;
	char key[40];
	for (size_t i = 0; i < c->witnesses.n; i++) {
		snprintf(key, sizeof key, "witnesses[%zu].address", i + 1);
		TRY(check_address(file, key, w[i].address));
		for (size_t k = 0; k < i; k++)
			ENSURE(strcmp(w[i].name, w[k].name) != 0, ERR_USAGE,
			       "%s: witnesses[%zu].name: \"%.64s\" is given twice", file, i + 1,
			       w[i].name);
	}
	for (size_t i = 0; i < c->targets.n; i++) {
		snprintf(key, sizeof key, "targets[%zu].address", i + 1);
		TRY(check_address(file, key, t[i].address));
	}
	for (size_t i = 0; i < c->references.n; i++)
		ENSURE(strlen(r[i].pcr17) == 64 &&
			       strspn(r[i].pcr17, "0123456789abcdefABCDEF") == 64,
		       ERR_USAGE, "%s: reference_values[%zu].pcr17: not 64 hex digits (a SHA-256)",
		       file, i + 1);
	return OK;
}

static struct err check(const char *file, const struct daemon_conf *c)
{
	TRY(check_name(file, c->name));
	ENSURE(c->state[0] == '/', ERR_USAGE, "%s: state: \"%.64s\" is not a whole path", file,
	       c->state);
	TRY(check_listeners(file, c));
	return check_items(file, c);
}

struct err daemon_conf_parse(const char *name, const char *text, size_t n, struct daemon_conf *out,
			     struct arena *a)
{
	*out = (struct daemon_conf){0};
	TRY(conf_parse(name, text, n, daemon_conf_keys, out, a));
	return check(name, out);
}

// --- files that it names

static struct err read_text(const char *path, struct buf *out)
{
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_system("%s", path);
	for (;;) {
		uint8_t block[4096];
		ssize_t n = read(fd, block, sizeof block);
		if (n < 0)
			return err_system("%s", path);
		if (n == 0)
			return buf_check(out, path);
		for (ssize_t i = 0; i < n; i++)
			if (block[i] != '\r')
				buf_u8(out, block[i]);
	}
}

static bool is_pem(const char *text)
{
	return strncmp(text, "-----BEGIN ", 11) == 0;
}

// *value: a path, beside the file when relative, becomes the text that is there.
static struct err inline_pem(const char *file, const char *key, size_t item, char **value,
			     struct arena *a)
{
	scoped(buf) struct buf text = {.limit = PEM_MOST};
	const char *slash = strrchr(file, '/');
	if (is_pem(*value))
		return OK;
	char *path = **value == '/' || !slash
			     ? *value
			     : arena_printf(a, "%.*s/%s", (int)(slash - file), file, *value);
	ENSURE(path, ERR_LIMIT, "%s: out of memory", file);
	struct err e = read_text(path, &text);
	const char *begin = e.code == ERR_NONE ? strstr(buf_text(&text), "-----BEGIN ") : NULL;
	if (e.code == ERR_NONE && (!begin || strlen(buf_text(&text)) != text.len))
		e = err_make(ERR_USAGE, "%s: holds no PEM certificate", path);
	if (e.code == ERR_NONE && !(*value = arena_strdup(a, begin)))
		e = err_make(ERR_LIMIT, "out of memory");
	return err_within(e, "%s: %s[%zu]", file, key, item + 1);
}

struct err daemon_conf_load(const char *path, struct daemon_conf *out, struct arena *a)
{
	*out = (struct daemon_conf){0};
	// State and console are handed to processes that stand elsewhere: whole paths.
	scoped(heap) char *whole = realpath(path, NULL);
	if (!whole)
		return err_system("%s: the configuration cannot be opened", path);
	TRY(conf_load(whole, daemon_conf_keys, out, a));
	TRY(check(whole, out));
	for (size_t i = 0; i < out->ek_roots.n; i++)
		TRY(inline_pem(whole, "ek_roots", i, &out->ek_roots.items[i], a));
	struct conf_target *t = out->targets.items;
	for (size_t i = 0; i < out->targets.n; i++)
		TRY(inline_pem(whole, "targets.authority", i, &t[i].authority, a));
	return OK;
}

// --- out again: JSON, which is YAML

static json_t *write_section(const struct conf_key *keys, const uint8_t *in);

static json_t *write_list(const struct conf_list *list)
{
	json_t *out = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(out, json_string(list->items[i]));
	return out;
}

static json_t *write_items(const struct conf_key *k, const struct conf_items *items)
{
	json_t *out = json_array();
	for (size_t i = 0; i < items->n; i++)
		json_array_append_new(out, write_section(k->keys, (const uint8_t *)items->items +
									  i * k->item_size));
	return out;
}

// NULL: nothing to say, or (strings that are not UTF-8) it cannot be said.
static json_t *write_value(const struct conf_key *k, const void *in)
{
	switch (k->type) {
	case CONF_STRING:
	case CONF_PATH:
		return *(char *const *)in ? json_string(*(char *const *)in) : NULL;
	case CONF_INT:
	case CONF_SIZE:
		return json_integer(*(const int64_t *)in);
	case CONF_DURATION:
		return json_sprintf("%lldns", (long long)*(const int64_t *)in);
	case CONF_BOOL:
		return json_boolean(*(const bool *)in);
	case CONF_CHOICE:
		return json_string(k->choices[*(const int *)in]);
	case CONF_LIST:
		return write_list(in);
	case CONF_SECTION:
		return write_section(k->keys, in);
	case CONF_SECTIONS:
		return write_items(k, in);
	}
	return NULL;
}

static json_t *write_section(const struct conf_key *keys, const uint8_t *in)
{
	json_t *out = json_object();
	for (; keys->name; keys++) {
		json_t *value = write_value(keys, in + keys->offset);
		if (value)
			json_object_set_new(out, keys->name, value);
	}
	return out;
}

struct err daemon_conf_write(const struct daemon_conf *c, struct buf *out)
{
	json_t *all = write_section(daemon_conf_keys, (const uint8_t *)c);
	char *text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
	json_decref(all);
	ENSURE(text, ERR_LIMIT, "the configuration cannot be written out");
	buf_str(out, text);
	free(text);
	TRY(buf_check(out, "configuration"));
	ENSURE(out->len <= TEXT_MOST, ERR_USAGE,
	       "the configuration with its PEM files is %zu bytes; at most %d", out->len,
	       TEXT_MOST);
	return OK;
}
