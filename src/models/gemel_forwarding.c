// SPDX-License-Identifier: Apache-2.0
// gemel-forwarding(1): the forwarding engine alone, on a trace. Prints what updates cost, and
// compares every verdict with another checker's.
#include "models/fibtrace.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { QUERIES_MAX = 64, EXIT_DIFFERS = 1, EXIT_WRONG_USE = 2 };

struct query {
	const char *path;
	char mark[256];
	bool met;
	struct fibtrace_verdicts verdicts;
};

struct program {
	const char *trace;
	struct query queries[QUERIES_MAX];
	unsigned n_queries;
	bool json;
	struct fib *fib;
	uint32_t *times; // ns
	size_t n, cap;
	uint64_t total, loops_seen;
};

static struct err updated(void *ctx, uint64_t ns, const struct fib_change *c)
{
	struct program *p = ctx;
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 1 << 16;
		void *more = realloc(p->times, cap * sizeof *p->times);
		ENSURE(more, ERR_LIMIT, "out of memory for times");
		p->times = more;
		p->cap = cap;
	}
	p->times[p->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	p->total += ns;
	p->loops_seen += c->loops > 0;
	return OK;
}

static struct err marked(void *ctx, const char *name)
{
	struct program *p = ctx;
	for (unsigned i = 0; i < p->n_queries; i++) {
		struct query *q = &p->queries[i];
		struct lines *in = NULL;
		if (strcmp(q->mark, name) != 0)
			continue;
		struct err e = lines_open(q->path, &in);
		if (e.code == ERR_NONE)
			e = fibtrace_compare(in, p->fib, &q->verdicts);
		lines_close(in);
		TRY(e);
		q->met = true;
	}
	return OK;
}

// "dir/net.half1.oracle.tsv.zst" is for mark half1; without a middle part, for mark full.
static void query_add(struct program *p, const char *path)
{
	struct query *q = &p->queries[p->n_queries++];
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *end = strstr(name, ".oracle.tsv"), *dot = NULL;
	q->path = path;
	for (const char *at = name; end && at < end; at++)
		if (*at == '.')
			dot = at;
	snprintf(q->mark, sizeof q->mark, "%.*s", dot ? (int)(end - dot - 1) : 4,
		 dot ? dot + 1 : "full");
}

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static uint32_t share(const struct program *p, double part)
{
	size_t at = (size_t)(part * (double)p->n);
	return p->n ? p->times[at < p->n ? at : p->n - 1] : 0;
}

static void print(struct program *p)
{
	struct fib_counts c;
	struct rusage u;
	uint64_t headers = 0, compared = 0;
	getrusage(RUSAGE_SELF, &u);
	double mb = (double)(u.ru_maxrss - (long)(p->cap * sizeof *p->times / 1024)) / 1024;
	fib_count(p->fib, &c);
	qsort(p->times, p->n, sizeof *p->times, by_time);
	double average = p->n ? (double)p->total / (double)p->n : 0;
	for (unsigned i = 0; i < p->n_queries; i++) {
		headers += p->queries[i].verdicts.headers;
		compared += p->queries[i].verdicts.compared;
	}
	if (p->json) {
		printf("{\"updates\": %zu, \"update_avg_ns\": %.1f, \"update_p50_ns\": %u, "
		       "\"update_p99_ns\": %u, "
		       "\"update_max_ns\": %u, \"atoms\": %u, \"routes\": %" PRIu64
		       ", \"acl_rules\": %" PRIu64 ", \"rss_mb\": %.1f, \"loops\": %" PRIu64
		       ", \"updates_that_looped\": %" PRIu64 ", \"black_holes\": %" PRIu64
		       ", \"headers\": %" PRIu64 ", \"compared\": %" PRIu64 "}\n",
		       p->n, average, share(p, 0.5), share(p, 0.99), p->n ? p->times[p->n - 1] : 0,
		       c.atoms, c.routes, c.rules, mb, c.loops, p->loops_seen, c.black_holes,
		       headers, compared);
		return;
	}
	printf("updates      %zu\nupdate       average %.0f ns, p50 %u ns, p99 %u ns, maximum %u "
	       "ns\n",
	       p->n, average, share(p, 0.5), share(p, 0.99), p->n ? p->times[p->n - 1] : 0);
	printf("state        %u atoms, %" PRIu64 " routes, %" PRIu64 " access list rules\n",
	       c.atoms, c.routes, c.rules);
	printf("memory       %.1f MB resident at most\n", mb);
	printf("loops        %" PRIu64 " atoms loop now; %" PRIu64 " updates opened a loop\n",
	       c.loops, p->loops_seen);
	printf("black holes  %" PRIu64 " (atom, device) pairs end in no route or a discard\n",
	       c.black_holes);
	if (p->n_queries)
		printf("verdicts     %" PRIu64 " of %" PRIu64 " headers compared, none differs\n",
		       compared, headers);
}

static struct err run(struct program *p)
{
	static const struct fibtrace_events events = {updated, marked};
	struct lines *in = NULL;
	p->fib = fib_new(0);
	struct err e = p->fib ? lines_open(p->trace, &in) : err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE)
		e = fibtrace_read(in, p->fib, &events, p);
	lines_close(in);
	TRY(e);
	for (unsigned i = 0; i < p->n_queries; i++)
		ENSURE(p->queries[i].met, ERR_USAGE, "%s: the trace has no mark %s",
		       p->queries[i].path, p->queries[i].mark);
	print(p);
	return OK;
}

static int usage(FILE *out, int status)
{
	fprintf(out, "usage: gemel-forwarding [--json] [--queries FILE.oracle.tsv]... TRACE\n"
		     "TRACE is in the form \"fibtrace 1\", plain or zstd; - is standard input.\n");
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"queries", required_argument, NULL, 'q'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	static struct program p;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 'h')
			return usage(stdout, 0);
		if (o == 'j')
			p.json = true;
		else if (o == 'q' && p.n_queries < QUERIES_MAX)
			query_add(&p, optarg);
		else
			return usage(stderr, EXIT_WRONG_USE);
	}
	if (optind + 1 != argc)
		return usage(stderr, EXIT_WRONG_USE);
	p.trace = argv[optind];
	struct err e = run(&p);
	if (e.code != ERR_NONE)
		fprintf(stderr, "gemel-forwarding: %s\n", e.text);
	fib_free(p.fib);
	free(p.times);
	return e.code == ERR_NONE ? 0 : e.code == ERR_CONFLICT ? EXIT_DIFFERS : EXIT_WRONG_USE;
}
