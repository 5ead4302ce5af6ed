// SPDX-License-Identifier: Apache-2.0
// Answers of a server that lies: each way of showing takes any JSON, and what reaches the terminal has
// no control characters but its own line ends and colours. Also the reader of event streams.
#include "cli/cli.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void harmless(struct buf *out)
{
	const char *s = buf_text(out);
	for (; *s; s++)
		assert((unsigned char)*s >= 0x20 || *s == '\n' || *s == '\t');
}

static void show_all(const json_t *j)
{
	static void (*const shows[])(struct cli *, const json_t *, struct buf *) = {
		show_any, show_status, show_topology, show_path, show_verify, show_enrol,
	};
	static const char *const nouns[] = {"device", "whoami"};
	for (int k = 0; k < 4; k++)
		for (size_t i = 0; i < sizeof shows / sizeof *shows; i++) {
			scoped(buf) struct buf out = {.limit = 4 << 20};
			struct cli c = {.command = command_find(nouns[k % 2], NULL)};
			c.style = (struct style){.terminal = k / 2, .width = 40, .now_ns = 1};
			shows[i](&c, j, &out);
			harmless(&out);
		}
	struct style s = {.terminal = true, .width = 40};
	scoped(buf) struct buf refusal = {.limit = 1 << 20};
	refuse_text(403, j, &s, &refusal);
	harmless(&refusal);
}

static void on_event(void *ctx, const char *id, const char *event, const char *data)
{
	assert(strlen(id) < 32 && strlen(event) < 32 && *data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sse s = {.on_event = on_event};
	sse_feed(&s, (const char *)data, size);
	sse_clear(&s);
	json_t *j = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	if (j)
		show_all(j);
	json_decref(j);
	return 0;
}
