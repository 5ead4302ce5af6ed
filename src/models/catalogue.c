// SPDX-License-Identifier: Apache-2.0
// One open-addressing table over all objects finds an identity by (device, kind, parent, key). The
// names come from devices, so the hash is keyed (SipHash): no device can choose names that collide.

#include "models/catalogue.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct place {
	uint32_t device; // number + 1; 0: free
	uint32_t hash;
	struct object_ref ref;
};

struct catalogue {
	struct catalogue_device **devices;
	uint32_t n_devices, cap_devices;
	uint32_t *device_places; // number + 1; 0: free; twice cap_devices of them
	struct place *places;
	size_t n_places, mask; // mask + 1 places
	struct arena *text;
	uint8_t key[crypto_shorthash_KEYBYTES];
};

struct catalogue *catalogue_new(void)
{
	struct catalogue *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->mask = 1023;
	c->places = calloc(c->mask + 1, sizeof *c->places);
	c->text = arena_new(CATALOGUE_TEXT_MAX);
	if (!c->places || !c->text || sodium_init() < 0) {
		catalogue_free(c);
		return NULL;
	}
	crypto_shorthash_keygen(c->key);
	return c;
}

void catalogue_free(struct catalogue *c)
{
	if (!c)
		return;
	for (uint32_t d = 0; d < c->n_devices; d++) {
		for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
			free(c->devices[d]->of[kind].items);
		free(c->devices[d]);
	}
	free(c->devices);
	free(c->device_places);
	free(c->places);
	arena_free(c->text);
	free(c);
}

uint32_t catalogue_devices(const struct catalogue *c)
{
	return c->n_devices;
}

const struct catalogue_device *catalogue_device(const struct catalogue *c, uint32_t device)
{
	return c->devices[device];
}

size_t catalogue_objects(const struct catalogue *c)
{
	return c->n_places;
}

static bool kind_is_prefix(enum object_kind k)
{
	return k == OBJECT_ENTRY || k == OBJECT_ADDRESS || k == OBJECT_NEIGHBOUR;
}

static bool kind_is_number(enum object_kind k)
{
	return k == OBJECT_GROUP || k == OBJECT_MEMBER || k == OBJECT_NEXT_HOP ||
	       k == OBJECT_DEVICE;
}

static bool kind_has_parent(enum object_kind k)
{
	return k == OBJECT_ADDRESS || k == OBJECT_NEIGHBOUR || k == OBJECT_LLDP ||
	       k == OBJECT_MEMBER || k == OBJECT_RULE;
}

static enum object_kind kind_parent(enum object_kind k)
{
	return k == OBJECT_MEMBER ? OBJECT_GROUP : k == OBJECT_RULE ? OBJECT_SET : OBJECT_INTERFACE;
}

static uint32_t key_hash(const struct catalogue *c, uint32_t device, const struct object_key *key)
{
	uint8_t bytes[16 + CATALOGUE_NAME_MAX + 1] = {0};
	uint32_t head[3] = {device, key->kind, key->parent};
	memcpy(bytes, head, sizeof head);
	size_t n = sizeof head;
	if (kind_is_prefix(key->kind)) {
		bytes[n++] = key->prefix.address.family;
		memcpy(bytes + n, key->prefix.address.bytes, 16);
		bytes[n + 16] = key->prefix.length;
		n += 17;
	} else if (kind_is_number(key->kind)) {
		memcpy(bytes + n, &key->number, sizeof key->number);
		n += sizeof key->number;
	} else {
		size_t length = strlen(key->text);
		memcpy(bytes + n, key->text, length);
		n += length;
	}
	uint8_t out[crypto_shorthash_BYTES];
	crypto_shorthash(out, bytes, n, c->key);
	uint32_t hash;
	memcpy(&hash, out, sizeof hash);
	return hash;
}

static bool identity_is(const struct identity *i, const struct object_key *key)
{
	if (i->parent != key->parent)
		return false;
	if (kind_is_prefix(key->kind))
		return prefix_compare(&i->prefix, &key->prefix) == 0;
	if (kind_is_number(key->kind))
		return i->number == key->number;
	return strcmp(i->text, key->text) == 0;
}

// The place of the key, or the free place where it belongs.
static struct place *place_of(const struct catalogue *c, uint32_t device,
			      const struct object_key *key, uint32_t hash)
{
	for (size_t at = hash & c->mask;; at = (at + 1) & c->mask) {
		struct place *p = &c->places[at];
		if (!p->device)
			return p;
		if (p->hash != hash || p->device != device + 1 || p->ref.kind != key->kind)
			continue;
		if (identity_is(&c->devices[device]->of[key->kind].items[p->ref.index], key))
			return p;
	}
}

static struct err places_grow(struct catalogue *c)
{
	if (c->n_places * 3 < (c->mask + 1) * 2)
		return OK;
	size_t mask = c->mask * 2 + 1;
	struct place *places = calloc(mask + 1, sizeof *places);
	ENSURE(places, ERR_LIMIT, "out of memory for %zu objects of the twin", c->n_places);
	for (size_t i = 0; i <= c->mask; i++) {
		if (!c->places[i].device)
			continue;
		size_t at = c->places[i].hash & mask;
		while (places[at].device)
			at = (at + 1) & mask;
		places[at] = c->places[i];
	}
	free(c->places);
	c->places = places;
	c->mask = mask;
	return OK;
}

static struct err identity_new(struct identity_list *list, struct identity **out)
{
	if (list->n == list->cap) {
		uint32_t cap = list->cap ? list->cap * 2 : 4;
		struct identity *items = realloc(list->items, cap * sizeof *items);
		ENSURE(items, ERR_LIMIT, "out of memory for the objects of a device");
		list->items = items;
		list->cap = cap;
	}
	*out = &list->items[list->n];
	**out = (struct identity){0};
	return OK;
}

static void identity_link(struct catalogue_device *d, enum object_kind kind, uint32_t index)
{
	if (!kind_has_parent(kind))
		return;
	struct identity *self = &d->of[kind].items[index];
	struct identity *parent = &d->of[kind_parent(kind)].items[self->parent];
	self->next = parent->child;
	parent->child = (struct object_ref){kind, index};
}

struct err catalogue_add(struct catalogue *c, uint32_t device, const struct object_key *key,
			 uint32_t *index)
{
	if (!kind_is_prefix(key->kind) && !kind_is_number(key->kind))
		ENSURE(strlen(key->text) <= CATALOGUE_NAME_MAX, ERR_LIMIT,
		       "a name in a path is longer than %d bytes", CATALOGUE_NAME_MAX);
	TRY(places_grow(c));
	uint32_t hash = key_hash(c, device, key);
	struct place *p = place_of(c, device, key, hash);
	if (p->device) {
		*index = p->ref.index;
		return OK;
	}
	ENSURE(c->n_places < CATALOGUE_OBJECTS_MAX, ERR_LIMIT, "the twin is full: %d objects",
	       CATALOGUE_OBJECTS_MAX);
	struct catalogue_device *d = c->devices[device];
	struct identity_list *list = &d->of[key->kind];
	struct identity *i = NULL;
	TRY(identity_new(list, &i));
	i->parent = key->parent;
	if (kind_is_prefix(key->kind))
		i->prefix = key->prefix;
	else if (kind_is_number(key->kind))
		i->number = key->number;
	else
		i->text = arena_strdup(c->text, key->text);
	ENSURE(kind_is_prefix(key->kind) || kind_is_number(key->kind) || i->text, ERR_LIMIT,
	       "the twin is full: %d bytes of names", CATALOGUE_TEXT_MAX);
	*index = list->n++;
	*p = (struct place){device + 1, hash, {key->kind, *index}};
	c->n_places++;
	identity_link(d, key->kind, *index);
	return OK;
}

bool catalogue_find(const struct catalogue *c, uint32_t device, const struct object_key *key,
		    uint32_t *index)
{
	if (!kind_is_prefix(key->kind) && !kind_is_number(key->kind) &&
	    strlen(key->text) > CATALOGUE_NAME_MAX)
		return false;
	const struct place *p = place_of(c, device, key, key_hash(c, device, key));
	if (p->device)
		*index = p->ref.index;
	return p->device != 0;
}

// Where the device's number stands, or the free place where it belongs. Only with cap_devices > 0.
static uint32_t *device_place(const struct catalogue *c, const char *id)
{
	uint8_t out[crypto_shorthash_BYTES];
	crypto_shorthash(out, (const uint8_t *)id, strlen(id), c->key);
	uint32_t hash, mask = c->cap_devices * 2 - 1;
	memcpy(&hash, out, sizeof hash);
	for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
		uint32_t *p = &c->device_places[at];
		if (!*p || strcmp(c->devices[*p - 1]->id, id) == 0)
			return p;
	}
}

bool catalogue_device_find(const struct catalogue *c, const char *id, uint32_t *device)
{
	const uint32_t *p = c->cap_devices ? device_place(c, id) : NULL;
	if (p && *p)
		*device = *p - 1;
	return p && *p;
}

static struct err devices_grow(struct catalogue *c)
{
	if (c->n_devices < c->cap_devices)
		return OK;
	uint32_t cap = c->cap_devices ? c->cap_devices * 2 : 64; // a power of two
	struct catalogue_device **devices = realloc(c->devices, cap * sizeof *devices);
	if (devices)
		c->devices = devices;
	uint32_t *places = calloc(cap * 2, sizeof *places);
	if (!devices || !places) {
		free(places);
		return err_make(ERR_LIMIT, "out of memory for %u devices", cap);
	}
	free(c->device_places);
	c->device_places = places;
	c->cap_devices = cap;
	for (uint32_t d = 0; d < c->n_devices; d++)
		*device_place(c, c->devices[d]->id) = d + 1;
	return OK;
}

struct err catalogue_device_add(struct catalogue *c, const char *id, uint32_t *device)
{
	if (catalogue_device_find(c, id, device))
		return OK;
	ENSURE(strlen(id) < sizeof(((struct catalogue_device *)0)->id), ERR_PEER,
	       "a device id is longer than 64 bytes");
	ENSURE(c->n_devices < CATALOGUE_DEVICES_MAX, ERR_LIMIT, "the twin is full: %d devices",
	       CATALOGUE_DEVICES_MAX);
	TRY(devices_grow(c));
	struct catalogue_device *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "out of memory for device %s", id);
	memcpy(d->id, id, strlen(id));
	*device = c->n_devices;
	c->devices[c->n_devices++] = d;
	*device_place(c, id) = c->n_devices;
	struct object_key self = {.kind = OBJECT_DEVICE};
	uint32_t index;
	return catalogue_add(c, *device, &self, &index);
}
