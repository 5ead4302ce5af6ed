// SPDX-License-Identifier: Apache-2.0
// Configuration text against a table with every type in it.

#include "lib/base/conf.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
	char *name;
	int64_t port;
};

struct all {
	char *text, *path;
	int64_t number, wait, size;
	bool on;
	int choice;
	struct conf_list list;
	struct part part;
	struct conf_items parts;
};

static const char *const choices[] = {"red", "green", NULL};

static const struct conf_key part_keys[] = {
	{.name = "name", .type = CONF_STRING, .offset = offsetof(struct part, name)},
	{.name = "port",
	 .type = CONF_INT,
	 .offset = offsetof(struct part, port),
	 .fallback = "1",
	 .min = 1,
	 .max = 65535},
	{0},
};

#define KEY(n, t) .name = #n, .type = t, .offset = offsetof(struct all, n)
static const struct conf_key keys[] = {
	{KEY(text, CONF_STRING)},
	{KEY(path, CONF_PATH), .optional = true},
	{KEY(number, CONF_INT), .optional = true},
	{KEY(wait, CONF_DURATION), .fallback = "1s"},
	{KEY(size, CONF_SIZE), .fallback = "1k"},
	{KEY(on, CONF_BOOL), .fallback = "no"},
	{KEY(choice, CONF_CHOICE), .fallback = "red", .choices = choices},
	{KEY(list, CONF_LIST), .optional = true},
	{KEY(part, CONF_SECTION), .optional = true, .keys = part_keys},
	{KEY(parts, CONF_SECTIONS), .optional = true, .keys = part_keys,
	 .item_size = sizeof(struct part)},
	{0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct all out = {0};
	struct arena *a = arena_new(1 << 16);
	struct err e = conf_parse("d/f", (const char *)data, size, keys, &out, a);
	if (e.code == ERR_NONE) {
		const struct part *p = out.parts.items;
		for (size_t i = 0; i < out.parts.n; i++)
			if (!p[i].name || p[i].port < 1 || p[i].port > 65535)
				abort();
		if (!out.text || out.choice < 0 || out.choice > 1)
			abort();
	} else if (!e.text || !*e.text) {
		abort();
	}
	arena_free(a);
	return 0;
}
