// SPDX-License-Identifier: Apache-2.0
#include "northbound/operations.h"

#include <string.h>

#define WORD_CREATE "create"
#define WORD_READ "read"
#define WORD_UPDATE "update"
#define WORD_DELETE "delete"
#define WORD_COLLECT "collect"
#define WORD_EXECUTE "execute"

const struct operation operations[OPERATIONS] = {
#define OPERATION(symbol, id, method, path, owner, action, kind, auth, schema, summary)            \
	[OP_##symbol] = {id,   METHOD_##method, path,	 PROCESS_##owner, WORD_##action,           \
			 kind, AUTH_##auth,	#schema, summary},
#define PARAM(...)
#include "northbound/operations.def"
#undef OPERATION
#undef PARAM
};

const struct operation_param operation_params[] = {
#define OPERATION(...)
#define PARAM(op, name, in, type, least, most, need, allowed, help)                                \
	{OP_##op, #name, IN_##in, TYPE_##type, least, most, NEED_##need == NEED_REQUIRED,          \
	 allowed, help},
#include "northbound/operations.def"
#undef OPERATION
#undef PARAM
};
const unsigned operation_params_count = sizeof operation_params / sizeof *operation_params;

static const char *const method_names[METHOD_COUNT] = {"GET", "POST", "PATCH", "DELETE"};

const char *operation_method_name(enum operation_method m)
{
	return method_names[m];
}

bool operation_method_by_name(const char *name, enum operation_method *m)
{
	for (unsigned i = 0; i < METHOD_COUNT; i++)
		if (strcmp(method_names[i], name) == 0) {
			*m = (enum operation_method)i;
			return true;
		}
	return false;
}

const char *operation_type_help(enum operation_type t)
{
	static const char *const help[] = {
		[TYPE_NAME] = "a name of letters, digits, '.', '_' and '-'",
		[TYPE_TEXT] = "one line of text",
		[TYPE_DOCUMENT] = "a text",
		[TYPE_SECRET] = "a pass phrase",
		[TYPE_TIME] = "a time such as 2026-11-24T09:30:00Z or -5m",
		[TYPE_CHOICE] = "one of the allowed words",
		[TYPE_LIST] = "a list of words",
		[TYPE_JSON] = "a JSON array or object",
		[TYPE_NUMBER] = "a whole number",
		[TYPE_FLAG] = "true or false",
	};
	return help[t];
}

const struct operation *operation_by_id(const char *id)
{
	for (unsigned i = 0; i < OPERATIONS; i++)
		if (strcmp(operations[i].id, id) == 0)
			return &operations[i];
	return NULL;
}

const struct operation_param *operation_param_next(const struct operation *op,
						   const struct operation_param *last)
{
	unsigned from = last ? (unsigned)(last - operation_params) + 1 : 0;
	for (unsigned i = from; i < operation_params_count; i++)
		if (&operations[operation_params[i].operation] == op)
			return &operation_params[i];
	return NULL;
}

const struct operation_param *operation_param_find(const struct operation *op, const char *name,
						   size_t len)
{
	const struct operation_param *p = NULL;
	while ((p = operation_param_next(op, p)))
		if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
			return p;
	return NULL;
}

bool operation_allows(const char *allowed, const char *word, size_t len)
{
	while (allowed && *allowed) {
		size_t n = strcspn(allowed, "|");
		if (n == len && memcmp(allowed, word, n) == 0)
			return true;
		allowed += n + (allowed[n] == '|');
	}
	return false;
}

// --- routing

static bool capture(struct operation_match *m, const char *name, size_t name_len, const char *value,
		    size_t value_len)
{
	if (value_len == 0 || m->n == OPERATION_CAPTURES)
		return false;
	m->captures[m->n++] = (struct operation_capture){name, name_len, value, value_len};
	return true;
}

// One segment of the template (`t` to `t_end`) against one of the path. A plain {name} takes no
// ':', so that a verb which does not exist is not mistaken for a name.
static bool segment_matches(const char *t, const char *t_end, const char *s, const char *s_end,
			    struct operation_match *m)
{
	const char *open = memchr(t, '{', (size_t)(t_end - t));
	if (!open)
		return t_end - t == s_end - s && memcmp(t, s, (size_t)(t_end - t)) == 0;
	const char *close = memchr(open, '}', (size_t)(t_end - open));
	size_t before = (size_t)(open - t), after = (size_t)(t_end - close - 1);
	size_t len = (size_t)(s_end - s);
	if (len < before + after || memcmp(t, s, before) != 0 ||
	    memcmp(close + 1, s_end - after, after) != 0)
		return false;
	if (memchr(s + before, ':', len - before - after))
		return false;
	return capture(m, open + 1, (size_t)(close - open - 1), s + before, len - before - after);
}

static bool path_matches(const char *t, const char *s, const char *s_end, struct operation_match *m)
{
	m->n = 0;
	for (;;) {
		if (*t != '/' || s == s_end || *s != '/')
			return *t == 0 && s == s_end;
		t++, s++;
		const char *t_end = t + strcspn(t, "/");
		const char *s_next = memchr(s, '/', (size_t)(s_end - s));
		if (t_end - t > 4 && memcmp(t_end - 4, "...}", 4) == 0)
			return capture(m, t + 1, (size_t)(t_end - t) - 5, s, (size_t)(s_end - s));
		if (!s_next)
			s_next = s_end;
		if (!segment_matches(t, t_end, s, s_next, m))
			return false;
		t = t_end;
		s = s_next;
	}
}

const struct operation *operation_route(enum operation_method method, bool known, const char *path,
					size_t len, struct operation_match *m)
{
	*m = (struct operation_match){0};
	const struct operation *found = NULL;
	struct operation_match here = {0};
	for (unsigned i = 0; i < OPERATIONS; i++) {
		if (!path_matches(operations[i].path, path, path + len, &here))
			continue;
		m->path_known = true;
		m->methods[operations[i].method] = true;
		if (!known || operations[i].method != method)
			continue;
		found = &operations[i];
		memcpy(m->captures, here.captures, sizeof m->captures);
		m->n = here.n;
	}
	return found;
}
