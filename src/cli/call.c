// SPDX-License-Identifier: Apache-2.0
// From a command's flags and arguments to one HTTP call, by the table: what goes into the path, the
// query and the body, and what is a file to be read. The server checks values; here only what cannot
// be sent at all is refused.
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 900000 };

struct err url_encode(const char *s, bool path, struct buf *out)
{
	for (; *s; s++) {
		char c = *s, low = c | 0x20;
		bool plain = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c) ||
			     (path && c == '/');
		if (plain)
			buf_u8(out, (uint8_t)c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
	return buf_check(out, "address");
}

// --- arguments

static struct err value_add(struct cli *c, const struct operation_param *p, char *text)
{
	for (unsigned i = 0; i < c->n_values; i++)
		ENSURE(c->values[i].param != p, ERR_USAGE, "%s: given twice", p->name);
	ENSURE(c->n_values < ARGS_MAX, ERR_USAGE, "too many arguments");
	if (p->type == TYPE_DOCUMENT || p->type == TYPE_JSON) {
		scoped(buf) struct buf file = {0};
		TRY(file_read(text, FILE_MOST, &file));
		text = arena_strndup(c->arena, buf_text(&file), file.len);
		ENSURE(text, ERR_LIMIT, "%s: too large", p->name);
	}
	c->values[c->n_values++] = (struct cli_value){p, text};
	return OK;
}

// The word number `n` of "a b c"; false: there are fewer.
static bool word(const char *words, unsigned n, const char **at, size_t *len)
{
	for (*at = words; *at && **at; *at += *len + ((*at)[*len] == ' ')) {
		*len = strcspn(*at, " ");
		if (n-- == 0)
			return true;
	}
	return false;
}

// "--port" -> "destination_port", by the command's aliases, else '-' -> '_'.
static const struct operation_param *flag_param(const struct cli *c, const char *name, size_t n)
{
	const char *at;
	size_t len;
	char plain[64];
	for (unsigned i = 0; word(c->command->aliases, i, &at, &len); i++)
		if (len > n + 1 && strncmp(at, name, n) == 0 && at[n] == '=')
			return operation_param_find(c->op, at + n + 1, len - n - 1);
	if (n >= sizeof plain)
		return NULL;
	for (size_t i = 0; i < n; i++)
		plain[i] = name[i] == '-' ? '_' : name[i];
	return operation_param_find(c->op, plain, n);
}

static struct err flag_take(struct cli *c, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2;
	size_t n = strcspn(name, "=");
	const struct operation_param *p = c->op ? flag_param(c, name, n) : NULL;
	ENSURE(p, ERR_USAGE, "%s: no such flag; gemel %s %s --help lists them", argv[*i],
	       c->command->noun, c->command->verb);
	ENSURE(p->type != TYPE_SECRET, ERR_USAGE,
	       "%s: a pass phrase must not be an argument; it is asked for, or --password-stdin", argv[*i]);
	if (name[n] == '=')
		return value_add(c, p, argv[*i] + 2 + n + 1);
	if (p->type == TYPE_FLAG)
		return value_add(c, p, (char *)(uintptr_t)"true");
	ENSURE(*i + 1 < argc, ERR_USAGE, "%s: its value is missing; %s", argv[*i], p->help);
	return value_add(c, p, argv[++*i]);
}

static struct err positional_take(struct cli *c, unsigned n, char *text)
{
	const char *at;
	size_t len;
	ENSURE(word(c->command->positional, n, &at, &len), ERR_USAGE,
	       "\"%s\": not expected here; gemel %s %s takes %s%s", text, c->command->noun,
	       c->command->verb, c->command->positional ? "only " : "no arguments",
	       c->command->positional ? c->command->positional : "");
	c->args[n] = text;
	const struct operation_param *p = c->op ? operation_param_find(c->op, at, len) : NULL;
	return p ? value_add(c, p, text) : OK;
}

static bool has(const struct cli *c, const struct operation_param *p)
{
	for (unsigned i = 0; i < c->n_values; i++)
		if (c->values[i].param == p)
			return true;
	return false;
}

// The name or `a` of the positional that is missing, or asked for where it is a secret.
static struct err complete_args(struct cli *c)
{
	const struct operation_param *p = NULL;
	while (c->op && (p = operation_param_next(c->op, p))) {
		bool secret = p->type == TYPE_SECRET && (p->required || c->o.password_stdin);
		char *text;
		if (has(c, p) || (!p->required && !secret))
			continue;
		if (secret) {
			TRY(secret_ask(c, p->help, p->least > 1, &text));
			TRY(value_add(c, p, text));
			continue;
		}
		if (strcmp(c->op->id, "devices.import") == 0 && strcmp(p->name, "format") == 0) {
			const char *file = c->n_args ? c->args[0] : "", *dot = strrchr(file, '.');
			TRY(value_add(c, p, (char *)(uintptr_t)(dot && strcmp(dot, ".json") == 0
									? "netbox" : "csv")));
			continue;
		}
		return err_make(ERR_USAGE, "%s: missing; %s", p->name, p->help);
	}
	return OK;
}

struct err call_args(struct cli *c, int argc, char **argv)
{
	bool flags = true;
	for (int i = 0; i < argc; i++) {
		if (flags && strcmp(argv[i], "--") == 0) {
			flags = false;
		} else if (flags && strncmp(argv[i], "--", 2) == 0) {
			TRY(flag_take(c, argc, argv, &i));
		} else {
			TRY(positional_take(c, c->n_args, argv[i]));
			c->n_args++;
		}
	}
	if (c->o.at) {
		const struct operation_param *at = c->op ? operation_param_find(c->op, "at", 2) : NULL;
		ENSURE(at, ERR_USAGE, "--at: gemel %s %s cannot be asked of the past", c->command->noun,
		       c->command->verb);
		TRY(value_add(c, at, (char *)(uintptr_t)c->o.at));
	}
	return complete_args(c);
}

// --- the call

static struct err path_make(const struct cli *c, struct buf *out)
{
	for (const char *t = c->op->path; *t;) {
		if (*t != '{') {
			buf_u8(out, (uint8_t)*t++);
			continue;
		}
		size_t n = strcspn(++t, ".}");
		for (unsigned i = 0; i < c->n_values; i++) {
			const struct operation_param *p = c->values[i].param;
			if (strlen(p->name) == n && memcmp(p->name, t, n) == 0)
				TRY(url_encode(c->values[i].text, strncmp(t + n, "...", 3) == 0, out));
		}
		t += strcspn(t, "}") + 1;
	}
	return OK;
}

static struct err member(json_t *body, const struct cli_value *v)
{
	const struct operation_param *p = v->param;
	json_t *j = NULL;
	char *end = NULL;
	if (p->type == TYPE_NUMBER) {
		j = json_integer(strtoll(v->text, &end, 10));
		ENSURE(*v->text && !*end, ERR_USAGE, "%s: \"%s\" is not a whole number", p->name, v->text);
	} else if (p->type == TYPE_FLAG) {
		bool yes = strcmp(v->text, "true") == 0;
		ENSURE(yes || strcmp(v->text, "false") == 0, ERR_USAGE, "%s: true or false", p->name);
		j = json_boolean(yes);
	} else if (p->type == TYPE_LIST) {
		j = json_array();
		for (const char *at = v->text; *at;) {
			size_t n = strcspn(at, ",");
			json_array_append_new(j, json_stringn(at, n));
			at += n + (at[n] == ',');
		}
	} else if (p->type == TYPE_JSON) {
		j = json_loads(v->text, JSON_REJECT_DUPLICATES, NULL);
	} else {
		j = json_string(v->text);
	}
	ENSURE(j, ERR_USAGE, "%s: not %s", p->name, p->type == TYPE_JSON ? "JSON" : "UTF-8");
	json_object_set_new(body, p->name, j);
	return OK;
}

struct err call_target(struct cli *c, struct buf *target, char **body)
{
	json_t *members = json_object();
	struct err e = path_make(c, target);
	bool first = true;
	*body = NULL;
	for (unsigned i = 0; e.code == ERR_NONE && i < c->n_values; i++) {
		const struct operation_param *p = c->values[i].param;
		if (p->in == IN_BODY)
			e = member(members, &c->values[i]);
		if (p->in != IN_QUERY)
			continue;
		buf_printf(target, "%c%s=", first ? '?' : '&', p->name);
		e = url_encode(c->values[i].text, false, target);
		first = false;
	}
	if (e.code == ERR_NONE && (json_object_size(members) || c->op->method == METHOD_POST))
		*body = json_dumps(members, JSON_COMPACT);
	json_decref(members);
	TRY(e);
	return buf_check(target, "address");
}

static struct err perform(struct cli *c, struct reply *r)
{
	scoped(buf) struct buf target = {.limit = 8000};
	char *body = NULL;
	struct err e = call_target(c, &target, &body);
	struct client_request q = {.method = operation_method_name(c->op->method), .body = body};
	q.target = buf_text(&target);
	if (e.code == ERR_NONE)
		e = client_do(c, &q, r);
	if (body)
		secret_zero(body, strlen(body));
	free(body);
	return e;
}

int call_json(struct cli *c, json_t **out)
{
	struct reply r = {0};
	json_error_t why;
	*out = NULL;
	struct err e = perform(c, &r);
	int code = e.code ? refuse_err(c, e) : r.status >= 400 ? refuse_reply(c, &r) : EXIT_DONE;
	if (code == EXIT_DONE) {
		*out = r.body.len ? json_loadb(buf_text(&r.body), r.body.len, JSON_DECODE_ANY, &why)
				  : json_object();
		if (!*out)
			code = refuse_err(c, err_make(ERR_PEER, "the answer is not JSON: %s", why.text));
	}
	reply_clear(&r);
	return code;
}

int call_raw(struct cli *c, const char *target, struct reply *out)
{
	struct client_request q = {.method = "GET", .target = target};
	struct err e = client_do(c, &q, out);
	return e.code ? refuse_err(c, e) : out->status >= 400 ? refuse_reply(c, out) : EXIT_DONE;
}

static int once(struct cli *c)
{
	scoped(buf) struct buf out = {.limit = 64 << 20};
	json_t *answer = NULL;
	int code = call_json(c, &answer);
	if (code != EXIT_DONE)
		return code;
	if (c->o.json || c->o.ietf) {
		char *text = json_dumps(answer, c->style.terminal ? JSON_INDENT(2) : JSON_COMPACT);
		buf_str(&out, text ? text : "");
		buf_str(&out, "\n");
		free(text);
	}
	scoped(buf) struct buf shown = {.limit = 64 << 20};
	(c->command->show ? c->command->show : show_any)(c, answer, &shown);
	if (c->o.watch && c->style.terminal)
		fputs("\033[H\033[2J", stdout);
	cli_write(out.len ? &out : &shown);
	json_decref(answer);
	return c->false_answer ? EXIT_REFUSED : EXIT_DONE;
}

int call_command(struct cli *c)
{
	for (;;) {
		int code = once(c);
		if (!c->o.watch || code == EXIT_NOT_PERMITTED || code == EXIT_USAGE)
			return code;
		sleep(2);
	}
}
