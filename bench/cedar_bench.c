// SPDX-License-Identifier: Apache-2.0
// How fast the policy engine decides: P policies of the form "who is in this group may read what is
// in this folder, for this purpose", over E entities (a tree of groups, a tree of folders, users in
// one to three groups, documents in a folder), 1,000 requests of which half are made to match. Each
// decision is timed by itself, and all are checked against a search without an index first. Prints
// "name value unit" lines.
//
// usage: cedar_bench [ROUNDS over the requests, default 100]

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/cedar/cedar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS = 1000, PURPOSES = 8, NAME = 16 };

struct list {
	uint32_t *v, n, cap;
};

struct policy {
	uint32_t group, folder, purpose;
};

struct request {
	uint32_t user, document, purpose, hour;
	bool read;
	unsigned expected; // permits
	char name[2][NAME], action[8], why[8];
	struct cedar_request r;
	struct cedar_context *context;
};

struct world {
	uint64_t random;
	uint32_t entities, policies, groups, folders, users, documents;
	struct list *groups_of, *users_of, *documents_of;
	uint32_t *folder_of;
	struct policy *p;
	struct request q[REQUESTS];
};

static void *need(void *p)
{
	if (!p) {
		perror("cedar_bench");
		exit(1);
	}
	return p;
}

static void check(struct err e)
{
	if (e.code) {
		fprintf(stderr, "cedar_bench: %s\n", e.text);
		exit(1);
	}
}

static uint32_t pick(struct world *w, uint32_t n) // splitmix64
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) % n);
}

static void add(struct list *l, uint32_t v)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 4;
		l->v = need(realloc(l->v, l->cap * sizeof *l->v));
	}
	l->v[l->n++] = v;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static uint32_t above(uint32_t i, uint32_t fan)
{
	return (i - 1) / fan;
}

static void make_entities(struct world *w, uint32_t entities)
{
	w->random = 1000003 + entities;
	w->entities = entities;
	w->groups = entities / 50 > 2 ? entities / 50 : 2;
	w->folders = entities / 10 > 2 ? entities / 10 : 2;
	w->users = 3 * entities / 10 > 2 ? 3 * entities / 10 : 2;
	w->documents = entities - w->groups - w->folders - w->users;
	w->groups_of = need(calloc(w->users, sizeof *w->groups_of));
	w->users_of = need(calloc(w->groups, sizeof *w->users_of));
	w->documents_of = need(calloc(w->folders, sizeof *w->documents_of));
	w->folder_of = need(calloc(w->documents, sizeof *w->folder_of));
	for (uint32_t i = 0; i < w->users; i++) {
		struct list *l = &w->groups_of[i];
		for (uint32_t n = 1 + pick(w, 3); n > 0; n--) {
			uint32_t g = pick(w, w->groups);
			bool known = false;
			for (uint32_t k = 0; k < l->n; k++)
				known = known || l->v[k] == g;
			if (!known)
				add(l, g);
		}
		qsort(l->v, l->n, sizeof *l->v, by_number);
	}
	for (uint32_t i = 0; i < w->documents; i++)
		w->folder_of[i] = pick(w, w->folders);
	for (uint32_t i = 0; i < w->users; i++)
		for (uint32_t k = 0; k < w->groups_of[i].n; k++)
			for (uint32_t g = w->groups_of[i].v[k];; g = above(g, 8)) {
				if (g < 200 || w->users_of[g].n < 50)
					add(&w->users_of[g], i);
				if (!g)
					break;
			}
	for (uint32_t i = 0; i < w->documents; i++)
		for (uint32_t f = w->folder_of[i];; f = above(f, 10)) {
			if (w->documents_of[f].n < 200)
				add(&w->documents_of[f], i);
			if (!f)
				break;
		}
}

static bool user_in(const struct world *w, uint32_t user, uint32_t group)
{
	for (uint32_t k = 0; k < w->groups_of[user].n; k++)
		for (uint32_t g = w->groups_of[user].v[k];; g = above(g, 8)) {
			if (g == group)
				return true;
			if (!g)
				break;
		}
	return false;
}

static bool document_in(const struct world *w, uint32_t document, uint32_t folder)
{
	for (uint32_t f = w->folder_of[document];; f = above(f, 10)) {
		if (f == folder)
			return true;
		if (!f)
			return false;
	}
}

static struct cedar_uid uid(const char *type, char *room, char letter, uint32_t i)
{
	snprintf(room, NAME, "%c%u", letter, i);
	return (struct cedar_uid){cedar_text(type), cedar_text(room)};
}

static void make_request(struct world *w, struct request *q, bool match)
{
	*q = (struct request){0};
	if (match) {
		struct policy *p = &w->p[pick(w, w->policies)];
		struct list *u = &w->users_of[p->group], *d = &w->documents_of[p->folder];
		q->user = u->v[pick(w, u->n)];
		q->document = d->v[pick(w, d->n)];
		q->purpose = p->purpose;
	} else {
		q->user = pick(w, w->users);
		q->document = pick(w, w->documents);
		q->purpose = pick(w, PURPOSES);
	}
	q->read = pick(w, 20) != 0;
	for (uint32_t i = 0; q->read && i < w->policies; i++)
		q->expected += w->p[i].purpose == q->purpose &&
			       user_in(w, q->user, w->p[i].group) &&
			       document_in(w, q->document, w->p[i].folder);
	q->hour = pick(w, 24);
	snprintf(q->why, sizeof q->why, "p%u", q->purpose);
	snprintf(q->action, sizeof q->action, "%s", q->read ? "read" : "write");
	q->r.principal = uid("User", q->name[0], 'u', q->user);
	q->r.resource = uid("Document", q->name[1], 'd', q->document);
	q->r.action = (struct cedar_uid){cedar_text("Action"), cedar_text(q->action)};
	check(cedar_context_new(&q->context));
	check(cedar_context_string(q->context, "purpose", cedar_text(q->why)));
	check(cedar_context_long(q->context, "hour", q->hour));
	q->r.context = q->context;
}

static void make_policies(struct world *w, uint32_t policies)
{
	w->random = 7000003 + (uint64_t)w->entities * 31 + policies;
	w->policies = policies;
	w->p = need(calloc(policies, sizeof *w->p));
	for (uint32_t i = 0; i < policies; i++) {
		do // not the roots, which all are in; and somebody must be in it
			w->p[i] = (struct policy){1 + pick(w, w->groups - 1),
						  1 + pick(w, w->folders - 1), 0};
		while (!w->users_of[w->p[i].group].n || !w->documents_of[w->p[i].folder].n);
		w->p[i].purpose = pick(w, PURPOSES);
	}
	for (uint32_t i = 0; i < REQUESTS; i++)
		make_request(w, &w->q[i], i % 2 == 0);
}

static void entity_json(struct buf *b, const char *type, char letter, uint32_t i,
			const char *parent, char parent_letter, const uint32_t *parents, uint32_t n)
{
	buf_printf(b, "%s{\"uid\":{\"type\":\"%s\",\"id\":\"%c%u\"},\"attrs\":{",
		   b->len > 1 ? ",\n" : "", type, letter, i);
	if (letter == 'u')
		buf_printf(b, "\"level\":%u", i % 10);
	if (letter == 'd')
		buf_printf(b, "\"public\":%s", i % 7 ? "false" : "true");
	buf_str(b, "},\"parents\":[");
	for (uint32_t k = 0; k < n; k++)
		buf_printf(b, "%s{\"type\":\"%s\",\"id\":\"%c%u\"}", k ? "," : "", parent,
			   parent_letter, parents[k]);
	buf_str(b, "]}");
}

static void entities_json(const struct world *w, struct buf *b)
{
	b->limit = (size_t)1 << 30;
	buf_str(b, "[");
	for (uint32_t i = 0; i < w->groups; i++) {
		uint32_t parent = i ? above(i, 8) : 0;
		entity_json(b, "Group", 'g', i, "Group", 'g', &parent, i != 0);
	}
	for (uint32_t i = 0; i < w->folders; i++) {
		uint32_t parent = i ? above(i, 10) : 0;
		entity_json(b, "Folder", 'f', i, "Folder", 'f', &parent, i != 0);
	}
	for (uint32_t i = 0; i < w->users; i++)
		entity_json(b, "User", 'u', i, "Group", 'g', w->groups_of[i].v, w->groups_of[i].n);
	for (uint32_t i = 0; i < w->documents; i++)
		entity_json(b, "Document", 'd', i, "Folder", 'f', &w->folder_of[i], 1);
	buf_str(b, "]");
	check(buf_check(b, "entities"));
}

static void policies_text(const struct world *w, struct buf *b)
{
	b->limit = (size_t)1 << 30;
	for (uint32_t i = 0; i < w->policies; i++)
		buf_printf(
			b,
			"permit(principal in Group::\"g%u\", action == Action::\"read\", resource "
			"in Folder::\"f%u\") when { context.purpose == \"p%u\" };\n",
			w->p[i].group, w->p[i].folder, w->p[i].purpose);
	check(buf_check(b, "policies"));
}

static struct cedar_text text_of(const struct buf *b)
{
	return (struct cedar_text){(const char *)b->data, b->len};
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void report(const struct world *w, const char *name, double value, const char *unit)
{
	printf("cedar_%s_%ux%u %.0f %s\n", name, w->policies, w->entities, value, unit);
	fflush(stdout);
}

static void verify(const struct world *w, const struct cedar_engine *e, struct cedar_answer *a)
{
	for (uint32_t i = 0; i < REQUESTS; i++) {
		const struct request *q = &w->q[i];
		check(cedar_decide(e, &q->r, a));
		if (cedar_answer_allows(a) != (q->expected != 0) ||
		    cedar_answer_reasons(a) != q->expected || cedar_answer_errors(a)) {
			fprintf(stderr, "cedar_bench: request %u was decided wrongly\n", i);
			exit(1);
		}
	}
}

static void time_decisions(const struct world *w, const struct cedar_engine *e, unsigned rounds)
{
	struct cedar_answer *a;
	size_t n = (size_t)rounds * REQUESTS;
	int64_t *t = need(malloc(n * sizeof *t));
	check(cedar_answer_new(&a));
	verify(w, e, a);
	for (size_t i = 0; i < n; i++) {
		int64_t from = clock_mono_ns();
		check(cedar_decide(e, &w->q[i % REQUESTS].r, a));
		t[i] = clock_mono_ns() - from;
	}
	qsort(t, n, sizeof *t, by_time);
	report(w, "decide_p50_ns", (double)t[n / 2], "ns");
	report(w, "decide_p99_ns", (double)t[n * 99 / 100], "ns");
	cedar_answer_free(a);
	free(t);
}

static void run(uint32_t policies, uint32_t entities, unsigned rounds)
{
	struct world *w = need(calloc(1, sizeof *w));
	scoped(buf) struct buf people = {0}, rules = {0};
	struct cedar_policies *p;
	struct cedar_entities *s;
	struct cedar_engine *e;
	make_entities(w, entities);
	make_policies(w, policies);
	entities_json(w, &people);
	policies_text(w, &rules);
	int64_t from = clock_mono_ns();
	check(cedar_entities_parse(text_of(&people), NULL, &s));
	double load = (double)(clock_mono_ns() - from) / 1e6;
	from = clock_mono_ns();
	check(cedar_policies_parse(text_of(&rules), NULL, &p));
	check(cedar_engine_new(p, s, &e));
	double reload = (double)(clock_mono_ns() - from) / 1e6;
	time_decisions(w, e, rounds);
	report(w, "reload_ms", reload, "ms");
	report(w, "entities_load_ms", load, "ms");
	report(w, "entity_bytes", (double)cedar_entities_bytes(s), "bytes");
	cedar_engine_free(e);
	cedar_policies_free(p);
	cedar_entities_free(s);
	for (uint32_t i = 0; i < w->users; i++)
		free(w->groups_of[i].v);
	for (uint32_t i = 0; i < w->groups; i++)
		free(w->users_of[i].v);
	for (uint32_t i = 0; i < w->folders; i++)
		free(w->documents_of[i].v);
	for (uint32_t i = 0; i < REQUESTS; i++)
		cedar_context_free(w->q[i].context);
	free(w->groups_of);
	free(w->users_of);
	free(w->documents_of);
	free(w->folder_of);
	free(w->p);
	free(w);
}

int main(int argc, char **argv)
{
	static const uint32_t policies[] = {10, 100, 1000, 10000}, entities[] = {1000, 100000};
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100;
	if (!rounds || rounds > 100000) {
		fprintf(stderr, "usage: %s [ROUNDS, 1 to 100000]\n", argv[0]);
		return 2;
	}
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < 4; i++)
			run(policies[i], entities[k], rounds);
	return 0;
}
