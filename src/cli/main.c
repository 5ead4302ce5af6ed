// SPDX-License-Identifier: Apache-2.0
// gemel(1).
#include "cli/cli.h"

#include "lib/base/clock.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void style_set(struct cli *c)
{
	struct winsize w = {0};
	const char *no_color = getenv("NO_COLOR");
	c->style.terminal = isatty(STDOUT_FILENO);
	c->style.colour = c->style.terminal && !c->o.no_color && !(no_color && *no_color);
	c->style.width = c->style.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col
				 ? w.ws_col : 80;
	c->style.now_ns = clock_wall_ns();
}

static bool agreed(const struct cli *c)
{
	char answer[16] = "";
	if (!c->command->asks || c->o.yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, "gemel: %s --yes says so in a script\n", c->command->asks);
		return false;
	}
	fprintf(stderr, "%s [y/N] ", c->command->asks);
	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run(struct cli *c, int argc, char **argv)
{
	struct err e = options_parse(c, argc, argv);
	style_set(c);
	if (e.code == ERR_NONE && (c->o.help || !c->command)) {
		scoped(buf) struct buf out = {0};
		help_print(c, c->command ? c->command->noun : NULL, &out);
		cli_write(&out);
		return c->o.help ? EXIT_DONE : EXIT_USAGE;
	}
	if (e.code == ERR_NONE && !c->command->local)
		e = session_load(c);
	if (e.code != ERR_NONE)
		return refuse_err(c, e) == EXIT_NOT_PERMITTED ? EXIT_NOT_PERMITTED : EXIT_USAGE;
	if (!agreed(c))
		return EXIT_USAGE;
	return c->command->run ? c->command->run(c) : call_command(c);
}

int main(int argc, char **argv)
{
	struct cli c = {.arena = arena_new(64 << 20)};
	setlocale(LC_CTYPE, "");
	if (!c.arena)
		return EXIT_REFUSED;
	int code = run(&c, argc, argv);
	for (unsigned i = 0; i < c.n_values; i++)
		if (c.values[i].param->type == TYPE_SECRET)
			secret_zero(c.values[i].text, strlen(c.values[i].text));
	session_clear(&c.session);
	client_close();
	arena_free(c.arena);
	return code;
}
