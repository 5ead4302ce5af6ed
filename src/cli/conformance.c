// SPDX-License-Identifier: Apache-2.0
// gemel conformance: each requirement of X.2011 that has a live check is tried on the running
// system. The checks are a program of their own, `checks`: `checks --list` prints `ID SABOTAGE`
// lines, `checks ID` does the check and prints one JSON object {"verdict": "pass"|"fail"|"none",
// "evidence": [...]}. It sees the run's nonce, so that what it captures can be told from an older
// run's. A check that dies, hangs or prints anything else has failed. The results are handed in and
// shown.
#include "cli/cli.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHECK_OUTPUT_MAX = 1 << 20, CHECK_S = 180, NONCE = 16 };
extern char **environ;

static const char *checks_program(void)
{
	static const char *const places[] = {CHECKS_INSTALLED, CHECKS_BUILT};
	const char *named = getenv("GEMEL_CHECKS");
	if (named && *named)
		return named;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

// Its whole standard output, within CHECK_S. Its standard error is ours.
static struct err program_output(const char *program, const char *argument, struct buf *out)
{
	char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)argument, NULL};
	int pipes[2], status = 0;
	pid_t pid;
	out->limit = CHECK_OUTPUT_MAX;
	if (pipe(pipes) != 0)
		return err_system("pipe");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, pipes[0]);
	int failed = posix_spawn(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (failed) {
		close(pipes[0]);
		errno = failed;
		return err_system("%s", program);
	}
	int64_t until = clock_mono_ns() + CHECK_S * NS_PER_S;
	bool late = false;
	for (;;) {
		uint8_t part[4096];
		struct pollfd p = {.fd = pipes[0], .events = POLLIN};
		int64_t left = (until - clock_mono_ns()) / NS_PER_MS;
		late = left <= 0 || poll(&p, 1, (int)left) == 0;
		ssize_t n = late ? 0 : read(pipes[0], part, sizeof part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_append(out, part, (size_t)n);
	}
	if (late)
		kill(pid, SIGKILL);
	close(pipes[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ENSURE(!late, ERR_LIMIT, "no answer within %d s", CHECK_S);
	ENSURE(WIFEXITED(status) && WEXITSTATUS(status) == 0, ERR_INTERNAL,
	       "the check itself ended with %s %d", WIFEXITED(status) ? "status" : "signal",
	       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return buf_check(out, program);
}

static json_t *failure(struct err why)
{
	return json_pack("{s:s, s:[{s:s}]}", "verdict", "fail", "evidence", "why", why.text);
}

static json_t *check_one(const char *program, const char *id)
{
	scoped(buf) struct buf out = {0};
	struct err e = program_output(program, id, &out);
	if (e.code != ERR_NONE)
		return failure(e);
	json_error_t bad;
	json_t *j = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES, &bad);
	const char *verdict = json_string_value(json_object_get(j, "verdict"));
	if (!verdict || !json_is_array(json_object_get(j, "evidence")) ||
	    (strcmp(verdict, "pass") != 0 && strcmp(verdict, "fail") != 0 &&
	     strcmp(verdict, "none") != 0)) {
		json_decref(j);
		return failure(err_make(ERR_INTERNAL, "the check printed no verdict"));
	}
	return j;
}

static bool listed(const char *list, const char *id)
{
	size_t n = strlen(id);
	for (const char *at = list; at && *at; at = strchr(at, '\n'), at += at != NULL)
		if (strncmp(at, id, n) == 0 && strchr(" \n", at[n]))
			return true;
	return false;
}

static bool asked_for(const struct cli *c, const char *id)
{
	size_t n = strlen(id);
	for (const char *at = c->n_args ? c->args[0] : NULL; at;
	     at = strchr(at, ','), at += at != NULL)
		if (strncmp(at, id, n) == 0 && (at[n] == ',' || at[n] == '\0'))
			return true;
	return c->n_args == 0;
}

struct run {
	struct cli *c;
	const char *program;
	char nonce[2 * NONCE + 1];
	json_t *results;
	unsigned pass, fail, none;
};

static void result_print(const struct run *r, const json_t *result)
{
	const char *verdict = show_text(result, "verdict");
	const char *colour = !r->c->style.colour ? ""
			     : *verdict == 'p'	 ? "\033[32m"
			     : *verdict == 'f'	 ? "\033[31m"
						 : "\033[2m";
	printf("%s%-4s%s  %-12s %s\n", colour, verdict, *colour ? "\033[0m" : "",
	       show_text(result, "id"), show_text(result, "requirement"));
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(result, "evidence"), i, e)
	{
		scoped(heap) char *text = json_dumps(e, JSON_ENCODE_ANY | JSON_COMPACT);
		if (text && i < 6)
			printf("        %.*s\n",
			       r->c->style.width > 20 ? (int)r->c->style.width - 10 : 70, text);
	}
	fflush(stdout);
}

static void requirement_run(struct run *r, const json_t *row, const char *list)
{
	const char *id = show_text(row, "id");
	json_t *result = NULL;
	if (isatty(STDERR_FILENO) && !r->c->o.json)
		fprintf(stderr, "\r\033[K%s ...\r", id);
	if (listed(list, id))
		result = check_one(r->program, id);
	else
		result = json_pack("{s:s, s:[]}", "verdict", "none", "evidence");
	if (!result)
		return;
	const char *title = show_text(row, "requirement");
	json_object_set_new(result, "id", json_string(id));
	json_object_set_new(result, "requirement",
			    json_string(*title ? title : show_text(row, "title")));
	const char *verdict = show_text(result, "verdict");
	r->pass += *verdict == 'p';
	r->fail += *verdict == 'f';
	r->none += *verdict == 'n';
	if (!r->c->o.json)
		result_print(r, result);
	json_array_append_new(r->results, result);
}

// --- report

static void html_text(const char *s, struct buf *out)
{
	for (; *s; s++) {
		const char *as = *s == '<'   ? "&lt;"
				 : *s == '>' ? "&gt;"
				 : *s == '&' ? "&amp;"
				 : *s == '"' ? "&quot;"
					     : NULL;
		if (as)
			buf_str(out, as);
		else
			buf_u8(out, (uint8_t)*s);
	}
}

static struct err report_write(const struct run *r, const char *path)
{
	scoped(buf) struct buf out = {0};
	char when[CLOCK_TEXT_MAX];
	size_t i;
	json_t *row;
	buf_printf(&out,
		   "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>X.2011 "
		   "conformance</title>"
		   "<style>body{font:15px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 "
		   "1rem}"
		   "table{border-collapse:collapse;width:100%%}td,th{text-align:left;vertical-"
		   "align:top;"
		   "border-bottom:1px solid "
		   "#ccc;padding:.4rem}.pass{color:#176b2c}.fail{color:#b00020;"
		   "font-weight:bold}.none{color:#666}pre{white-space:pre-wrap;margin:0;font-size:"
		   "12px}</style>"
		   "<h1>X.2011 conformance</h1><p>Run %s, %s. %u passed, %u failed, %u without a "
		   "check yet."
		   "<table><tr><th>Id<th>Requirement<th>Verdict<th>Evidence",
		   r->nonce, clock_format(clock_wall_ns(), when), r->pass, r->fail, r->none);
	json_array_foreach(r->results, i, row)
	{
		scoped(heap) char *evidence =
			json_dumps(json_object_get(row, "evidence"), JSON_INDENT(1));
		const char *verdict = show_text(row, "verdict");
		buf_printf(&out, "<tr><td>%s<td>", show_text(row, "id"));
		html_text(show_text(row, "requirement"), &out);
		buf_printf(&out, "<td class=\"%s\">%s<td><pre>", verdict, verdict);
		html_text(evidence && *verdict != 'n' ? evidence : "", &out);
		buf_str(&out, "</pre>");
	}
	buf_str(&out, "</table></html>\n");
	TRY(buf_check(&out, path));
	return file_replace(path, out.data, out.len, false);
}

// Handed to the twin, so that the console shows it and the ledger has it.
static int results_submit(struct run *r)
{
	json_t *body = json_pack("{s:s, s:O}", "run", r->nonce, "results", r->results);
	scoped(heap) char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	struct reply reply = {0};
	const struct client_request q = {
		.method = "POST", .target = "/v1/conformance", .body = text};
	struct err e = text ? client_do(r->c, &q, &reply) : err_make(ERR_LIMIT, "out of memory");
	int code = e.code		     ? refuse_err(r->c, e)
		   : reply.status / 100 != 2 ? refuse_reply(r->c, &reply)
					     : EXIT_DONE;
	reply_clear(&reply);
	return code;
}

static int requirements_run(struct run *r, const json_t *rows)
{
	scoped(buf) struct buf list = {0};
	size_t i;
	json_t *row;
	struct err e = program_output(r->program, "--list", &list);
	if (e.code != ERR_NONE)
		return refuse_err(r->c, e);
	setenv("GEMEL_RUN", r->nonce, 1);
	json_array_foreach(rows, i, row) if (asked_for(r->c, show_text(row, "id")))
		requirement_run(r, row, buf_text(&list));
	if (r->pass + r->fail + r->none == 0)
		return refuse_err(r->c,
				  err_make(ERR_USAGE,
					   "\"%s\": no such requirement; gemel conformance list",
					   r->c->args[0]));
	if (r->c->o.json)
		json_dumpf(r->results, stdout, JSON_INDENT(1));
	else
		printf("%u passed, %u failed, %u without a check yet (run %s)\n", r->pass, r->fail,
		       r->none, r->nonce);
	if (r->c->o.output) {
		e = report_write(r, r->c->o.output);
		if (e.code != ERR_NONE)
			return refuse_err(r->c, e);
	}
	int code = results_submit(r);
	return code != EXIT_DONE ? code : r->fail ? EXIT_REFUSED : EXIT_DONE;
}

int run_conformance(struct cli *c)
{
	struct run r = {.c = c, .program = checks_program(), .results = json_array()};
	struct reply reply = {0};
	uint8_t random[NONCE];
	if (!r.program)
		return refuse_err(
			c, err_make(ERR_NOT_FOUND,
				    "no checks are installed; GEMEL_CHECKS names the program"));
	FILE *f = fopen("/dev/urandom", "re");
	if (!f || fread(random, 1, sizeof random, f) != sizeof random)
		return refuse_err(c, err_system("/dev/urandom"));
	fclose(f);
	for (int i = 0; i < NONCE; i++)
		snprintf(r.nonce + 2 * i, 3, "%02x", random[i]);
	int code = call_raw(c, "/v1/conformance?limit=1000", &reply);
	json_t *body = code == EXIT_DONE
			       ? json_loadb((const char *)reply.body.data, reply.body.len, 0, NULL)
			       : NULL;
	json_t *rows = json_object_get(body, "items");
	if (code == EXIT_DONE && !json_is_array(rows))
		code = refuse_err(
			c,
			err_make(ERR_PEER, "the twin's list of requirements is not of the form"));
	if (code == EXIT_DONE)
		code = requirements_run(&r, rows);
	json_decref(body);
	json_decref(r.results);
	reply_clear(&reply);
	return code;
}
