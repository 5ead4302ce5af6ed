// SPDX-License-Identifier: Apache-2.0
#include "management/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct devices {
	struct device **items;
	size_t n, cap;
};

static const char *const names[DEVICE_STATES] = {
	[DEVICE_UNKNOWN] = "unknown",	    [DEVICE_INVITED] = "invited",
	[DEVICE_QUARANTINE] = "quarantine", [DEVICE_TESTED] = "tested",
	[DEVICE_ATTESTED] = "attested",	    [DEVICE_PRODUCTION] = "production",
	[DEVICE_SUSPENDED] = "suspended",   [DEVICE_REVOKED] = "revoked",
};

const char *device_state_name(enum device_state s)
{
	return (unsigned)s < DEVICE_STATES ? names[s] : "unknown";
}

bool device_state_by_name(const char *name, enum device_state *out)
{
	for (unsigned i = 0; i < DEVICE_STATES; i++)
		if (strcmp(names[i], name) == 0) {
			*out = (enum device_state)i;
			return true;
		}
	return false;
}

void devices_free(struct devices *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		free(s->items[i]);
	if (s)
		free(s->items);
	free(s);
}

static struct err load_one(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct devices *s = ctx;
	struct device *d;
	json_t *row = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL);
	struct err e = devices_add(s, key, &d);
	if (e.code == ERR_NONE)
		e = device_read(key, row, d);
	json_decref(row);
	return e;
}

struct err devices_load(struct keep *k, struct devices **out)
{
	struct devices *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "no memory for devices");
	struct err e = keep_scan(k, "device", load_one, s);
	if (e.code != ERR_NONE) {
		devices_free(s);
		return e;
	}
	*out = s;
	return OK;
}

size_t devices_count(const struct devices *s)
{
	return s->n;
}

struct device *devices_at(struct devices *s, size_t i)
{
	return s->items[i];
}

static size_t place(const struct devices *s, const char *id)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(s->items[middle]->id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct device *devices_find(struct devices *s, const char *id)
{
	size_t i = place(s, id);
	return i < s->n && strcmp(s->items[i]->id, id) == 0 ? s->items[i] : NULL;
}

struct device *devices_by_ek(struct devices *s, const uint8_t ek[32])
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i]->enrolled && memcmp(s->items[i]->ek, ek, 32) == 0)
			return s->items[i];
	return NULL;
}

struct err devices_add(struct devices *s, const char *id, struct device **out)
{
	TRY(x509_name_check(id));
	ENSURE(!devices_find(s, id), ERR_CONFLICT, "device %s is in the inventory already", id);
	ENSURE(s->n < DEVICES_MAX, ERR_LIMIT, "the inventory is full: %d devices", DEVICES_MAX);
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct device **items = realloc(s->items, cap * sizeof *items);
		ENSURE(items, ERR_LIMIT, "no memory for devices");
		s->items = items;
		s->cap = cap;
	}
	struct device *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "no memory for devices");
	snprintf(d->id, sizeof d->id, "%s", id);
	size_t i = place(s, id);
	memmove(&s->items[i + 1], &s->items[i], (s->n - i) * sizeof *s->items);
	s->items[i] = d;
	s->n++;
	*out = d;
	return OK;
}

void devices_remove(struct devices *s, const char *id)
{
	size_t i = place(s, id);
	if (i >= s->n || strcmp(s->items[i]->id, id) != 0)
		return;
	free(s->items[i]);
	memmove(&s->items[i], &s->items[i + 1], (s->n - i - 1) * sizeof *s->items);
	s->n--;
}
