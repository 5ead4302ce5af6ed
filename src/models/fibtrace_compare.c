// SPDX-License-Identifier: Apache-2.0
// Holds the engine against another checker's verdicts (*.oracle.tsv): `ingress` names the devices,
// `v ID OUTCOMES` the sets of outcomes, `h DST SRC PROTO SPORT DPORT ID...` one set for each
// ingress.
#include "models/fibtrace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct comparison {
	struct lines *in;
	struct fib *f;
	struct fibtrace_verdicts *out;
	uint32_t *ingress;
	uint32_t n_ingress;
	char **verdicts; // by id
	size_t n_verdicts;
	struct fib_outcome *outcomes;
	char **names; // of the outcomes, for sorting
	struct arena *a;
	struct buf text;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *outcome_name(struct comparison *c, const struct fib_outcome *o)
{
	const char *d = fib_device_name(c->f, o->device);
	switch (o->fate) {
	case FIB_LOOP:
		return arena_strdup(c->a, "loop");
	case FIB_SELF:
		return arena_printf(c->a, "self:%s", d);
	case FIB_DROP:
		return arena_printf(c->a, "drop:%s", d);
	case FIB_NO_ROUTE:
		return arena_printf(c->a, "noroute:%s", d);
	default:
		break;
	}
	const char *p = fib_port_name(c->f, o->port);
	return o->fate == FIB_EXIT	? arena_printf(c->a, "exit:%s:%s", d, p)
	       : o->fate == FIB_HAIRPIN ? arena_printf(c->a, "hairpin:%s:%s", d, p)
					: arena_printf(c->a, "deny:%s:%s:%s", d, p,
						       o->fate == FIB_DENY_IN ? "in" : "out");
}

// Our verdict in the file's form: a sorted set, joined by commas.
static struct err verdict_of(struct comparison *c, const struct fib_packet *p, uint32_t device)
{
	size_t n = 0;
	TRY(fib_trace(c->f, p, device, c->outcomes, FIB_OUTCOMES_MAX, &n));
	arena_reset(c->a);
	for (size_t i = 0; i < n; i++) {
		c->names[i] = outcome_name(c, &c->outcomes[i]);
		ENSURE(c->names[i], ERR_LIMIT, "out of memory");
	}
	qsort(c->names, n, sizeof *c->names, by_text);
	buf_reset(&c->text);
	for (size_t i = 0; i < n; i++)
		buf_printf(&c->text, "%s%s", i ? "," : "", c->names[i]);
	return buf_check(&c->text, "verdict");
}

static char *field(char **at)
{
	char *start = *at, *tab = strchr(start, '\t');
	if (tab)
		*tab = 0;
	*at = tab ? tab + 1 : start + strlen(start);
	return start;
}

// One word of the list of ids: by spaces or tabs.
static char *id_of(char **at)
{
	char *start = *at + strspn(*at, " \t"), *end = start + strcspn(start, " \t");
	*at = *end ? end + 1 : end;
	*end = 0;
	return start;
}

static struct err on_ingress(struct comparison *c, char *rest)
{
	ENSURE(!c->n_ingress, ERR_USAGE, "a second ingress line");
	for (char *name = strtok(rest, " \t"); name; name = strtok(NULL, " \t")) {
		int64_t d = fib_device_find(c->f, name, strlen(name));
		ENSURE(d != FIB_NONE, ERR_USAGE, "device %s is not in the trace", name);
		uint32_t *p = realloc(c->ingress, (c->n_ingress + 1) * sizeof *p);
		ENSURE(p, ERR_LIMIT, "out of memory");
		c->ingress = p;
		p[c->n_ingress++] = (uint32_t)d;
	}
	return OK;
}

static struct err on_verdict(struct comparison *c, char *rest)
{
	char *end, *id = field(&rest);
	unsigned long n = strtoul(id, &end, 10);
	ENSURE(end > id && !*end && n < 1 << 22, ERR_USAGE, "%s: not an id", id);
	if (n >= c->n_verdicts) {
		char **p = realloc(c->verdicts, (n + 1024) * sizeof *p);
		ENSURE(p, ERR_LIMIT, "out of memory");
		memset(p + c->n_verdicts, 0, (n + 1024 - c->n_verdicts) * sizeof *p);
		c->verdicts = p;
		c->n_verdicts = n + 1024;
	}
	ENSURE(!c->verdicts[n], ERR_USAGE, "id %lu twice", n);
	c->verdicts[n] = strdup(field(&rest));
	ENSURE(c->verdicts[n], ERR_LIMIT, "out of memory");
	return OK;
}

static bool address(const char *text, uint32_t *out)
{
	unsigned a, b, c, d;
	char more;
	if (sscanf(text, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &more) != 4 || (a | b | c | d) > 255)
		return false;
	*out = a << 24 | b << 16 | c << 8 | d;
	return true;
}

static struct err header_read(char **rest, struct fib_packet *p)
{
	char *destination = field(rest), *source = field(rest);
	unsigned long protocol = strtoul(field(rest), NULL, 10),
		      from = strtoul(field(rest), NULL, 10), to = strtoul(field(rest), NULL, 10);
	ENSURE(address(destination, &p->destination) && address(source, &p->source) &&
		       protocol <= 255 && from <= 65535 && to <= 65535,
	       ERR_USAGE, "not a header: h DST SRC PROTO SPORT DPORT ID...");
	p->protocol = (uint8_t)protocol;
	p->source_port = (uint16_t)from;
	p->destination_port = (uint16_t)to;
	return OK;
}

static struct err on_header(struct comparison *c, char *rest)
{
	struct fib_packet p;
	char shown[160];
	snprintf(shown, sizeof shown, "%.150s", rest);
	for (char *tab = shown; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	TRY(header_read(&rest, &p));
	ENSURE(c->n_ingress, ERR_USAGE, "a header before the ingress line");
	c->out->headers++;
	for (uint32_t i = 0; i < c->n_ingress; i++) {
		char *end, *id = id_of(&rest);
		unsigned long n = strtoul(id, &end, 10);
		ENSURE(end > id && !*end && n < c->n_verdicts && c->verdicts[n], ERR_USAGE,
		       "ingress %s: \"%s\" is no verdict's id",
		       fib_device_name(c->f, c->ingress[i]), id);
		TRY(verdict_of(c, &p, c->ingress[i]));
		c->out->compared++;
		c->out->differ += strcmp(buf_text(&c->text), c->verdicts[n]) != 0;
		ENSURE(strcmp(buf_text(&c->text), c->verdicts[n]) == 0, ERR_CONFLICT,
		       "%s:%lu: at ingress %s, header %s: here %s, there %s", lines_name(c->in),
		       lines_number(c->in), fib_device_name(c->f, c->ingress[i]), shown,
		       buf_text(&c->text), c->verdicts[n]);
	}
	return OK;
}

static struct err compare(struct comparison *c)
{
	for (char *line;;) {
		TRY(lines_next(c->in, &line));
		if (!line)
			return OK;
		if (*line == '#' || !*line)
			continue;
		char *rest = line, *word = field(&rest);
		struct err e = strcmp(word, "h") == 0	? on_header(c, rest)
			       : strcmp(word, "v") == 0 ? on_verdict(c, rest)
			       : strcmp(word, "ingress") == 0
				       ? on_ingress(c, rest)
				       : err_make(ERR_USAGE, "\"%s\": ingress, v or h", word);
		if (e.code != ERR_NONE && e.code != ERR_CONFLICT)
			return err_within(e, "%s:%lu", lines_name(c->in), lines_number(c->in));
		TRY(e);
	}
}

struct err fibtrace_compare(struct lines *in, struct fib *f, struct fibtrace_verdicts *out)
{
	struct comparison c = {.in = in, .f = f, .out = out, .a = arena_new(16 << 20)};
	*out = (struct fibtrace_verdicts){0};
	c.outcomes = calloc(FIB_OUTCOMES_MAX, sizeof *c.outcomes);
	c.names = calloc(FIB_OUTCOMES_MAX, sizeof *c.names);
	struct err e =
		c.a && c.outcomes && c.names ? compare(&c) : err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE && out->headers == 0)
		e = err_make(ERR_USAGE, "%s: no header in it", lines_name(in));
	for (size_t i = 0; i < c.n_verdicts; i++)
		free(c.verdicts[i]);
	free(c.verdicts);
	free(c.outcomes);
	free(c.names);
	free(c.ingress);
	arena_free(c.a);
	buf_clear(&c.text);
	return e;
}
