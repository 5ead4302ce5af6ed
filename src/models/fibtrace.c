// SPDX-License-Identifier: Apache-2.0
// Statements of "fibtrace 1": topology, then updates and marks. An unknown first word is an error.
#include "models/fibtrace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS_MAX = 12, SET_PORTS_MAX = 4096 };

struct reading {
	struct fib *f;
	struct lines *in;
	const struct fibtrace_events *events;
	void *ctx;
	char *word[WORDS_MAX + 1];
	unsigned n;
	uint32_t *ports; // SET_PORTS_MAX
	bool begun;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned split(char *line, char **words, unsigned most)
{
	unsigned n = 0;
	for (char *at = line; n < most; n++) {
		words[n] = at;
		at = strchr(at, ' ');
		if (!at)
			return n + 1;
		*at++ = 0;
	}
	return most + 1;
}

// --- values

static bool number(const char **at, uint64_t most, uint64_t *out)
{
	const char *s = *at;
	for (*out = 0; **at >= '0' && **at <= '9' && *at - s < 20; (*at)++) {
		*out = *out * 10 + (uint64_t)(**at - '0');
		if (*out > most)
			return false;
	}
	return *at > s;
}

static bool address(const char **at, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		uint64_t part;
		if ((i && *(*at)++ != '.') || !number(at, 255, &part))
			return false;
		*out = *out << 8 | (uint32_t)part;
	}
	return true;
}

static bool prefix(const char *text, uint32_t *base, unsigned *length)
{
	uint64_t n = 0;
	if (!address(&text, base) || *text++ != '/' || !number(&text, 32, &n) || *text)
		return false;
	*length = (unsigned)n;
	return true;
}

static bool match(const char *text, struct fib_match *out)
{
	uint64_t n;
	uint32_t ignored;
	*out = (struct fib_match){0};
	if (strcmp(text, "*") == 0)
		return true;
	if (!address(&text, &out->value))
		return false;
	if (*text == '!') {
		text++;
		if (!address(&text, &ignored) || *text)
			return false;
		out->mask = ~ignored;
	} else {
		if (*text++ != '/' || !number(&text, 32, &n) || *text)
			return false;
		out->mask = n ? UINT32_MAX << (32 - n) : 0;
	}
	out->value &= out->mask;
	return true;
}

static bool range(const char *text, uint64_t most, uint64_t *low, uint64_t *high)
{
	*low = 0;
	*high = most;
	if (strcmp(text, "*") == 0)
		return true;
	return number(&text, most, low) && *text++ == '-' && number(&text, most, high) && !*text &&
	       *low <= *high;
}

static struct err device(struct reading *r, const char *name, uint32_t *out)
{
	int64_t d = fib_device_find(r->f, name, strlen(name));
	ENSURE(d != FIB_NONE, ERR_USAGE, "device %s is not declared", name);
	*out = (uint32_t)d;
	return OK;
}

static struct err port(struct reading *r, uint32_t of, const char *name, size_t n, uint32_t *out)
{
	int64_t p = fib_port_find(r->f, of, name, n);
	if (p != FIB_NONE) {
		*out = (uint32_t)p;
		return OK;
	}
	char copy[FIB_NAME_MAX + 1];
	ENSURE(n >= 1 && n <= FIB_NAME_MAX, ERR_USAGE, "a port's name has 1 to %d bytes",
	       FIB_NAME_MAX);
	memcpy(copy, name, n);
	copy[n] = 0;
	return fib_port_add(r->f, of, copy, out);
}

static struct err acl(struct reading *r, uint32_t of, const char *name, size_t n, uint32_t *out)
{
	int64_t a = fib_acl_find(r->f, of, name, n);
	if (a != FIB_NONE) {
		*out = (uint32_t)a;
		return OK;
	}
	char copy[FIB_NAME_MAX + 1];
	ENSURE(n >= 1 && n <= FIB_NAME_MAX, ERR_USAGE, "an access list's name has 1 to %d bytes",
	       FIB_NAME_MAX);
	memcpy(copy, name, n);
	copy[n] = 0;
	return fib_acl_add(r->f, of, copy, out);
}

// --- statements

static struct err wants(const struct reading *r, unsigned n, const char *form)
{
	ENSURE(r->n == n, ERR_USAGE, "%u words; the form is: %s", r->n, form);
	return OK;
}

static struct err on_opt(struct reading *r)
{
	TRY(wants(r, 3, "opt split-horizon on|off"));
	bool on = strcmp(r->word[2], "on") == 0;
	ENSURE(strcmp(r->word[1], "split-horizon") == 0, ERR_USAGE,
	       "%s: no such option; split-horizon", r->word[1]);
	ENSURE(on || strcmp(r->word[2], "off") == 0, ERR_USAGE, "%s: on or off", r->word[2]);
	return fib_split_horizon(r->f, on);
}

static struct err on_dev(struct reading *r)
{
	uint32_t d;
	TRY(wants(r, 2, "dev DEV"));
	return fib_device_add(r->f, r->word[1], &d);
}

static struct err on_link(struct reading *r)
{
	uint32_t a = 0, b = 0, from = 0, to = 0;
	TRY(wants(r, 5, "link DEVA PORTA DEVB PORTB"));
	TRY(device(r, r->word[1], &a));
	TRY(device(r, r->word[3], &b));
	TRY(port(r, a, r->word[2], strlen(r->word[2]), &from));
	TRY(port(r, b, r->word[4], strlen(r->word[4]), &to));
	return fib_link_add(r->f, from, to);
}

static struct err on_edge(struct reading *r)
{
	uint32_t d = 0, p = 0;
	TRY(wants(r, 3, "edge DEV PORT"));
	TRY(device(r, r->word[1], &d));
	return port(r, d, r->word[2], strlen(r->word[2]), &p);
}

static struct err on_bind(struct reading *r)
{
	uint32_t d = 0, p = 0, a = 0;
	TRY(wants(r, 5, "bind DEV PORT in|out ACL[,ACL...]"));
	bool out = strcmp(r->word[3], "out") == 0;
	ENSURE(out || strcmp(r->word[3], "in") == 0, ERR_USAGE, "%s: in or out", r->word[3]);
	TRY(device(r, r->word[1], &d));
	TRY(port(r, d, r->word[2], strlen(r->word[2]), &p));
	for (const char *at = r->word[4];; at++) {
		size_t n = strcspn(at, ",");
		TRY(acl(r, d, at, n, &a));
		TRY(fib_acl_bind(r->f, p, out, a));
		at += n;
		if (!*at)
			return OK;
	}
}

static struct err set_of(struct reading *r, uint32_t d, uint16_t *set)
{
	struct fib_set s = {.ports = r->ports};
	for (const char *at = r->word[4];; at++) {
		size_t n = strcspn(at, ",");
		if (n == 4 && memcmp(at, "self", 4) == 0) {
			s.self = true;
		} else if (n == 4 && memcmp(at, "drop", 4) == 0) {
			s.drop = true;
		} else {
			ENSURE(s.n < SET_PORTS_MAX, ERR_LIMIT, "more than %d ports in one route",
			       SET_PORTS_MAX);
			TRY(port(r, d, at, n, &r->ports[s.n++]));
		}
		at += n;
		if (!*at)
			break;
	}
	return fib_set_make(r->f, d, &s, set);
}

static struct err updated(struct reading *r, uint64_t ns, const struct fib_change *c)
{
	return r->events->updated ? r->events->updated(r->ctx, ns, c) : OK;
}

static struct err on_route(struct reading *r)
{
	uint32_t d = 0, base = 0;
	unsigned length = 0;
	uint16_t set = 0;
	struct fib_change c = {0};
	bool put = r->word[0][0] == '+';
	ENSURE(r->n == 5 || (r->n == 4 && !put), ERR_USAGE, "%u words; the form is: %s", r->n,
	       "+|- route DEV A.B.C.D/LEN PORT[,PORT...]");
	TRY(device(r, r->word[2], &d));
	ENSURE(prefix(r->word[3], &base, &length), ERR_USAGE, "%s: not of the form A.B.C.D/LEN",
	       r->word[3]);
	if (put)
		TRY(set_of(r, d, &set));
	uint64_t began = now_ns();
	TRY(put ? fib_route_put(r->f, d, base, length, set, &c)
		: fib_route_remove(r->f, d, base, length, &c));
	return updated(r, now_ns() - began, &c);
}

static struct err on_acl(struct reading *r)
{
	static const char form[] = "+|- acl DEV ACL PRIO permit|deny PROTO SRC SPORT DST DPORT";
	struct fib_rule rule = {0};
	struct fib_change c = {0};
	uint32_t d = 0, list = 0;
	uint64_t low = 0, high = 0;
	TRY(wants(r, 11, form));
	TRY(device(r, r->word[2], &d));
	TRY(acl(r, d, r->word[3], strlen(r->word[3]), &list));
	char *end;
	rule.priority = strtoll(r->word[4], &end, 10);
	ENSURE(end > r->word[4] && !*end, ERR_USAGE, "%s: a priority is an integer", r->word[4]);
	rule.permit = strcmp(r->word[5], "permit") == 0;
	ENSURE(rule.permit || strcmp(r->word[5], "deny") == 0, ERR_USAGE, "%s: permit or deny",
	       r->word[5]);
	ENSURE(range(r->word[6], 255, &low, &high), ERR_USAGE,
	       "%s: a protocol is * or LO-HI up to 255", r->word[6]);
	rule.protocol_low = (uint8_t)low;
	rule.protocol_high = (uint8_t)high;
	ENSURE(match(r->word[7], &rule.source), ERR_USAGE, "%s: *, A.B.C.D/LEN or A.B.C.D!W.W.W.W",
	       r->word[7]);
	ENSURE(range(r->word[8], 65535, &low, &high), ERR_USAGE,
	       "%s: ports are * or LO-HI up to 65535", r->word[8]);
	rule.source_low = (uint16_t)low;
	rule.source_high = (uint16_t)high;
	ENSURE(match(r->word[9], &rule.destination), ERR_USAGE,
	       "%s: *, A.B.C.D/LEN or A.B.C.D!W.W.W.W", r->word[9]);
	ENSURE(range(r->word[10], 65535, &low, &high), ERR_USAGE,
	       "%s: ports are * or LO-HI up to 65535", r->word[10]);
	rule.destination_low = (uint16_t)low;
	rule.destination_high = (uint16_t)high;
	uint64_t began = now_ns();
	TRY(r->word[0][0] == '+' ? fib_rule_put(r->f, list, &rule, &c)
				 : fib_rule_remove(r->f, list, rule.priority, &c));
	return updated(r, now_ns() - began, &c);
}

static struct err on_update(struct reading *r)
{
	ENSURE(r->n >= 2, ERR_USAGE, "+ and - are followed by route or acl");
	if (strcmp(r->word[1], "route") == 0)
		return on_route(r);
	ENSURE(strcmp(r->word[1], "acl") == 0, ERR_USAGE, "%s: route or acl", r->word[1]);
	return on_acl(r);
}

static struct err on_mark(struct reading *r)
{
	TRY(wants(r, 2, "mark NAME"));
	return r->events->marked ? r->events->marked(r->ctx, r->word[1]) : OK;
}

static struct err statement(struct reading *r, char *line)
{
	static const struct {
		const char *word;
		struct err (*take)(struct reading *r);
	} statements[] = {{"+", on_update},  {"-", on_update},	{"mark", on_mark}, {"dev", on_dev},
			  {"link", on_link}, {"edge", on_edge}, {"bind", on_bind}, {"opt", on_opt}};
	r->n = split(line, r->word, WORDS_MAX);
	if (!r->begun) {
		ENSURE(r->n == 2 && strcmp(r->word[0], "fibtrace") == 0, ERR_USAGE,
		       "the first line is: fibtrace 1");
		ENSURE(strcmp(r->word[1], "1") == 0, ERR_USAGE, "version %s is not known; 1",
		       r->word[1]);
		r->begun = true;
		return OK;
	}
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		if (strcmp(r->word[0], statements[i].word) == 0)
			return statements[i].take(r);
	return err_make(ERR_USAGE, "\"%s\": no such statement", r->word[0]);
}

struct err fibtrace_read(struct lines *in, struct fib *f, const struct fibtrace_events *events,
			 void *ctx)
{
	scoped(heap) uint32_t *ports = calloc(SET_PORTS_MAX, sizeof *ports);
	struct reading r = {.f = f, .in = in, .events = events, .ctx = ctx, .ports = ports};
	ENSURE(ports, ERR_LIMIT, "out of memory");
	for (char *line;;) {
		TRY(lines_next(in, &line));
		if (!line)
			break;
		if (*line == '#' || !*line)
			continue;
		struct err e = statement(&r, line);
		if (e.code == ERR_CONFLICT)
			return e;
		if (e.code != ERR_NONE)
			return err_within(e, "%s:%lu", lines_name(in), lines_number(in));
	}
	ENSURE(r.begun, ERR_USAGE, "%s: empty; the first line is: fibtrace 1", lines_name(in));
	return OK;
}
