// SPDX-License-Identifier: Apache-2.0
// The table of operations.def as data, and finding one by method and path. Pure: no state, no
// memory of its own. Used by northbound and by gemel(1), which takes its flags and help from it.
#pragma once

#include "lib/ipc/ipc.h"

enum operation_method { METHOD_GET, METHOD_POST, METHOD_PATCH, METHOD_DELETE, METHOD_COUNT };
enum operation_auth { AUTH_NONE, AUTH_SESSION };
enum operation_in { IN_PATH, IN_QUERY, IN_BODY };
enum operation_need { NEED_OPTIONAL, NEED_REQUIRED };
enum operation_type {
	TYPE_NAME, TYPE_TEXT, TYPE_DOCUMENT, TYPE_SECRET, TYPE_TIME, TYPE_CHOICE, TYPE_LIST,
	TYPE_JSON, TYPE_NUMBER, TYPE_FLAG,
};

struct operation {
	const char *id; // "devices.list"
	enum operation_method method;
	const char *path; // template
	enum process_id owner;
	const char *action, *kind; // lower-case action, kind of resource
	enum operation_auth auth;
	const char *schema; // name of the answer's schema in the OpenAPI document
	const char *summary;
};

struct operation_param {
	unsigned operation; // index of its operation
	const char *name;
	enum operation_in in;
	enum operation_type type;
	int64_t least, most;
	bool required;
	const char *allowed; // "a|b|c" or NULL
	const char *help;
};

enum operation_symbol {
#define OPERATION(symbol, ...) OP_##symbol,
#define PARAM(...)
#include "northbound/operations.def"
#undef OPERATION
#undef PARAM
	OPERATIONS,
};

extern const struct operation operations[OPERATIONS];
extern const struct operation_param operation_params[];
extern const unsigned operation_params_count;

const char *operation_method_name(enum operation_method m);
bool operation_method_by_name(const char *name, enum operation_method *m);
const char *operation_type_help(enum operation_type t); // "a name (letters, digits, . _ -)"
const struct operation *operation_by_id(const char *id); // NULL: none
// The next parameter of `op` after `last` (NULL: the first). NULL at the end.
const struct operation_param *operation_param_next(const struct operation *op,
						   const struct operation_param *last);
const struct operation_param *operation_param_find(const struct operation *op, const char *name,
						   size_t len);
// Whether `word` is one of "a|b|c".
bool operation_allows(const char *allowed, const char *word, size_t len);

// A part of the path that stood where the template has {name}.
struct operation_capture {
	const char *name; // into the template
	size_t name_len;
	const char *value; // into the path, still percent-encoded
	size_t value_len;
};
enum { OPERATION_CAPTURES = 4 };
struct operation_match {
	struct operation_capture captures[OPERATION_CAPTURES];
	unsigned n;
	bool methods[METHOD_COUNT]; // which methods this path knows
	bool path_known;
};
// Finds the operation of a method (`known` false: one that we do not know) and a path.
// NULL: see m->path_known and m->methods for 404 or 405.
const struct operation *operation_route(enum operation_method method, bool known, const char *path,
					size_t len, struct operation_match *m);
