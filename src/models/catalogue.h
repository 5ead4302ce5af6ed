// SPDX-License-Identifier: Apache-2.0
// Identity: which devices, interfaces, routes, rules ... have ever been named, and by which number.
//
//     catalogue --- device 0 --- of[INTERFACE]  [0] eth0   [1] eth1 ...
//                        |       of[ADDRESS]    [0] 10.0.0.1, parent eth0 ...
//                   device 1 ...
//
// A state (state.h) holds the values under the same numbers, so that the present and any number of
// pasts share one catalogue, and a series number leads to its value by two array lookups.
// Identities are never removed: repository's quota of series bounds them, and so do the limits
// here. Used by the models process.
#pragma once

#include "lib/base/mem.h"
#include "models/address.h"

enum object_kind {
	OBJECT_DEVICE, // one for each device, number 0
	OBJECT_INTERFACE,
	OBJECT_ADDRESS,	  // parent: interface
	OBJECT_NEIGHBOUR, // parent: interface
	OBJECT_LLDP,	  // parent: interface
	OBJECT_ENTRY,	  // AFT entry
	OBJECT_GROUP,	  // AFT next-hop group
	OBJECT_MEMBER,	  // parent: group
	OBJECT_NEXT_HOP,
	OBJECT_SET,  // an nftables chain; text "TYPE:FAMILY:TABLE:CHAIN"
	OBJECT_RULE, // parent: set
	OBJECT_KINDS,
	OBJECT_NONE = OBJECT_KINDS,
};

enum {
	CATALOGUE_DEVICES_MAX = 100000,
	CATALOGUE_OBJECTS_MAX = 1 << 24, // all devices together
	CATALOGUE_TEXT_MAX = 512 << 20,
	CATALOGUE_NAME_MAX = 1023,
};

// Reference to an object of the same device: kind and number; 0 (the device itself) ends a list.
struct object_ref {
	uint32_t kind : 4, index : 28;
};

struct identity {
	uint32_t parent;	       // number of the parent object, 0 when its kind has none
	struct object_ref child, next; // first child; next of the same parent
	union {
		struct prefix prefix; // ENTRY; ADDRESS and NEIGHBOUR as host prefixes
		uint64_t number;      // GROUP, MEMBER, NEXT_HOP
		const char *text;     // INTERFACE, LLDP, SET, RULE
	};
};

struct catalogue_device {
	char id[65];
	struct identity_list {
		struct identity *items;
		uint32_t n, cap;
	} of[OBJECT_KINDS];
};

struct catalogue; // opaque

struct catalogue *catalogue_new(void); // NULL: out of memory
void catalogue_free(struct catalogue *c);
uint32_t catalogue_devices(const struct catalogue *c);
const struct catalogue_device *catalogue_device(const struct catalogue *c, uint32_t device);
size_t catalogue_objects(const struct catalogue *c);

// The device's number. ERR_LIMIT past the bounds above.
MUST_USE struct err catalogue_device_add(struct catalogue *c, const char *id, uint32_t *device);
bool catalogue_device_find(const struct catalogue *c, const char *id, uint32_t *device);

// What names an object below its parent.
struct object_key {
	enum object_kind kind;
	uint32_t parent; // number of the parent; 0 when the kind has none
	union {
		struct prefix prefix;
		uint64_t number;
		const char *text; // copied
	};
};
// Finds or makes the object.
MUST_USE struct err catalogue_add(struct catalogue *c, uint32_t device,
				  const struct object_key *key, uint32_t *index);
bool catalogue_find(const struct catalogue *c, uint32_t device, const struct object_key *key,
		    uint32_t *index);

static inline const struct identity *catalogue_identity(const struct catalogue_device *d,
							enum object_kind kind, uint32_t index)
{
	return &d->of[kind].items[index];
}
