// SPDX-License-Identifier: Apache-2.0
// Refusals, read by a person: what, why, by which policy, and what to try.
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int code_of(long status)
{
	if (status == 401 || status == 403)
		return EXIT_NOT_PERMITTED;
	if (status == 400 || status == 405 || status == 413 || status == 414 || status == 415)
		return EXIT_USAGE;
	return status >= 502 && status <= 504 ? EXIT_UNREACHABLE : EXIT_REFUSED;
}

static void line(const char *name, const char *text, struct buf *out)
{
	if (!*text)
		return;
	buf_printf(out, "  %-8s ", name);
	text_safe(text, out);
	buf_str(out, "\n");
}

static void other_members(const json_t *problem, struct buf *out)
{
	static const char *const known[] = {"type", "title", "status", "detail", "fix", "decision", "instance"};
	const char *key;
	json_t *j;
	json_object_foreach((json_t *)(uintptr_t)problem, key, j) {
		bool skip = json_is_null(j);
		for (size_t i = 0; i < sizeof known / sizeof *known; i++)
			skip |= strcmp(known[i], key) == 0;
		if (skip)
			continue;
		scoped(buf) struct buf value = {.limit = 4096};
		text_value(j, &value);
		line(key, buf_text(&value), out);
	}
}

int refuse_text(long status, const json_t *problem, const struct style *s, struct buf *out)
{
	const char *title = show_text(problem, "title"), *detail = show_text(problem, "detail");
	const json_t *decision = json_object_get(problem, "decision");
	int code = code_of(status);
	if (s->colour)
		buf_str(out, "\033[31m");
	buf_str(out, code == EXIT_NOT_PERMITTED ? "not permitted" : code == EXIT_UNREACHABLE ? "not available"
								    : "refused");
	if (s->colour)
		buf_str(out, "\033[0m");
	buf_str(out, ": ");
	text_safe(*detail ? detail : title, out);
	if (!*detail && !*title)
		buf_printf(out, "HTTP status %ld", status);
	buf_str(out, "\n");
	other_members(problem, out);
	if (json_is_object(decision)) {
		line("policy", show_text(decision, "policy"), out);
		line("because", show_text(decision, "fact"), out);
	}
	line("try", show_text(problem, "fix"), out);
	return code;
}

int refuse_reply(const struct cli *c, const struct reply *r)
{
	scoped(buf) struct buf out = {0};
	json_t *problem = r->body.len ? json_loadb((const char *)r->body.data, r->body.len, 0, NULL) : NULL;
	struct style s = c->style;
	s.colour = s.colour && isatty(2);
	int code = refuse_text(r->status, problem, &s, &out);
	if (c->o.json && problem) {
		scoped(buf) struct buf json = {0};
		text_value(problem, &json);
		buf_str(&json, "\n");
		cli_write(&json);
	} else {
		fwrite(out.data, 1, out.len, stderr);
	}
	json_decref(problem);
	return code;
}

int refuse_err(const struct cli *c, struct err e)
{
	scoped(buf) struct buf out = {0};
	text_safe(e.text ? e.text : "", &out);
	fprintf(stderr, "gemel: %s\n", buf_text(&out));
	if (e.code == ERR_USAGE)
		return EXIT_USAGE;
	if (e.code == ERR_AUTH || e.code == ERR_DENIED)
		return EXIT_NOT_PERMITTED;
	return e.code == ERR_BUSY || e.code == ERR_IO ? EXIT_UNREACHABLE : EXIT_REFUSED;
}
