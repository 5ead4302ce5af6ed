// SPDX-License-Identifier: Apache-2.0
// Completion scripts for bash and zsh, written from the table of commands.
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char global_flags[] =
	"--url --authority --state --at --json --watch --yes --no-color --help";

static bool first_of_noun(unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (strcmp(commands[k].noun, commands[i].noun) == 0)
			return false;
	return true;
}

static void nouns(struct buf *out)
{
	for (unsigned i = 0; i < commands_count; i++)
		if (first_of_noun(i))
			buf_printf(out, "%s%s", i ? " " : "", commands[i].noun);
}

static void verbs(const char *noun, struct buf *out)
{
	for (unsigned i = 0; i < commands_count; i++)
		if (strcmp(commands[i].noun, noun) == 0 && *commands[i].verb)
			buf_printf(out, "%s ", commands[i].verb);
}

static void flags(const struct command *m, struct buf *out)
{
	const struct operation *op = m->operation ? operation_by_id(m->operation) : NULL;
	const struct operation_param *p = NULL;
	while (op && (p = operation_param_next(op, p))) {
		if (p->type == TYPE_SECRET || p->in == IN_PATH || strcmp(p->name, "at") == 0 ||
		    strcmp(p->name, "state") == 0) // the global --state DIR
			continue;
		buf_str(out, "--");
		for (const char *c = p->name; *c; c++)
			buf_u8(out, (uint8_t)(*c == '_' ? '-' : *c));
		buf_str(out, " ");
	}
	for (const char *at = m->aliases; at && *at; at += strcspn(at, " "), at += *at == ' ')
		buf_printf(out, "--%.*s ", (int)strcspn(at, "="), at);
	buf_printf(out, "%s", m->flags ? m->flags : "");
}

// One `case` that both shells read: the words so far -> what may follow.
static void cases(struct buf *out)
{
	for (unsigned i = 0; i < commands_count; i++) {
		if (first_of_noun(i) && *commands[i].verb) {
			buf_printf(out, "\t'%s ') choices='", commands[i].noun);
			verbs(commands[i].noun, out);
			buf_str(out, "' ;;\n");
		}
		buf_printf(out, "\t'%s %s'*) choices='", commands[i].noun, commands[i].verb);
		flags(&commands[i], out);
		buf_printf(out, " %s' ;;\n", global_flags);
	}
	buf_str(out, "\t*) choices='");
	nouns(out);
	buf_printf(out, " %s' ;;\n", global_flags);
}

static void bash(struct buf *out)
{
	buf_str(out,
		"# bash completion for gemel: gemel completion bash > /etc/bash_completion.d/gemel\n"
		"_gemel() {\n"
		"\tlocal choices before=''\n"
		"\t[ \"$COMP_CWORD\" -gt 1 ] && before=\"${COMP_WORDS[1]} \"\n"
		"\t[ \"$COMP_CWORD\" -gt 2 ] && before=\"$before${COMP_WORDS[2]} \"\n"
		"\tcase $before in\n");
	cases(out);
	buf_str(out, "\tesac\n"
		     "\tmapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
		     "}\n"
		     "complete -o default -F _gemel gemel\n");
}

static void zsh(struct buf *out)
{
	buf_str(out, "#compdef gemel\n"
		     "# zsh completion for gemel: gemel completion zsh > a folder of $fpath, as _gemel\n"
		     "_gemel() {\n"
		     "\tlocal -a typed=(\"${(@)words[1,CURRENT-1]}\")\n"
		     "\tlocal before=''\n"
		     "\t(( CURRENT > 2 )) && before=\"$typed[2] \"\n"
		     "\t(( CURRENT > 3 )) && before=\"$before$typed[3] \"\n"
		     "\tlocal choices\n"
		     "\tcase $before in\n");
	cases(out);
	buf_str(out, "\tesac\n"
		     "\tcompadd -- ${=choices}\n"
		     "}\n"
		     "_gemel \"$@\"\n");
}

int run_completion(struct cli *c)
{
	scoped(buf) struct buf out = {0};
	const char *shell = c->n_args ? c->args[0] : "";
	if (strcmp(shell, "bash") == 0)
		bash(&out);
	else if (strcmp(shell, "zsh") == 0)
		zsh(&out);
	else
		return refuse_err(c, err_make(ERR_USAGE, "\"%s\": bash or zsh", shell));
	cli_write(&out);
	return EXIT_DONE;
}
