// SPDX-License-Identifier: Apache-2.0
// gemel NOUN [VERB] [ARGUMENTS] [FLAGS]. Words before flags, flags anywhere after the noun; help is
// made from the same tables that are called.
#include "cli/cli.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// --- global flags

struct global {
	const char *name, *value, *help; // value NULL: none is taken
	size_t offset;
};
#define G(flag, value, member, help) {flag, value, help, offsetof(struct options, member)}
static const struct global globals[] = {
	G("--url", "URL", url, "address of the API; default $GEMEL_URL, then the log-in's"),
	G("--authority", "FILE", authority, "PEM certificate of the twin's authority"),
	G("--state", "DIR", state, "gemeld's state folder, to take both from"),
	G("--at", "TIME", at, "the answer as it was then: 2026-11-24T09:30:00Z, -5m"),
	G("--json", NULL, json, "the API's JSON"),
	G("--watch", NULL, watch, "again every two seconds"),
	G("--yes", NULL, yes, "do not ask"),
	G("--no-color", NULL, no_color, "no colour, also on a terminal"),
	G("--help", NULL, help, "help for a noun or a command"),
};
static const struct global specials[] = { // of the commands whose `flags` name them
	G("--password-stdin", NULL, password_stdin, "read the pass phrase from standard input"),
	G("--follow", NULL, follow, "go on as changes come"),
	G("--ietf", NULL, ietf, "as RFC 8345 and RFC 8346 JSON"),
	G("--output", "FILE", output, "write to this file, also -o"),
	G("--master", "FILE", master, "the master key"),
	G("--public", "FILE", public, "the public key"),
	G("--key", "FILE", key, "an attribute key"),
	G("--attributes", "LIST", attributes, "role=traffic-model,level:8=3"),
	G("--policy", "TEXT", policy, "who may decrypt: gemel-abe(1) has the language"),
	G("--vkey", "KEY", vkey, "the ledger's verifier key, or a file that holds it"),
};
enum { GLOBALS = sizeof globals / sizeof *globals, SPECIALS = sizeof specials / sizeof *specials };

static struct err global_set(struct cli *c, const struct global *g, int argc, char **argv, int *i,
			     size_t n)
{
	void *at = (char *)&c->o + g->offset;
	bool inlined = argv[*i][n] == '=';
	if (!g->value) {
		ENSURE(!inlined, ERR_USAGE, "%s takes no value", g->name);
		*(bool *)at = true;
		return OK;
	}
	ENSURE(inlined || *i + 1 < argc, ERR_USAGE, "%s: its value is missing; %s", g->name, g->help);
	*(const char **)at = inlined ? argv[*i] + n + 1 : argv[++*i];
	return OK;
}

static const struct global *global_find(const struct cli *c, const char *arg, size_t *n)
{
	*n = strcspn(arg, "=");
	for (int i = 0; i < GLOBALS; i++)
		if (strlen(globals[i].name) == *n && strncmp(globals[i].name, arg, *n) == 0)
			return &globals[i];
	const char *own = c->command && c->command->flags ? c->command->flags : "";
	for (int i = 0; i < SPECIALS; i++) {
		bool same = strlen(specials[i].name) == *n && strncmp(specials[i].name, arg, *n) == 0;
		same |= strcmp(arg, "-o") == 0 && specials[i].offset == offsetof(struct options, output);
		if (same && strstr(own, specials[i].name))
			return &specials[i];
	}
	return NULL;
}

// Sorts argv: globals are taken, noun and verb found, the rest is left for the command.
struct err options_parse(struct cli *c, int argc, char **argv)
{
	char *rest[ARGS_MAX];
	int n_rest = 0;
	const char *noun = NULL;
	for (int i = 1; i < argc; i++) {
		size_t n;
		if (strcmp(argv[i], "-h") == 0)
			argv[i] = (char *)(uintptr_t)"--help";
		const struct global *g = argv[i][0] == '-' ? global_find(c, argv[i], &n) : NULL;
		if (g) {
			TRY(global_set(c, g, argc, argv, &i, n));
		} else if (!noun && argv[i][0] != '-') {
			noun = argv[i];
			ENSURE(command_find(noun, NULL), ERR_USAGE, "\"%s\": no such command; gemel --help lists them", noun);
			bool verb = i + 1 < argc && argv[i + 1][0] != '-' && command_find(noun, argv[i + 1]);
			c->command = command_find(noun, verb ? argv[i + 1] : "");
			i += verb;
			if (!c->command)
				c->command = command_find(noun, NULL);
		} else {
			ENSURE(noun, ERR_USAGE, "%s: not known before the command; gemel --help", argv[i]);
			ENSURE(n_rest < ARGS_MAX, ERR_USAGE, "too many arguments");
			rest[n_rest++] = argv[i];
		}
	}
	if (!c->command || c->o.help)
		return OK;
	bool ietf = c->o.ietf;
	c->op = c->command->operation ? operation_by_id(ietf ? "topology.ietf" : c->command->operation)
				      : NULL;
	bool bare = c->command->verb[0] && n_rest && rest[0][0] != '-' && !c->command->positional;
	ENSURE(!bare, ERR_USAGE, "\"%s\": gemel %s knows no such verb; gemel %s --help lists them",
	       rest[0], noun, noun);
	return call_args(c, n_rest, rest);
}

// --- help

static void usage_line(const struct command *m, struct buf *out)
{
	const struct operation *op = m->operation ? operation_by_id(m->operation) : NULL;
	buf_printf(out, "gemel %s%s%s", m->noun, *m->verb ? " " : "", m->verb);
	for (const char *at = m->positional; at && *at;) {
		size_t n = strcspn(at, " ");
		const struct operation_param *p = op ? operation_param_find(op, at, n) : NULL;
		bool optional = p && !p->required, file = p && p->type == TYPE_DOCUMENT;
		buf_str(out, optional ? " [" : " ");
		for (size_t i = 0; i < n && !file; i++)
			buf_u8(out, (uint8_t)(at[i] >= 'a' && at[i] <= 'z' ? at[i] - 32 : at[i]));
		buf_str(out, file ? "FILE" : "");
		buf_str(out, optional ? "]" : "");
		at += n + (at[n] == ' ');
	}
}

static const char *summary_of(const struct command *m)
{
	const struct operation *op = m->operation ? operation_by_id(m->operation) : NULL;
	return m->summary ? m->summary : op ? op->summary : "";
}

static bool is_positional(const struct command *m, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = m->positional; at && *at; at += strcspn(at, " "), at += *at == ' ')
		if (strncmp(at, name, n) == 0 && (at[n] == ' ' || at[n] == 0))
			return true;
	return false;
}

static void flag_help(const char *name, const char *value, const char *help, struct buf *out)
{
	scoped(buf) struct buf flag = {.limit = 256};
	buf_printf(&flag, "%s%s%s", name, value ? " " : "", value ? value : "");
	buf_printf(out, "  %-28s %s\n", buf_text(&flag), help);
}

static void param_help(const struct command *m, const struct operation_param *p, struct buf *out)
{
	char name[64] = "--";
	size_t taken;
	for (size_t i = 0; p->name[i] && i < sizeof name - 3; i++)
		name[i + 2] = p->name[i] == '_' ? '-' : p->name[i];
	if (global_find(&(struct cli){0}, name, &taken)) // means something else: only its alias is left
		snprintf(name, sizeof name, "--...");
	scoped(buf) struct buf help = {.limit = 1024};
	buf_str(&help, p->help);
	if (p->allowed)
		buf_printf(&help, ": %s", p->allowed);
	for (const char *at = m->aliases; at && *at; at += strcspn(at, " "), at += *at == ' ') {
		size_t n = strcspn(at, "="), len = strlen(p->name);
		if (strncmp(at + n + 1, p->name, len) == 0 && strchr(" ", at[n + 1 + len])) {
			if (strcmp(name, "--...") == 0)
				snprintf(name, sizeof name, "--%.*s", (int)n, at);
			else
				buf_printf(&help, " (also --%.*s)", (int)n, at);
		}
	}
	static const char *const values[] = {
		[TYPE_NAME] = "NAME", [TYPE_TEXT] = "TEXT", [TYPE_DOCUMENT] = "FILE", [TYPE_SECRET] = NULL,
		[TYPE_TIME] = "TIME", [TYPE_CHOICE] = "WORD", [TYPE_LIST] = "A,B", [TYPE_JSON] = "FILE",
		[TYPE_NUMBER] = "N", [TYPE_FLAG] = NULL,
	};
	flag_help(name, values[p->type], buf_text(&help), out);
}

static void command_help(const struct command *m, struct buf *out)
{
	const struct operation *op = m->operation ? operation_by_id(m->operation) : NULL;
	const struct operation_param *p = NULL;
	usage_line(m, out);
	buf_printf(out, "\n  %s\n", summary_of(m));
	while (op && (p = operation_param_next(op, p)))
		if (!is_positional(m, p->name) && p->type != TYPE_SECRET && strcmp(p->name, "at") != 0)
			param_help(m, p, out);
	for (int i = 0; m->flags && i < SPECIALS; i++)
		if (strstr(m->flags, specials[i].name))
			flag_help(specials[i].name, specials[i].value, specials[i].help, out);
	buf_str(out, "\n");
}

void help_print(const struct cli *c, const char *noun, struct buf *out)
{
	if (noun) {
		for (unsigned i = 0; i < commands_count; i++)
			if (strcmp(commands[i].noun, noun) == 0)
				command_help(&commands[i], out);
		return;
	}
	buf_str(out, "gemel: the command line of a network's secured twin\n\n");
	for (unsigned i = 0; i < commands_count; i++) {
		scoped(buf) struct buf line = {.limit = 256};
		usage_line(&commands[i], &line);
		buf_printf(out, "  %-40s %s\n", buf_text(&line) + 6, summary_of(&commands[i]));
	}
	buf_str(out, "\nFlags of all commands:\n");
	for (int i = 0; i < GLOBALS; i++)
		flag_help(globals[i].name, globals[i].value, globals[i].help, out);
	buf_str(out, "\nExit codes: 0 done, 1 refused or false, 2 usage, 3 unreachable, 4 not permitted.\n");
}
