// SPDX-License-Identifier: Apache-2.0
// NetBox: GET /api/dcim/devices/ gives {"results": [device...]}; an array of devices is taken too.
// Read are: name, site and role (device_role before NetBox 4) by slug, tenant's slug as the domain,
// status (what is not in service is left out), primary_ip, and the custom fields gemel_kind,
// gemel_domain, gemel_port. "line" of an error is the number of the device in the list.
#include "management/import.h"

#include <stdio.h>
#include <string.h>

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

// A nested object's slug (briefer exports give the slug itself).
static const char *slug(const json_t *device, const char *key)
{
	const json_t *j = json_object_get(device, key);
	return json_is_string(j) ? json_string_value(j) : text(j, "slug");
}

static bool in_service(const json_t *device)
{
	static const char *const out[] = {"offline", "decommissioning", "inventory", "failed"};
	const json_t *status = json_object_get(device, "status");
	const char *value =
		json_is_string(status) ? json_string_value(status) : text(status, "value");
	for (size_t i = 0; i < sizeof out / sizeof *out; i++)
		if (strcmp(value, out[i]) == 0)
			return false;
	return true;
}

static const char *address(const json_t *device)
{
	static const char *const keys[] = {"primary_ip", "primary_ip4", "primary_ip6"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *j = json_object_get(device, keys[i]);
		const char *s = json_is_string(j) ? json_string_value(j) : text(j, "address");
		if (*s)
			return s;
	}
	return "";
}

static bool port(struct import *out, struct import_row *row, const json_t *custom)
{
	const json_t *j = json_object_get(custom, "gemel_port");
	char number[24] = "";
	if (json_is_integer(j))
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(j));
	return import_field(out, row, "port", json_is_string(j) ? json_string_value(j) : number);
}

static struct err device(struct import *out, const json_t *j, unsigned number)
{
	struct import_row row = {.line = number};
	if (!json_is_object(j)) {
		import_error(out, number, "", "the item is not an object",
			     "Export the devices again.");
		return import_add(out, &row, false);
	}
	if (!in_service(j)) {
		import_error(out, number, "status", "the device is not in service",
			     "It is left out; set its status to active to take it.");
		return import_add(out, &row, false);
	}
	const json_t *custom = json_object_get(j, "custom_fields");
	const char *role = slug(j, "role"), *domain = text(custom, "gemel_domain");
	bool good = import_field(out, &row, "id", text(j, "name"));
	good &= import_field(out, &row, "site", slug(j, "site"));
	good &= import_field(out, &row, "role", *role ? role : slug(j, "device_role"));
	good &= import_field(out, &row, "domain", *domain ? domain : slug(j, "tenant"));
	good &= import_field(out, &row, "kind", text(custom, "gemel_kind"));
	good &= import_field(out, &row, "address", address(j));
	good &= port(out, &row, custom);
	return import_add(out, &row, good);
}

struct err import_netbox(const char *text_, struct import *out)
{
	json_error_t bad;
	*out = (struct import){.errors = json_array(), .ignored = json_array()};
	ENSURE(out->errors && out->ignored, ERR_LIMIT, "out of memory");
	json_t *all = json_loads(text_, 0, &bad);
	ENSURE(all, ERR_USAGE, "line %d, column %d: not JSON: %.80s", bad.line, bad.column,
	       bad.text);
	const json_t *list = json_is_array(all) ? all : json_object_get(all, "results");
	struct err e =
		json_is_array(list)
			? OK
			: err_make(ERR_USAGE, "neither an array of devices nor an object with "
					      "\"results\", as NetBox lists them");
	size_t i;
	json_t *j;
	json_array_foreach(list, i, j)
	{
		if (e.code != ERR_NONE)
			break;
		e = device(out, j, (unsigned)i + 1);
	}
	if (e.code == ERR_NONE && *text(all, "next"))
		import_error(out, 0, "next", "the export is one page of several",
			     "Ask NetBox with limit=0, or import each page.");
	json_decref(all);
	return e;
}
