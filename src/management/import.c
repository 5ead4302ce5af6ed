// SPDX-License-Identifier: Apache-2.0
#include "management/import.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void import_clear(struct import *i)
{
	free(i->rows);
	json_decref(i->errors);
	json_decref(i->ignored);
	*i = (struct import){.rows = NULL};
}

void import_error(struct import *i, unsigned line, const char *field, const char *problem,
		  const char *fix)
{
	if (!i->errors)
		i->errors = json_array();
	if (json_array_size(i->errors) >= IMPORT_ERRORS_MAX)
		return;
	json_array_append_new(i->errors, json_pack("{s:i,s:s,s:s,s:s}", "line", (int)line, "field",
						   field, "problem", problem, "fix", fix));
}

// Foreign text in a message: printable ASCII, cut.
static const char *shown(const char *value, char out[64])
{
	size_t n = 0;
	for (; value[n] && n < 40; n++)
		out[n] = value[n] >= ' ' && value[n] <= '~' ? value[n] : '?';
	snprintf(out + n, 64 - n, "%s", value[n] ? "..." : "");
	return out;
}

static bool name_field(struct import *i, unsigned line, const char *field, const char *value,
		       char out[X509_NAME_MAX + 1])
{
	char problem[160], text[64];
	if (!*value) {
		out[0] = 0;
		return true;
	}
	if (x509_name_check(value).code == ERR_NONE) {
		snprintf(out, X509_NAME_MAX + 1, "%s", value);
		return true;
	}
	snprintf(problem, sizeof problem, "\"%s\" is not a name", shown(value, text));
	import_error(i, line, field, problem,
		     "Use 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit.");
	return false;
}

static bool kind_field(struct import *i, struct import_row *row, const char *value)
{
	char problem[160], text[64];
	row->target = strcmp(value, "gnmi") == 0;
	if (row->target || !*value || strcmp(value, "agent") == 0)
		return true;
	snprintf(problem, sizeof problem, "\"%s\" is no kind", shown(value, text));
	import_error(i, row->line, "kind", problem, "Write agent (runs gemel-agent) or gnmi.");
	return false;
}

// NetBox writes addresses with their prefix length.
static bool address_field(struct import *i, struct import_row *row, const char *value)
{
	char problem[160], text[64], address[64] = "";
	unsigned char bytes[16];
	size_t n = strcspn(value, "/");
	if (!*value)
		return true;
	if (n < sizeof address)
		memcpy(address, value, n);
	if (inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1) {
		memcpy(row->address, address, sizeof row->address);
		return true;
	}
	snprintf(problem, sizeof problem, "\"%s\" is not an address", shown(value, text));
	import_error(i, row->line, "address", problem, "Write an IPv4 or IPv6 address.");
	return false;
}

static bool port_field(struct import *i, struct import_row *row, const char *value)
{
	char problem[160], text[64], *end;
	if (!*value)
		return true;
	unsigned long port = strtoul(value, &end, 10);
	if (*value >= '0' && *value <= '9' && !*end && port >= 1 && port <= 65535) {
		row->port = (uint16_t)port;
		return true;
	}
	snprintf(problem, sizeof problem, "\"%s\" is not a port", shown(value, text));
	import_error(i, row->line, "port", problem, "Write a number from 1 to 65535.");
	return false;
}

bool import_field(struct import *i, struct import_row *row, const char *field, const char *value)
{
	if (strcmp(field, "id") == 0)
		return name_field(i, row->line, field, value, row->id);
	if (strcmp(field, "domain") == 0)
		return name_field(i, row->line, field, value, row->domain);
	if (strcmp(field, "site") == 0)
		return name_field(i, row->line, field, value, row->site);
	if (strcmp(field, "role") == 0)
		return name_field(i, row->line, field, value, row->role);
	if (strcmp(field, "kind") == 0)
		return kind_field(i, row, value);
	if (strcmp(field, "address") == 0)
		return address_field(i, row, value);
	return port_field(i, row, value);
}

static bool twice(const struct import *i, const char *id)
{
	for (size_t k = 0; k < i->n; k++)
		if (strcmp(i->rows[k].id, id) == 0)
			return true;
	return false;
}

struct err import_add(struct import *i, const struct import_row *row, bool good)
{
	ENSURE(i->n + i->bad < IMPORT_ROWS_MAX, ERR_USAGE, "more than %d devices: split the text",
	       IMPORT_ROWS_MAX);
	if (good && !row->id[0]) {
		import_error(i, row->line, "id", "the device has no name",
			     "Give each device a name.");
		good = false;
	}
	if (good && twice(i, row->id)) {
		import_error(i, row->line, "id", "the name is there twice",
			     "Name each device once.");
		good = false;
	}
	if (!good) {
		i->bad++;
		return OK;
	}
	if (i->n == i->cap) {
		size_t cap = i->cap ? i->cap * 2 : 64;
		struct import_row *rows = realloc(i->rows, cap * sizeof *rows);
		ENSURE(rows, ERR_LIMIT, "out of memory");
		i->rows = rows;
		i->cap = cap;
	}
	i->rows[i->n++] = *row;
	return OK;
}
