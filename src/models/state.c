// SPDX-License-Identifier: Apache-2.0
// Values in one array per device and kind, under the numbers of the catalogue, grown when a number
// is first used. Absent is `have` 0, so that a delete clears and nothing moves.

#include "models/slot.h"
#include "models/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t value_size[OBJECT_KINDS] = {
	[OBJECT_DEVICE] = sizeof(struct device_value),
	[OBJECT_INTERFACE] = sizeof(struct interface_value),
	[OBJECT_ADDRESS] = sizeof(struct address_value),
	[OBJECT_NEIGHBOUR] = sizeof(struct neighbour_value),
	[OBJECT_LLDP] = sizeof(struct lldp_value),
	[OBJECT_ENTRY] = sizeof(struct entry_value),
	[OBJECT_GROUP] = sizeof(struct group_value),
	[OBJECT_MEMBER] = sizeof(struct member_value),
	[OBJECT_NEXT_HOP] = sizeof(struct next_hop_value),
	[OBJECT_SET] = sizeof(struct set_value),
	[OBJECT_RULE] = sizeof(struct rule_value),
};

struct device_state {
	char *values[OBJECT_KINDS];
	uint32_t n[OBJECT_KINDS];
	struct device_info info;
};

struct state {
	const struct series *series;
	struct device_state *devices;
	uint32_t n_devices;
	uint64_t revision, records, ignored;
	int64_t newest_ns;
	uint64_t generation[6];
	size_t bytes;
};

struct state *state_new(const struct series *s)
{
	struct state *state = calloc(1, sizeof *state);
	if (state)
		state->series = s;
	return state;
}

static void kind_free(struct state *s, struct device_state *d, enum object_kind kind)
{
	for (unsigned i = 0; i < schema_leaves_n; i++) {
		const struct schema_leaf *leaf = &schema_leaves[i];
		if (leaf->kind != kind || leaf->type != LEAF_TEXT)
			continue;
		for (uint32_t at = 0; at < d->n[kind]; at++)
			value_clear(leaf, d->values[kind] + at * value_size[kind], &s->bytes);
	}
	for (uint32_t at = 0; kind == OBJECT_INTERFACE && at < d->n[kind]; at++)
		free(((struct interface_value *)(void *)d->values[kind])[at].counters);
	free(d->values[kind]);
}

void state_free(struct state *s)
{
	if (!s)
		return;
	for (uint32_t d = 0; d < s->n_devices; d++)
		for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
			kind_free(s, &s->devices[d], (enum object_kind)kind);
	free(s->devices);
	free(s);
}

const struct catalogue *state_catalogue(const struct state *s)
{
	return series_catalogue(s->series);
}

static struct err device_make(struct state *s, uint32_t device)
{
	if (device < s->n_devices)
		return OK;
	uint32_t n = catalogue_devices(state_catalogue(s));
	struct device_state *devices = realloc(s->devices, n * sizeof *devices);
	ENSURE(devices, ERR_LIMIT, "out of memory for %u devices", n);
	memset(devices + s->n_devices, 0, (n - s->n_devices) * sizeof *devices);
	s->bytes += (n - s->n_devices) * sizeof *devices;
	s->devices = devices;
	s->n_devices = n;
	return OK;
}

// The value to write to, made when it is the first of its number.
static struct err value_make(struct state *s, uint32_t device, enum object_kind kind,
			     uint32_t index, struct value_head **out)
{
	struct device_state *d = &s->devices[device];
	if (index >= d->n[kind]) {
		uint32_t n = catalogue_device(state_catalogue(s), device)->of[kind].cap;
		size_t size = value_size[kind];
		char *values = realloc(d->values[kind], n * size);
		ENSURE(values, ERR_LIMIT, "out of memory for the values of a device");
		memset(values + d->n[kind] * size, 0, (n - d->n[kind]) * size);
		s->bytes += (n - d->n[kind]) * size;
		d->values[kind] = values;
		d->n[kind] = n;
	}
	*out = (struct value_head *)(void *)(d->values[kind] + index * value_size[kind]);
	return OK;
}

static void touch(struct state *s, uint32_t device, uint8_t touches, int64_t time_ns,
		  struct state_change *change)
{
	if (!touches)
		return;
	for (unsigned bit = 0; bit < 6; bit++)
		if (touches >> bit & 1) {
			s->generation[bit]++;
			s->devices[device].info.generation[bit]++;
		}
	change->touched |= touches;
	if (!change->earliest_ns || time_ns < change->earliest_ns)
		change->earliest_ns = time_ns;
}

// Neighbours move between reachable, stale and probe all day: only what changes an answer counts.
static int neighbour_class(uint8_t state)
{
	return state == NEIGHBOUR_INCOMPLETE || state == NEIGHBOUR_FAILED ? 2
	       : state == NEIGHBOUR_UNKNOWN || state == NEIGHBOUR_NONE	  ? 0
									  : 1;
}

static uint8_t touches_of(const struct schema_leaf *leaf, const struct value_head *h, int before)
{
	if (leaf->kind == OBJECT_NEIGHBOUR && leaf->bit == HAVE_STATE) {
		const struct neighbour_value *n = (const void *)h;
		return neighbour_class(n->state) != before ? TOUCHES_NEIGHBOURS : TOUCHES_NOTHING;
	}
	return leaf->touches;
}

static int class_before(const struct schema_leaf *leaf, const struct value_head *h)
{
	if (leaf->kind != OBJECT_NEIGHBOUR || leaf->bit != HAVE_STATE)
		return 0;
	return have(h, HAVE_STATE)
		       ? neighbour_class(((const struct neighbour_value *)(const void *)h)->state)
		       : 3;
}

static void update(struct state *s, const struct slot *slot, const struct schema_leaf *leaf,
		   struct value_head *h, const struct batch_record *r, struct state_change *change)
{
	int before = class_before(leaf, h);
	enum value_outcome o = value_set(leaf, h, &r->value, r->time_ns, &s->bytes);
	if (leaf->type == LEAF_COUNTER) {
		s->devices[slot->device].info.refused += o == VALUE_REFUSED;
		return;
	}
	uint32_t bit = 1u << leaf->bit;
	bool changed = o == VALUE_CHANGED || !(h->have & bit) || (h->bad & bit);
	h->have |= bit;
	if (o == VALUE_REFUSED) { // known to be there, not known what it says
		changed = !(h->bad & bit);
		value_clear(leaf, h, &s->bytes);
		h->bad |= bit;
		s->devices[slot->device].info.refused++;
	} else {
		h->bad &= ~bit;
	}
	if (!changed)
		return;
	h->changed_ns = r->time_ns;
	touch(s, slot->device, touches_of(leaf, h, before), r->time_ns, change);
}

static void clear(struct state *s, uint32_t device, const struct schema_leaf *leaf,
		  struct value_head *h, int64_t time_ns, struct state_change *change)
{
	uint32_t bit = 1u << leaf->bit;
	value_clear(leaf, h, &s->bytes);
	if (leaf->type == LEAF_COUNTER || !((h->have | h->bad) & bit))
		return;
	h->have &= ~bit;
	h->bad &= ~bit;
	h->changed_ns = time_ns;
	touch(s, device, leaf->touches, time_ns, change);
}

// Clears the leaf in every object that the deleted path covers: the one that it names, the children
// of the one that it names, or all.
static void clear_range(struct state *s, const struct slot *slot, const struct schema_leaf *leaf,
			int64_t time_ns, struct state_change *change)
{
	struct device_state *d = &s->devices[slot->device];
	const struct catalogue_device *names = catalogue_device(state_catalogue(s), slot->device);
	uint32_t from = 0, to = d->n[leaf->kind];
	if (slot->bound == leaf->kind) {
		from = slot->object;
		to = slot->object < to ? slot->object + 1 : 0;
	}
	if (to > names->of[leaf->kind].n)
		to = names->of[leaf->kind].n;
	bool below = slot->bound != OBJECT_NONE && slot->bound != leaf->kind;
	for (uint32_t i = from; i < to; i++) {
		const struct identity *id = &names->of[leaf->kind].items[i];
		if (below && id->parent != slot->object)
			continue;
		if (leaf->family && id->prefix.address.family != leaf->family)
			continue;
		clear(s, slot->device, leaf,
		      (struct value_head *)(void *)(d->values[leaf->kind] +
						    i * value_size[leaf->kind]),
		      time_ns, change);
	}
}

static struct err record_apply(struct state *s, const struct slot *slot,
			       const struct batch_record *r, struct state_change *change)
{
	struct device_info *info = &s->devices[slot->device].info;
	if (r->time_ns > info->time_ns)
		info->time_ns = r->time_ns;
	if (slot->unmodelled && r->op == BATCH_UPDATE) {
		if ((info->unmodelled | slot->unmodelled) != info->unmodelled)
			touch(s, slot->device, TOUCHES_ROUTES, r->time_ns, change);
		info->unmodelled |= slot->unmodelled;
	} else if (r->op == BATCH_DELETE && slot->first < slot->last) {
		for (unsigned i = slot->first; i < slot->last; i++)
			clear_range(s, slot, &schema_leaves[i], r->time_ns, change);
	} else if (r->op == BATCH_UPDATE && slot->exact) {
		const struct schema_leaf *leaf = &schema_leaves[slot->first];
		struct value_head *h = NULL;
		TRY(value_make(s, slot->device, leaf->kind,
			       leaf->kind == OBJECT_DEVICE ? 0 : slot->object, &h));
		update(s, slot, leaf, h, r, change);
	} else {
		s->ignored++;
		return OK;
	}
	s->records++;
	return OK;
}

static void device_note(struct state *s, uint32_t device, const struct batch_head *head)
{
	struct device_info *info = &s->devices[device].info;
	info->seen = true;
	// A replay comes from repository's whole state: as complete as it knows it.
	info->synced |= (head->flags & (BATCH_SYNC | BATCH_SNAPSHOT)) != 0;
	info->revision = head->revision;
	if (head->received_ns > info->received_ns)
		info->received_ns = head->received_ns;
	if (head->received_ns > s->newest_ns)
		s->newest_ns = head->received_ns;
	if (head->revision > s->revision)
		s->revision = head->revision;
}

struct err state_apply(struct state *s, const uint8_t *bytes, size_t n, struct state_change *change)
{
	struct cursor c = cursor_over(bytes, n);
	struct batch_head head;
	*change = (struct state_change){0};
	TRY(batch_read_head(&c, &head));
	uint32_t device;
	if (!catalogue_device_find(state_catalogue(s), head.device, &device)) {
		ENSURE(head.count == 0, ERR_PEER, "feed of %s, of which no series was announced",
		       head.device);
		return cursor_finish(&c, "feed");
	}
	change->device = device;
	TRY(device_make(s, device));
	bool first = !s->devices[device].info.seen;
	device_note(s, device, &head);
	if (first)
		touch(s, device, TOUCHES_STRUCTURE, head.received_ns, change);
	for (uint32_t i = 0; i < head.count; i++) {
		struct batch_record r;
		TRY(batch_read_record(&c, &r));
		const struct slot *slot = series_slot(s->series, r.series);
		ENSURE(slot, ERR_PEER, "feed of %s: series %u was not announced", head.device,
		       r.series);
		ENSURE(slot->device == device, ERR_PEER, "feed of %s: series %u is %s's",
		       head.device, r.series,
		       catalogue_device(state_catalogue(s), slot->device)->id);
		TRY(record_apply(s, slot, &r, change));
	}
	return cursor_finish(&c, "feed");
}

uint64_t state_revision(const struct state *s)
{
	return s->revision;
}

int64_t state_newest_ns(const struct state *s)
{
	return s->newest_ns;
}

uint64_t state_records(const struct state *s)
{
	return s->records;
}

uint64_t state_ignored(const struct state *s)
{
	return s->ignored;
}

size_t state_bytes(const struct state *s)
{
	return s->bytes;
}

const struct device_info *state_device(const struct state *s, uint32_t device)
{
	static const struct device_info none;
	return device < s->n_devices ? &s->devices[device].info : &none;
}

uint64_t state_generation(const struct state *s, uint8_t touches)
{
	uint64_t sum = 0;
	for (unsigned bit = 0; bit < 6; bit++)
		if (touches >> bit & 1)
			sum += s->generation[bit];
	return sum;
}

uint32_t state_count(const struct state *s, uint32_t device, enum object_kind kind)
{
	if (device >= s->n_devices)
		return 0;
	uint32_t n = s->devices[device].n[kind];
	uint32_t named = catalogue_device(state_catalogue(s), device)->of[kind].n;
	return n < named ? n : named;
}

const void *state_value(const struct state *s, uint32_t device, enum object_kind kind,
			uint32_t index)
{
	if (device >= s->n_devices || index >= s->devices[device].n[kind])
		return NULL;
	const struct value_head *h =
		(const void *)(s->devices[device].values[kind] + index * value_size[kind]);
	return h->have ? h : NULL;
}

const struct device_value *state_device_value(const struct state *s, uint32_t device)
{
	static const struct device_value none;
	const struct device_value *v = state_value(s, device, OBJECT_DEVICE, 0);
	return v ? v : &none;
}
