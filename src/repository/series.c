// SPDX-License-Identifier: Apache-2.0
#include "repository/series.h"

#include "lib/crypto/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// GAP_MAX: numbers that were given and not yet used when others were, see index_reserve.
enum { BLOCK = 4096, SERIES_MAX = 1 << 26, DEVICES_MAX = 1 << 20, GAP_MAX = 1 << 20 };

struct err index_init(struct index *x)
{
	*x = (struct index){.table_size = 1 << 14, .names_size = 1 << 10, .facts_size = 1 << 10};
	x->facts = calloc(x->facts_size, sizeof(*x->facts));
	x->table = calloc(x->table_size, sizeof *x->table);
	x->names = calloc(x->names_size, sizeof *x->names);
	x->paths = arena_new((size_t)8 << 30);
	ENSURE(x->table && x->names && x->facts && x->paths, ERR_LIMIT,
	       "no memory for the index of series");
	return OK;
}

static void device_free(struct device *d)
{
	for (unsigned i = 0; i < d->n_chains; i++)
		verify_key_free(d->chains[i].verify);
	free(d->chains);
	buf_clear(&d->proofs);
	free(d->ticks);
	free(d->series);
	free(d->sorted);
	free(d);
}

void index_clear(struct index *x)
{
	for (uint32_t i = 1; i <= x->n_series; i++) {
		struct series *s = index_series(x, i);
		free(s->head);
		if (s->type >= VALUE_STRING)
			free(s->last.text);
	}
	for (uint32_t i = 0; i < x->cap_blocks; i++)
		free(x->blocks[i]);
	for (uint32_t i = 0; i < x->n_devices; i++)
		device_free(x->devices[i]);
	free(x->blocks);
	free(x->devices);
	free(x->table);
	free(x->names);
	free(x->facts);
	arena_free(x->paths);
	*x = (struct index){0};
}

// FNV-1a over eight bytes at a time; the table is private to this process and bounded per device,
// so a flood of equal hashes costs its device's own quota.
static uint32_t hash_of(uint32_t device, const char *path, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u ^ device;
	for (; n >= 8; path += 8, n -= 8) {
		uint64_t word;
		memcpy(&word, path, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	for (; n; path++, n--)
		h = (h ^ (uint8_t)*path) * 0x100000001b3u;
	h ^= h >> 32;
	return (uint32_t)(h * 0x9e3779b97f4a7c15u >> 32);
}

static uint32_t *name_slot(const struct index *x, const char *name)
{
	uint32_t at = hash_of(0, name, strlen(name)) & (x->names_size - 1);
	while (x->names[at] && strcmp(x->devices[x->names[at] - 1]->name, name) != 0)
		at = (at + 1) & (x->names_size - 1);
	return &x->names[at];
}

struct device *index_device_find(const struct index *x, const char *name)
{
	return index_device(x, *name_slot(x, name));
}

static struct err grow_devices(struct index *x)
{
	uint32_t cap = x->cap_devices ? x->cap_devices * 2 : 256;
	struct device **devices = realloc(x->devices, cap * sizeof(*devices));
	ENSURE(devices, ERR_LIMIT, "no memory for %u devices", cap);
	x->devices = devices;
	x->cap_devices = cap;
	uint32_t *names = calloc(cap * 4, sizeof *names);
	ENSURE(names, ERR_LIMIT, "no memory for %u devices", cap);
	free(x->names);
	x->names = names;
	x->names_size = cap * 4;
	for (uint32_t i = 0; i < x->n_devices; i++)
		if (x->devices[i]->name[0] != '#')
			*name_slot(x, x->devices[i]->name) = i + 1;
	return OK;
}

static struct err device_new(struct index *x, struct device **out)
{
	ENSURE(x->n_devices < DEVICES_MAX, ERR_LIMIT, "no more than %d devices", DEVICES_MAX);
	if (x->n_devices == x->cap_devices)
		TRY(grow_devices(x));
	struct device *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "no memory for a device");
	d->proofs.limit = (size_t)64 << 20;
	x->devices[x->n_devices++] = d;
	d->number = x->n_devices;
	snprintf(d->name, sizeof d->name, "#%u", d->number); // no device is called so
	*out = d;
	return OK;
}

static struct err set_name(struct index *x, struct device *d, const char *name)
{
	size_t n = strlen(name);
	ENSURE(n && n <= BATCH_DEVICE_MAX && *name != '#', ERR_USAGE,
	       "a device name has 1 to %d bytes and does not begin with #", BATCH_DEVICE_MAX);
	memcpy(d->name, name, n + 1);
	*name_slot(x, name) = d->number;
	return OK;
}

struct err index_device_add(struct index *x, const char *name, struct device **out)
{
	*out = index_device_find(x, name);
	if (*out)
		return OK;
	TRY(device_new(x, out));
	struct err e = set_name(x, *out, name);
	if (e.code != ERR_NONE) {
		x->n_devices--;
		device_free(*out);
	}
	return e;
}

struct err index_device_restore(struct index *x, uint32_t number, const char *name,
				struct device **out)
{
	ENSURE(number && number <= DEVICES_MAX && number <= x->n_devices + GAP_MAX, ERR_CORRUPT,
	       "device number %u", number);
	while (x->n_devices < number)
		TRY(device_new(x, out));
	*out = index_device(x, number);
	if (!strcmp((*out)->name, name))
		return OK;
	ENSURE((*out)->name[0] == '#' && !index_device_find(x, name), ERR_CORRUPT,
	       "device number %u is %s, then %s", number, (*out)->name, name);
	return set_name(x, *out, name);
}

static struct path_facts **facts_slot(const struct index *x, const char *path, size_t n)
{
	uint32_t at = hash_of(0, path, n) & (x->facts_size - 1);
	while (x->facts[at] && (x->facts[at]->len != n || memcmp(x->facts[at]->text, path, n) != 0))
		at = (at + 1) & (x->facts_size - 1);
	return &x->facts[at];
}

static struct err grow_facts(struct index *x)
{
	struct path_facts **old = x->facts;
	uint32_t size = x->facts_size;
	if ((x->n_facts + 1) * 3 <= size * 2)
		return OK;
	struct path_facts **facts = calloc((size_t)size * 2, sizeof(*facts));
	ENSURE(facts, ERR_LIMIT, "no memory for %u paths", size);
	x->facts = facts;
	x->facts_size = size * 2;
	for (uint32_t i = 0; i < size; i++)
		if (old[i])
			*facts_slot(x, old[i]->text, old[i]->len) = old[i];
	free(old);
	return OK;
}

struct err index_path(struct index *x, const char *path, size_t n, struct path_facts **out)
{
	ENSURE(n && n <= BATCH_PATH_MAX, ERR_USAGE, "a path has 1 to %d bytes", BATCH_PATH_MAX);
	*out = *facts_slot(x, path, n);
	if (*out)
		return OK;
	TRY(grow_facts(x));
	struct path_facts *f = arena_alloc(x->paths, sizeof *f + n + 1);
	ENSURE(f, ERR_LIMIT, "no memory for a path");
	memcpy(f->text, path, n);
	f->text[n] = 0;
	f->len = (uint16_t)n;
	x->path_bytes += sizeof *f + n + 1;
	x->n_facts++;
	*facts_slot(x, path, n) = f;
	*out = f;
	return OK;
}

static uint32_t *slot(const struct index *x, uint32_t device, const char *path, size_t n)
{
	uint32_t at = hash_of(device, path, n) & (x->table_size - 1);
	for (;; at = (at + 1) & (x->table_size - 1)) {
		if (!x->table[at])
			return &x->table[at];
		const struct series *s = index_series(x, x->table[at]);
		if (s->device == device && s->path_len == n && !memcmp(s->path, path, n))
			return &x->table[at];
	}
}

uint32_t index_series_find(const struct index *x, uint32_t device, const char *path, size_t n)
{
	return *slot(x, device, path, n);
}

static struct err grow(struct index *x)
{
	if ((x->n_series + 1) * 3 > x->table_size * 2) {
		uint32_t *old = x->table, size = x->table_size * 2;
		uint32_t *table = calloc(size, sizeof *table);
		ENSURE(table, ERR_LIMIT, "no memory for %u series", size);
		x->table = table;
		x->table_size = size;
		for (uint32_t i = 1; i <= x->n_series; i++) {
			const struct series *s = index_series(x, i);
			if (s->path)
				*slot(x, s->device, s->path, s->path_len) = i;
		}
		free(old);
	}
	uint32_t block = x->n_series / BLOCK;
	if (block >= x->cap_blocks) {
		struct series **blocks = realloc(x->blocks, (block + 1) * sizeof(*blocks));
		ENSURE(blocks, ERR_LIMIT, "no memory for series %u", x->n_series);
		x->blocks = blocks;
		x->blocks[block] = calloc(BLOCK, sizeof(struct series));
		ENSURE(x->blocks[block], ERR_LIMIT, "no memory for series %u", x->n_series);
		x->cap_blocks = block + 1;
	}
	return OK;
}

static struct err device_append(struct device *d, uint32_t number)
{
	if (d->n_series == d->cap_series) {
		uint32_t cap = d->cap_series ? d->cap_series + d->cap_series / 2 : 32;
		uint32_t *series = realloc(d->series, cap * sizeof *series);
		ENSURE(series, ERR_LIMIT, "no memory for the series of %s", d->name);
		d->series = series;
		d->cap_series = cap;
	}
	d->series[d->n_series++] = number;
	return OK;
}

static struct err define(struct index *x, uint32_t number, struct device *d, const char *path,
			 size_t n, enum access_class class)
{
	struct series *s = index_series(x, number);
	struct path_facts *f;
	TRY(index_path(x, path, n, &f));
	TRY(device_append(d, number));
	s->path = f->text;
	s->path_len = (uint16_t)n;
	s->device = d->number;
	s->class = (uint8_t) class;
	s->flags = SERIES_ABSOLUTE;
	*slot(x, d->number, f->text, n) = number;
	return OK;
}

struct err index_series_add(struct index *x, struct device *d, const char *path, size_t n,
			    enum access_class class, size_t most, uint32_t *number)
{
	*number = index_series_find(x, d->number, path, n);
	if (*number)
		return OK;
	ENSURE(n && n <= BATCH_PATH_MAX, ERR_USAGE, "a path has 1 to %d bytes", BATCH_PATH_MAX);
	ENSURE(d->n_series < most, ERR_LIMIT, "%s has %u series; at most %zu are kept", d->name,
	       d->n_series, most);
	ENSURE(x->n_series < SERIES_MAX, ERR_LIMIT, "no more than %d series", SERIES_MAX);
	TRY(grow(x));
	x->n_series++;
	struct err e = define(x, x->n_series, d, path, n, class);
	if (e.code != ERR_NONE)
		x->n_series--;
	else
		*number = x->n_series;
	return e;
}

struct err index_series_restore(struct index *x, uint32_t number, struct device *d,
				const char *path, size_t n, enum access_class class)
{
	ENSURE(number && number < SERIES_MAX && number <= x->n_series + GAP_MAX && n &&
		       n <= BATCH_PATH_MAX,
	       ERR_CORRUPT, "series %u with a path of %zu bytes cannot be", number, n);
	while (x->n_series < number) {
		TRY(grow(x));
		x->n_series++;
	}
	const struct series *s = index_series(x, number);
	ENSURE(!s->path ||
		       (s->device == d->number && s->path_len == n && !memcmp(s->path, path, n)),
	       ERR_CORRUPT, "series %u is defined twice", number);
	return s->path ? OK : define(x, number, d, path, n, class);
}

struct err index_reserve(struct index *x, uint32_t series, uint32_t devices)
{
	struct device *d;
	ENSURE(series < SERIES_MAX && devices <= DEVICES_MAX, ERR_CORRUPT,
	       "%u series of %u devices cannot be", series, devices);
	while (x->n_devices < devices)
		TRY(device_new(x, &d));
	while (x->n_series < series) {
		TRY(grow(x));
		x->n_series++;
	}
	return OK;
}

static int compare_paths(const void *a, const void *b, void *ctx)
{
	const struct index *x = ctx;
	return strcmp(index_series(x, *(const uint32_t *)a)->path,
		      index_series(x, *(const uint32_t *)b)->path);
}

// Where `path` stands among the first `n` of the ordered ones, or would.
static uint32_t position(const struct index *x, const struct device *d, uint32_t n,
			 const char *path)
{
	uint32_t low = 0, high = n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (strcmp(index_series(x, d->sorted[middle])->path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

// A few new ones are put in their places; many are sorted with all others.
static struct err sort(struct index *x, struct device *d)
{
	enum { FEW = 64 };
	if (d->n_sorted == d->n_series)
		return OK;
	if (d->n_series > d->cap_sorted) {
		uint32_t *sorted = realloc(d->sorted, d->cap_series * sizeof *sorted);
		ENSURE(sorted, ERR_LIMIT, "no memory to order the paths of %s", d->name);
		d->sorted = sorted;
		d->cap_sorted = d->cap_series;
	}
	if (d->n_series - d->n_sorted > FEW) {
		memcpy(d->sorted, d->series, d->n_series * sizeof *d->sorted);
		qsort_r(d->sorted, d->n_series, sizeof *d->sorted, compare_paths, x);
		d->n_sorted = d->n_series;
	}
	for (; d->n_sorted < d->n_series; d->n_sorted++) {
		uint32_t number = d->series[d->n_sorted];
		uint32_t at = position(x, d, d->n_sorted, index_series(x, number)->path);
		memmove(d->sorted + at + 1, d->sorted + at, (d->n_sorted - at) * sizeof *d->sorted);
		d->sorted[at] = number;
	}
	return OK;
}

struct err index_under(struct index *x, struct device *d, const char *path, size_t n,
		       void (*each)(void *ctx, uint32_t number, struct series *s), void *ctx)
{
	char start[BATCH_PATH_MAX + 1];
	ENSURE(n <= BATCH_PATH_MAX, ERR_USAGE, "a path of %zu bytes", n);
	memcpy(start, path, n);
	start[n] = 0;
	TRY(sort(x, d));
	for (uint32_t i = position(x, d, d->n_sorted, start); i < d->n_sorted; i++) {
		struct series *s = index_series(x, d->sorted[i]);
		if (strncmp(s->path, path, n) != 0)
			break;
		char next = s->path[n];
		if (!n || !next || next == '/' || next == '[' || (n == 1 && *path == '/'))
			each(ctx, d->sorted[i], s);
	}
	return OK;
}

struct err index_under_count(struct index *x, struct device *d, const char *path, size_t n,
			     size_t *count)
{
	char edge[BATCH_PATH_MAX + 2];
	ENSURE(n <= BATCH_PATH_MAX, ERR_USAGE, "a path of %zu bytes", n);
	TRY(sort(x, d));
	memcpy(edge, path, n);
	edge[n] = 0;
	uint32_t first = position(x, d, d->n_sorted, edge);
	edge[n] =
		(char)0xff; // behind everything that begins so: paths are UTF-8, which has no 0xff
	edge[n + 1] = 0;
	*count = position(x, d, d->n_sorted, edge) - first;
	return OK;
}

struct batch_value series_value(const struct series *s)
{
	struct batch_value v = {.type = (enum batch_type)s->type};
	if (s->type >= VALUE_STRING) {
		v.s.bytes = s->last.text;
		v.s.len = s->text_len;
	} else if (s->type == VALUE_BOOL) {
		v.b = s->last.bits != 0;
	} else {
		v.u = s->last.bits;
	}
	return v;
}
