// SPDX-License-Identifier: Apache-2.0
// Following: server-sent events (WHATWG HTML 9.2.6) read line by line with bounds; a stream that
// breaks is taken up again after the last event seen. Values are followed by asking again and
// printing what is new.
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MOST = 256 << 10, IDLE_S = 1, AGAIN_S = 1, FOLLOW_S = 2 };

// --- reading the stream

static void copy_short(char *to, size_t n, const char *from)
{
	size_t len = strlen(from);
	len = len < n ? len : n - 1;
	memcpy(to, from, len);
	to[len] = 0;
}

static void line_end(struct sse *s)
{
	char *line = (char *)(uintptr_t)buf_text(&s->line);
	if (!*line) {
		if (s->data.len)
			s->on_event(s->ctx, s->id, s->event, buf_text(&s->data));
		buf_reset(&s->data);
		s->event[0] = 0;
		buf_reset(&s->line);
		return;
	}
	char *colon = strchr(line, ':');
	const char *value = colon ? colon + 1 + (colon[1] == ' ') : "";
	if (colon)
		*colon = 0;
	if (strcmp(line, "data") == 0) {
		if (s->data.len)
			buf_str(&s->data, "\n");
		buf_str(&s->data, value);
	} else if (strcmp(line, "id") == 0) {
		copy_short(s->id, sizeof s->id, value);
	} else if (strcmp(line, "event") == 0) {
		copy_short(s->event, sizeof s->event, value);
	}
	buf_reset(&s->line);
}

bool sse_feed(struct sse *s, const char *bytes, size_t n)
{
	s->line.limit = s->data.limit = LINE_MOST;
	for (size_t i = 0; i < n && !s->failed; i++) {
		if (bytes[i] == '\n')
			line_end(s);
		else if (bytes[i] && bytes[i] != '\r')
			buf_u8(&s->line, (uint8_t)bytes[i]);
		s->failed |= s->line.failed || s->data.failed;
	}
	return !s->failed;
}

void sse_clear(struct sse *s)
{
	buf_clear(&s->line);
	buf_clear(&s->data);
}

// --- events

static void print_event(void *ctx, const char *id, const char *event, const char *data)
{
	struct cli *c = ctx;
	scoped(buf) struct buf out = {.limit = 1 << 20};
	json_t *j = json_loads(data, 0, NULL);
	if (strcmp(event, "gap") == 0) {
		if (c->o.follow)
			fprintf(stderr, "gemel: some events before this are lost\n");
	} else if (c->o.json || !j) {
		text_safe(data, &out);
		buf_str(&out, "\n");
	} else {
		struct style exact = c->style;
		exact.terminal = false; // a line that stays on the screen must not say "now"
		text_time(show_text(j, "time"), &exact, &out);
		buf_str(&out, c->style.terminal ? "  " : "\t");
		text_safe(show_text(j, "type"), &out);
		buf_str(&out, c->style.terminal ? "  " : "\t");
		text_safe(show_text(j, "subject"), &out);
		buf_str(&out, c->style.terminal ? "  " : "\t");
		text_value(json_object_get(j, "data"), &out);
		buf_str(&out, "\n");
	}
	cli_write(&out);
	json_decref(j);
}

static bool take(void *ctx, const char *bytes, size_t n)
{
	return sse_feed(ctx, bytes, n);
}

int run_events(struct cli *c)
{
	struct sse s = {.on_event = print_event, .ctx = c};
	scoped(buf) struct buf target = {.limit = 8000};
	char *body;
	struct err e = call_target(c, &target, &body);
	if (e.code != ERR_NONE)
		return refuse_err(c, e);
	if (!c->o.follow && !strstr(buf_text(&target), "last_event_id="))
		buf_printf(&target, "%clast_event_id=0", strchr(buf_text(&target), '?') ? '&' : '?');
	int code = EXIT_DONE;
	for (;;) {
		struct reply r = {0};
		struct client_request q = {.method = "GET", .target = buf_text(&target), .on_bytes = take,
					   .ctx = &s, .idle_s = c->o.follow ? 0 : IDLE_S,
					   .last_event_id = s.id[0] ? s.id : NULL};
		e = client_do(c, &q, &r);
		bool refused = e.code == ERR_NONE && r.status >= 400;
		bool away = e.code == ERR_BUSY || r.status >= 500;
		bool begun = s.id[0] != 0;
		if (refused && !(away && begun))
			code = refuse_reply(c, &r);
		else if (e.code != ERR_NONE && !(c->o.follow && away && begun))
			code = refuse_err(c, e);
		reply_clear(&r);
		if (s.failed)
			code = refuse_err(c, err_make(ERR_PEER, "the stream is not server-sent events"));
		if (code != EXIT_DONE || !c->o.follow)
			break;
		buf_reset(&s.line);
		buf_reset(&s.data);
		sleep(AGAIN_S);
	}
	sse_clear(&s);
	return code;
}

// --- values

static const json_t *rows_of(const json_t *body)
{
	const char *key;
	json_t *j;
	json_object_foreach((json_t *)(uintptr_t)body, key, j)
		if (json_is_array(j) && json_is_object(json_array_get(j, 0)))
			return j;
	return NULL;
}

static void print_new(struct cli *c, const json_t *rows, json_t *seen)
{
	size_t i;
	json_t *row;
	json_t *fresh = json_array();
	json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
		json_t *name = json_sprintf("%s %s", show_text(row, "device"), show_text(row, "path"));
		const char *key = json_string_value(name);
		if (key && !json_equal(json_object_get(seen, key), row)) {
			json_object_set(seen, key, row);
			json_array_append(fresh, row);
		}
		json_decref(name);
	}
	if (json_array_size(fresh)) {
		scoped(buf) struct buf out = {.limit = 16 << 20};
		struct style s = c->style;
		s.terminal = false;
		if (c->o.json) {
			text_value(fresh, &out);
			buf_str(&out, "\n");
		} else {
			show_list(fresh, c->command->columns ? c->command->columns : "time device path value",
				  &s, &out);
		}
		cli_write(&out);
	}
	json_decref(fresh);
}

int run_data_follow(struct cli *c)
{
	json_t *seen = json_object();
	int code;
	for (;;) {
		json_t *body = NULL;
		code = call_json(c, &body);
		if (code == EXIT_DONE)
			print_new(c, rows_of(body), seen);
		json_decref(body);
		if (code != EXIT_DONE && code != EXIT_UNREACHABLE)
			break;
		sleep(FOLLOW_S);
	}
	json_decref(seen);
	return code;
}
