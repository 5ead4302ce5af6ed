// SPDX-License-Identifier: Apache-2.0
// Small steps in making answers. Used by the JSON files of the models process.
#pragma once

#include "models/forwarding.h"

#include <jansson.h>

// "2026-11-24T09:30:00.123Z"; null for 0.
json_t *json_time(int64_t wall_ns);
json_t *json_address(const struct address *a);
json_t *json_prefix(const struct prefix *p);
json_t *json_mac(const uint8_t mac[6]);
json_t *json_text(const char *text);	       // null for NULL; ASCII when it is no longer UTF-8
json_t *json_strings(const char *const *list); // NULL-terminated
json_t *json_device(const struct state *s, uint32_t device);
json_t *json_interface(const struct state *s, uint32_t device, uint32_t interface);
// {"device": ..., "interface": ...}
json_t *json_end(const struct state *s, struct link_end end);
// `row` with "record" in it: the path under which the repository has what it says. X.2011 6-data.
json_t *json_named(json_t *row, const struct state *s, uint32_t device, enum object_kind kind,
		   uint32_t index);
// Sets and takes over `value`; a NULL value (memory) is left out.
void json_put(json_t *object, const char *key, json_t *value);
// age_ms, stale, incomplete of a device, seen from the view.
void json_put_age(json_t *object, const struct view *v, uint32_t device);
// The devices of the view that are stale, by name.
json_t *json_stale(const struct view *v);
// GET /v1/devices/{id}/state. Without rules, `acls` is null.
json_t *device_json(const struct view *v, const struct forwarding *f, uint32_t device,
		    bool with_rules);
