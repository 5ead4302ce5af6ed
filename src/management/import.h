// SPDX-License-Identifier: Apache-2.0
// Inventories from elsewhere: CSV with a header line (RFC 4180), or NetBox device JSON, as its REST
// API lists it. What can be read is taken, what cannot is named by line (CSV) or item (NetBox) and
// member, with what is allowed there. Nothing is done here: the result is a list of wishes.
// Used by management.
#pragma once

#include "management/devices.h"

enum { IMPORT_ROWS_MAX = 20000, IMPORT_ERRORS_MAX = 500, IMPORT_FIELD_MAX = 256 };

struct import_row {
	unsigned line; // of the text, or number of the item; from 1
	char id[X509_NAME_MAX + 1], domain[X509_NAME_MAX + 1], site[X509_NAME_MAX + 1],
		role[X509_NAME_MAX + 1];
	bool target;
	char address[64];
	uint16_t port;
};

struct import {
	struct import_row *rows; // owned
	size_t n, cap;
	json_t *errors;	 // [{line, field, problem, fix}]
	json_t *ignored; // columns or kinds of members that mean nothing here
	unsigned bad;	 // rows with an error, also beyond IMPORT_ERRORS_MAX
};

// ERR_USAGE: the text as a whole is not of the form. import_clear also after that.
MUST_USE struct err import_csv(const char *text, struct import *out);
MUST_USE struct err import_netbox(const char *text, struct import *out);
void import_clear(struct import *i);

// --- between import*.c
// Starts, fills and ends one row; import_field checks the value. `where` names it in errors.
void import_error(struct import *i, unsigned line, const char *field, const char *problem,
		  const char *fix);
bool import_field(struct import *i, struct import_row *row, const char *field, const char *value);
MUST_USE struct err import_add(struct import *i, const struct import_row *row, bool good);
