// SPDX-License-Identifier: Apache-2.0
#include "lib/ipc/rules.h"

#include "lib/base/cursor.h"

#include <string.h>

static const struct ipc_rule rules[] = {
#define MESSAGE(name, from, to, most, states, fd)                                                  \
	{#name, IPC_##name, PROCESS_##from, PROCESS_##to, most, IPC_##states, fd},
#include "lib/ipc/messages.def"
#undef MESSAGE
};

static const char *const process_names[PROCESS_COUNT] = {
	[PROCESS_PARENT] = "parent",	     [PROCESS_TELEMETRY] = "telemetry",
	[PROCESS_CONTROL] = "control",	     [PROCESS_REPOSITORY] = "repository",
	[PROCESS_MODELS] = "models",	     [PROCESS_MANAGEMENT] = "management",
	[PROCESS_NORTHBOUND] = "northbound", [PROCESS_KEYS] = "keys",
};

const char *process_name(enum process_id id)
{
	return id < PROCESS_COUNT ? process_names[id] : "unknown";
}

bool process_by_name(const char *name, enum process_id *id)
{
	for (int i = 0; i < PROCESS_COUNT; i++)
		if (strcmp(process_names[i], name) == 0) {
			*id = (enum process_id)i;
			return true;
		}
	return false;
}

const char *ipc_type_name(enum ipc_type type)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].type == type)
			return rules[i].name;
	return "unknown";
}

const struct ipc_rule *ipc_rules(size_t *n)
{
	*n = sizeof rules / sizeof *rules;
	return rules;
}

static bool is(int rule, enum process_id id)
{
	return rule == (int)id || (rule == PROCESS_EACH && id != PROCESS_PARENT);
}

const struct ipc_rule *ipc_rule_find(unsigned type, enum process_id from, enum process_id to)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].type == type && is(rules[i].from, from) && is(rules[i].to, to))
			return &rules[i];
	return NULL;
}

bool ipc_joined(enum process_id a, enum process_id b)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if ((is(rules[i].from, a) && is(rules[i].to, b)) ||
		    (is(rules[i].from, b) && is(rules[i].to, a)))
			return true;
	return false;
}

void ipc_table_fill(struct ipc_table *t, enum process_id from, enum process_id to)
{
	*t = (struct ipc_table){.from = from, .to = to};
	for (unsigned type = 1; type < IPC_TYPES; type++)
		t->by_type[type] = ipc_rule_find(type, from, to);
}

struct err ipc_frame_check(const struct ipc_table *t, bool running, unsigned type, size_t len,
			   bool fd)
{
	const struct ipc_rule *r = type < IPC_TYPES ? t->by_type[type] : NULL;
	const char *from = process_name(t->from), *to = process_name(t->to);
	ENSURE(r, ERR_PEER, "%s may not send message %u (%s) to %s", from, type,
	       ipc_type_name((enum ipc_type)type), to);
	ENSURE(r->states & (running ? IPC_RUN : IPC_START), ERR_PEER,
	       "%s from %s to %s is not permitted %s READY", ipc_type_name(r->type), from, to,
	       running ? "after" : "before");
	ENSURE(len <= r->most, ERR_PEER, "%s of %zu bytes from %s to %s: at most %u",
	       ipc_type_name(r->type), len, from, to, r->most);
	ENSURE(r->fd == FD_MAYBE || (r->fd == FD_ONE) == fd, ERR_PEER,
	       "%s from %s to %s %s a descriptor", ipc_type_name(r->type), from, to,
	       fd ? "must not carry" : "must carry");
	return OK;
}

struct err ipc_frame_read(const struct ipc_table *t, bool running, const uint8_t head[IPC_HEAD],
			  struct ipc_frame *out)
{
	struct cursor c = cursor_over(head, IPC_HEAD);
	uint32_t len = cursor_be32(&c);
	unsigned type = cursor_be16(&c), flags = cursor_be16(&c);
	ENSURE((flags & ~(unsigned)IPC_FLAG_FD) == 0, ERR_PEER, "%s sent a frame with flags 0x%x",
	       process_name(t->from), flags);
	*out = (struct ipc_frame){(enum ipc_type)type, len, (flags & IPC_FLAG_FD) != 0};
	return ipc_frame_check(t, running, type, len, out->fd);
}

void ipc_frame_write(uint8_t head[IPC_HEAD], enum ipc_type type, uint32_t len, bool fd)
{
	for (int i = 0; i < 4; i++)
		head[i] = (uint8_t)(len >> (24 - 8 * i));
	head[4] = (uint8_t)(type >> 8);
	head[5] = (uint8_t)type;
	head[6] = 0;
	head[7] = fd ? IPC_FLAG_FD : 0;
}
