// SPDX-License-Identifier: Apache-2.0
#include "lib/cedar/value.h"

#include <stdio.h>
#include <stdlib.h>

const char *const value_kind_names[] = {"boolean", "long",    "string", "entity",   "set",
					"record",  "decimal", "ipaddr", "datetime", "duration"};

uint64_t cedar_uid_hash(struct cedar_text type, struct cedar_text id)
{
	return hash_text(id, hash_text(type, 0));
}

const char *cedar_uid_show(const struct uid *u, char *out, size_t size)
{
	snprintf(out, size, "%.*s::\"%.*s\"", TEXT_ARG(u->type), TEXT_ARG(u->id));
	return out;
}

static int compare_sets(const struct set *a, const struct set *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t i = 0; i < a->n; i++) {
		int c = cedar_value_compare(&a->v[i], &b->v[i]);
		if (c)
			return c;
	}
	return 0;
}

static int compare_records(const struct record *a, const struct record *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t i = 0; i < a->n; i++) {
		int c = text_compare(a->f[i].name, b->f[i].name);
		c = c ? c : cedar_value_compare(&a->f[i].v, &b->f[i].v);
		if (c)
			return c;
	}
	return 0;
}

static int compare_ips(const struct ip *a, const struct ip *b)
{
	if (a->v6 != b->v6 || a->prefix != b->prefix)
		return a->v6 != b->v6 ? a->v6 - b->v6 : a->prefix - b->prefix;
	return memcmp(a->bytes, b->bytes, 16);
}

static int compare_uids(const struct uid *a, const struct uid *b)
{
	if (a == b)
		return 0;
	int c = text_compare(a->id, b->id);
	return c ? c : text_compare(a->type, b->type);
}

int cedar_value_compare(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case VALUE_BOOL:
		return a->b - b->b;
	case VALUE_STRING:
		return text_compare(value_string(a), value_string(b));
	case VALUE_ENTITY:
		return compare_uids(a->uid, b->uid);
	case VALUE_SET:
		return compare_sets(a->set, b->set);
	case VALUE_RECORD:
		return compare_records(a->record, b->record);
	case VALUE_IP:
		return compare_ips(a->ip, b->ip);
	default:
		return a->i < b->i ? -1 : a->i > b->i;
	}
}

bool cedar_value_equal(const struct value *a, const struct value *b)
{
	if (a->kind == VALUE_ENTITY && b->kind == VALUE_ENTITY)
		return uid_equal(a->uid, b->uid);
	return cedar_value_compare(a, b) == 0;
}

static int by_value(const void *a, const void *b)
{
	return cedar_value_compare(a, b);
}

const struct set *cedar_set_make(struct arena *a, struct value *v, size_t n)
{
	struct set *s = arena_alloc(a, sizeof *s + n * sizeof *v);
	if (!s)
		return NULL;
	if (n > 1)
		qsort(v, n, sizeof *v, by_value);
	for (size_t i = 0; i < n; i++)
		if (!i || cedar_value_compare(&v[i], &v[i - 1]) != 0)
			s->v[s->n++] = v[i];
	return s;
}

bool cedar_set_contains(const struct set *s, const struct value *v)
{
	uint32_t low = 0, high = s->n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = cedar_value_compare(&s->v[middle], v);
		if (c == 0)
			return true;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return text_compare(((const struct field *)a)->name, ((const struct field *)b)->name);
}

const struct record *cedar_record_make(struct arena *a, const struct field *f, size_t n)
{
	struct record *r = arena_alloc(a, sizeof *r + n * sizeof *f);
	if (!r)
		return NULL;
	r->n = (uint32_t)n;
	if (n)
		memcpy(r->f, f, n * sizeof *f);
	if (n > 1)
		qsort(r->f, n, sizeof *f, by_name);
	return r;
}

const struct value *cedar_record_get(const struct record *r, struct cedar_text name)
{
	uint32_t low = 0, high = r->n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = text_compare(r->f[middle].name, name);
		if (c == 0)
			return &r->f[middle].v;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
