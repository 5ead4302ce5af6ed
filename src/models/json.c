// SPDX-License-Identifier: Apache-2.0

#include "models/json.h"

#include "lib/base/clock.h"
#include "lib/base/sabotage.h"

#include <stdio.h>

json_t *json_time(int64_t wall_ns)
{
	char text[CLOCK_TEXT_MAX];
	return wall_ns ? json_string(clock_format(wall_ns, text)) : json_null();
}

json_t *json_address(const struct address *a)
{
	char text[ADDRESS_TEXT_MAX];
	return a->family ? json_string(address_print(a, text)) : json_null();
}

json_t *json_prefix(const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];
	return json_string(prefix_print(p, text));
}

json_t *json_mac(const uint8_t m[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

json_t *json_text(const char *text)
{
	if (!text)
		return json_null();
	json_t *j = json_string(text);
	if (j)
		return j;
	char ascii[2048]; // a sentence cut within a character
	size_t n = 0;
	for (; text[n] && n < sizeof ascii - 1; n++)
		ascii[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
	ascii[n] = 0;
	return json_string(ascii);
}

json_t *json_strings(const char *const *list)
{
	json_t *array = json_array();
	for (; *list; list++)
		json_array_append_new(array, json_string(*list));
	return array;
}

json_t *json_device(const struct state *s, uint32_t device)
{
	return json_string(catalogue_device(state_catalogue(s), device)->id);
}

json_t *json_interface(const struct state *s, uint32_t device, uint32_t interface)
{
	return json_string(catalogue_identity(catalogue_device(state_catalogue(s), device),
					      OBJECT_INTERFACE, interface)
				   ->text);
}

json_t *json_end(const struct state *s, struct link_end end)
{
	return json_pack("{s:o,s:o}", "device", json_device(s, end.device), "interface",
			 json_interface(s, end.device, end.interface));
}

json_t *json_named(json_t *row, const struct state *s, uint32_t device, enum object_kind kind,
		   uint32_t index)
{
	char path[STATE_PATH_MAX];
	if (!sabotaged("record-names"))
		json_put(row, "record", json_text(state_path(s, device, kind, index, path)));
	return row;
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (value)
		json_object_set_new(object, key, value);
}

void json_put_age(json_t *object, const struct view *v, uint32_t device)
{
	const struct device_info *i = state_device(v->state, device);
	int64_t age = i->received_ns ? (v->now_ns - i->received_ns) / NS_PER_MS : -1;
	json_put(object, "age_ms",
		 age < 0 && i->received_ns ? json_integer(0)
		 : i->received_ns	   ? json_integer(age)
					   : json_null());
	json_put(object, "stale", json_boolean(view_stale(v, device)));
	json_put(object, "complete", json_boolean(i->synced));
}

json_t *json_stale(const struct view *v)
{
	json_t *array = json_array();
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(v->state)); d++)
		if (state_device(v->state, d)->seen && view_stale(v, d))
			json_array_append_new(array, json_device(v->state, d));
	return array;
}
