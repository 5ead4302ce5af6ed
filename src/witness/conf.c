// SPDX-License-Identifier: Apache-2.0

#include "witness/conf.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct witness_conf, field)
#define IN(type, field) offsetof(struct type, field)

static const char *const levels[] = {"error", "warning", "notice", "debug", NULL};

static const struct conf_key listen_keys[] = {
	{.name = "address",
	 .type = CONF_STRING,
	 .offset = IN(witness_listen, address),
	 .help = "numeric address"},
	{.name = "port",
	 .type = CONF_INT,
	 .offset = IN(witness_listen, port),
	 .fallback = "9341",
	 .min = 1,
	 .max = 65535,
	 .help = "port"},
	{0},
};

static const struct conf_key log_keys[] = {
	{.name = "origin",
	 .type = CONF_STRING,
	 .offset = IN(witness_log, origin),
	 .help = "the first line of the log's checkpoints"},
	{.name = "vkey",
	 .type = CONF_STRING,
	 .offset = IN(witness_log, vkey),
	 .help = "its verifier key, NAME+ID+BASE64; gemel ledger vkey prints it"},
	{0},
};

const struct conf_key witness_conf_keys[] = {
	{.name = "name",
	 .type = CONF_STRING,
	 .offset = AT(name),
	 .help = "name in the cosignatures, such as witness.example/w1"},
	{.name = "state",
	 .type = CONF_PATH,
	 .offset = AT(state),
	 .help = "folder of the key and of what was seen"},
	{.name = "listen",
	 .type = CONF_SECTION,
	 .offset = AT(listen),
	 .keys = listen_keys,
	 .help = "where logs ask"},
	{.name = "logs",
	 .type = CONF_SECTIONS,
	 .offset = AT(logs),
	 .keys = log_keys,
	 .item_size = sizeof(struct witness_log),
	 .optional = true,
	 .help = "whose checkpoints are cosigned; a log that is not here gets 404"},
	{.name = "uid",
	 .type = CONF_INT,
	 .offset = AT(uid),
	 .fallback = "61400",
	 .min = 1,
	 .max = 2000000000,
	 .help = "user that it becomes when started as root"},
	{.name = "log_level",
	 .type = CONF_CHOICE,
	 .offset = AT(log_level),
	 .fallback = "notice",
	 .choices = levels,
	 .help = "error, warning, notice, debug"},
	{0},
};

struct err witness_conf_load(const char *path, struct witness_conf *out, struct arena *a)
{
	static const uint8_t none[NOTE_PUBLIC];
	struct note_key ignored;
	*out = (struct witness_conf){0};
	TRY(conf_load(path, witness_conf_keys, out, a));
	struct err e = note_key_make(out->name, NOTE_COSIGNATURE, none, &ignored);
	if (e.code != ERR_NONE)
		return err_within(e, "%s: name", path);
	const struct witness_log *logs = out->logs.items;
	out->keys = arena_alloc(a, out->logs.n * sizeof *out->keys + 1);
	ENSURE(out->keys, ERR_LIMIT, "%s: too many logs", path);
	for (size_t i = 0; i < out->logs.n; i++) {
		size_t n = strlen(logs[i].origin);
		ENSURE(n > 0 && n <= NOTE_NAME_MAX && !strchr(logs[i].origin, '\n'), ERR_USAGE,
		       "%s: logs %zu: origin: 1 to %d bytes in one line", path, i + 1,
		       NOTE_NAME_MAX);
		e = note_key_parse(logs[i].vkey, &out->keys[i]);
		if (e.code != ERR_NONE)
			return err_within(e, "%s: logs %zu: vkey", path, i + 1);
		ENSURE(out->keys[i].type == NOTE_ED25519, ERR_USAGE,
		       "%s: logs %zu: vkey: is a witness's key, not a log's", path, i + 1);
	}
	return OK;
}
