// SPDX-License-Identifier: Apache-2.0
#include "northbound/request.h"

#include "lib/base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

// --- text

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Length of the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates); 0: not one.
static size_t utf8_length(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char first, last, low, high; // of the first byte; of the second
		size_t n;
	} forms[] = {
		{0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
		{0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
		{0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
	};
	if (*p < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (*p < forms[i].first || *p > forms[i].last)
			continue;
		if (left < forms[i].n || p[1] < forms[i].low || p[1] > forms[i].high)
			return 0;
		for (size_t k = 2; k < forms[i].n; k++)
			if ((p[k] & 0xC0) != 0x80)
				return 0;
		return forms[i].n;
	}
	return 0;
}

static struct err text_check(const char *text, size_t n, bool lines, const char *what)
{
	for (size_t i = 0, step; i < n; i += step) {
		unsigned char c = (unsigned char)text[i];
		bool layout = lines && (c == '\n' || c == '\r' || c == '\t');
		ENSURE((c >= 0x20 && c != 0x7f) || layout, ERR_USAGE,
		       "%s: byte %zu is a control character (0x%02x); %s", what, i + 1, c,
		       lines ? "only text with line ends and tabs" : "only one line of text");
		step = utf8_length((const unsigned char *)text + i, n - i);
		ENSURE(step, ERR_USAGE, "%s: byte %zu is not UTF-8", what, i + 1);
	}
	return OK;
}

struct err request_decode(const char *text, size_t n, bool plus, const char *what, struct arena *a,
			  char **out)
{
	char *to = *out = arena_alloc(a, n + 1);
	ENSURE(to, ERR_LIMIT, "%s: too long", what);
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '%') {
			*to++ = plus && text[i] == '+' ? ' ' : text[i];
			continue;
		}
		int high = n - i > 2 ? hex_digit(text[i + 1]) : -1;
		int low = n - i > 2 ? hex_digit(text[i + 2]) : -1;
		ENSURE(high >= 0 && low >= 0, ERR_USAGE,
		       "%s: '%%' at byte %zu must be followed by two hexadecimal digits", what, i + 1);
		*to++ = (char)(high << 4 | low);
		i += 2;
	}
	return text_check(*out, (size_t)(to - *out), false, what);
}

// --- target

struct err request_route(const char *method, const char *target, struct request *r)
{
	enum operation_method m = METHOD_GET;
	bool known = operation_method_by_name(strcmp(method, "HEAD") == 0 ? "GET" : method, &m);
	*r = (struct request){.status = 400};
	size_t n = strnlen(target, REQUEST_TARGET_MAX + 1);
	r->status = n > REQUEST_TARGET_MAX ? 414 : 400;
	ENSURE(n <= REQUEST_TARGET_MAX, ERR_LIMIT, "target: longer than %d bytes", REQUEST_TARGET_MAX);
	ENSURE(target[0] == '/', ERR_USAGE, "target: must begin with '/'");
	for (size_t i = 0; i < n; i++)
		ENSURE(target[i] > 0x20 && target[i] < 0x7f && target[i] != '#', ERR_USAGE,
		       "target: byte %zu must be percent-encoded (RFC 3986 section 2)", i + 1);
	size_t path = strcspn(target, "?");
	r->query = target[path] == '?' ? target + path + 1 : NULL;
	r->op = operation_route(m, known, target, path, &r->match);
	if (r->op)
		return OK;
	r->status = r->match.path_known ? 405 : 404;
	ENSURE(r->match.path_known, ERR_NOT_FOUND, "there is nothing at %.*s%s",
	       (int)(path > 128 ? 128 : path), target, path > 128 ? "..." : "");
	size_t used = 0;
	for (unsigned i = 0; i < METHOD_COUNT; i++)
		if (r->match.methods[i]) {
			const char *name = operation_method_name((enum operation_method)i);
			if (used) {
				memcpy(r->allow + used, ", ", 2);
				used += 2;
			}
			memcpy(r->allow + used, name, strlen(name));
			used += strlen(name);
		}
	return err_make(ERR_USAGE, "%.16s is not possible at %.*s%s; allowed: %s", method,
			(int)(path > 128 ? 128 : path), target, path > 128 ? "..." : "", r->allow);
}

// --- values

static struct err value_new(struct request *r, const struct operation_param *p,
			    struct request_value **out)
{
	for (unsigned i = 0; i < r->n_values; i++)
		ENSURE(r->values[i].param != p, ERR_USAGE, "%s: given twice; once is right", p->name);
	ENSURE(r->n_values < REQUEST_VALUES_MAX, ERR_LIMIT, "too many parameters");
	*out = &r->values[r->n_values++];
	**out = (struct request_value){.param = p};
	return OK;
}

static struct err name_check(const struct operation_param *p, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i], low = c | 0x20;
		bool sign = c == '.' || c == '_' || c == '-';
		bool good = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (i && sign);
		ENSURE(good, ERR_USAGE,
		       "%s: \"%.*s\" is not a name; letters, digits, '.', '_' and '-', first a "
		       "letter or digit", p->name, (int)(n > 64 ? 64 : n), s);
	}
	return OK;
}

static struct err choice_check(const struct operation_param *p, const char *s, size_t n)
{
	ENSURE(operation_allows(p->allowed, s, n), ERR_USAGE, "%s: \"%.*s\" is not allowed; one of %s",
	       p->name, (int)(n > 64 ? 64 : n), s, p->allowed);
	return OK;
}

static struct err list_check(const struct operation_param *p, const char *s)
{
	int64_t items = 0;
	for (const char *at = s;; at++) {
		size_t n = strcspn(at, ",");
		ENSURE(n, ERR_USAGE, "%s: an item is empty", p->name);
		if (p->allowed)
			TRY(choice_check(p, at, n));
		else
			TRY(name_check(p, at, n));
		items++;
		at += n;
		if (!*at)
			break;
	}
	ENSURE(items >= p->least && items <= p->most, ERR_USAGE,
	       "%s: %" PRId64 " items; %" PRId64 " to %" PRId64, p->name, items, p->least, p->most);
	return OK;
}

static struct err text_value(struct request *r, const struct operation_param *p, char *s, size_t n)
{
	struct request_value *v;
	int64_t ns;
	TRY(value_new(r, p, &v));
	v->text = s;
	TRY(text_check(s, n, p->type == TYPE_DOCUMENT, p->name));
	if (p->type == TYPE_LIST)
		return list_check(p, s);
	ENSURE(n > 0 || p->least == 0, ERR_USAGE, "%s: empty; %s", p->name, operation_type_help(p->type));
	ENSURE((int64_t)n >= p->least && (int64_t)n <= p->most, ERR_USAGE,
	       "%s: %zu bytes long; %" PRId64 " to %" PRId64, p->name, n, p->least, p->most);
	if (p->type == TYPE_NAME)
		return name_check(p, s, n);
	if (p->type == TYPE_CHOICE)
		return choice_check(p, s, n);
	if (p->type == TYPE_TIME)
		return err_within(clock_parse(s, &ns), "%s", p->name);
	return OK;
}

static struct err number_value(struct request *r, const struct operation_param *p, int64_t number)
{
	struct request_value *v;
	TRY(value_new(r, p, &v));
	ENSURE(number >= p->least && number <= p->most, ERR_USAGE,
	       "%s: %" PRId64 " is out of bounds; %" PRId64 " to %" PRId64, p->name, number, p->least,
	       p->most);
	v->number = number;
	return OK;
}

static struct err flag_value(struct request *r, const struct operation_param *p, bool flag)
{
	struct request_value *v;
	TRY(value_new(r, p, &v));
	v->flag = flag;
	return OK;
}

// A value that came as text, in path or query.
static struct err value_from_text(struct request *r, const struct operation_param *p, char *s)
{
	if (p->type == TYPE_FLAG) {
		bool yes = strcmp(s, "true") == 0;
		ENSURE(yes || strcmp(s, "false") == 0, ERR_USAGE, "%s: \"%.32s\"; true or false",
		       p->name, s);
		return flag_value(r, p, yes);
	}
	if (p->type != TYPE_NUMBER)
		return text_value(r, p, s, strlen(s));
	int64_t number = 0;
	ENSURE(*s, ERR_USAGE, "%s: empty; a whole number", p->name);
	for (const char *c = s; *c; c++) {
		ENSURE(*c >= '0' && *c <= '9' && c - s < 18, ERR_USAGE,
		       "%s: \"%.32s\" is not a whole number from %" PRId64 " to %" PRId64, p->name, s,
		       p->least, p->most);
		number = number * 10 + (*c - '0');
	}
	return number_value(r, p, number);
}

// "unknown; allowed here: a, b"
static struct err unknown(const struct operation *op, enum operation_in in, const char *name,
			  struct arena *a)
{
	const struct operation_param *p = NULL;
	const char *known = "";
	while ((p = operation_param_next(op, p))) {
		if (p->in != in)
			continue;
		char *more = arena_printf(a, "%s%s%s", known, *known ? ", " : "", p->name);
		known = more ? more : known;
	}
	return err_make(ERR_USAGE, "\"%.64s\": not known in the %s of %s; allowed: %s", name,
			in == IN_BODY ? "body" : "query", op->id, *known ? known : "nothing");
}

static struct err read_path(struct request *r, struct arena *a)
{
	for (unsigned i = 0; i < r->match.n; i++) {
		const struct operation_capture *c = &r->match.captures[i];
		const struct operation_param *p = operation_param_find(r->op, c->name, c->name_len);
		char *s;
		ENSURE(p, ERR_INTERNAL, "%s: its path names a parameter that it lacks", r->op->id);
		TRY(request_decode(c->value, c->value_len, false, p->name, a, &s));
		TRY(value_from_text(r, p, s));
	}
	return OK;
}

static struct err read_query(struct request *r, struct arena *a)
{
	for (const char *at = r->query; at && *at;) {
		size_t n = strcspn(at, "&"), key = strcspn(at, "=&");
		char *name, *value;
		TRY(request_decode(at, key, true, "name in the query", a, &name));
		size_t skip = key < n ? key + 1 : key;
		const struct operation_param *p = operation_param_find(r->op, name, strlen(name));
		if (!p || p->in != IN_QUERY)
			return unknown(r->op, IN_QUERY, name, a);
		TRY(request_decode(at + skip, n - skip, true, p->name, a, &value));
		TRY(value_from_text(r, p, value));
		at += n + (at[n] == '&');
	}
	return OK;
}

// --- body

struct err request_guard(const char *text, size_t n)
{
	unsigned depth = 0, nodes = 1;
	bool string = false;
	ENSURE(n <= REQUEST_BODY_MAX, ERR_LIMIT, "body: %zu bytes; at most %d", n, REQUEST_BODY_MAX);
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (string) {
			i += c == '\\';
			string = c != '"';
			continue;
		}
		string = c == '"';
		nodes += c == ',' || c == ':';
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth)
			depth--;
		ENSURE(depth <= REQUEST_DEPTH_MAX, ERR_USAGE,
		       "body: byte %zu: nested deeper than %d", i + 1, REQUEST_DEPTH_MAX);
		ENSURE(nodes <= REQUEST_NODES_MAX, ERR_LIMIT, "body: more than %d values",
		       REQUEST_NODES_MAX);
	}
	return OK;
}

static struct err list_join(const struct operation_param *p, const json_t *array, struct arena *a,
			    char **out)
{
	size_t i;
	json_t *item;
	*out = NULL;
	json_array_foreach((json_t *)array, i, item) {
		const char *s = json_string_value(item);
		ENSURE(s && !strchr(s, ','), ERR_USAGE, "%s[%zu]: must be a word", p->name, i);
		*out = arena_printf(a, "%s%s%s", *out ? *out : "", *out ? "," : "", s);
		ENSURE(*out, ERR_LIMIT, "%s: too long", p->name);
	}
	ENSURE(*out, ERR_USAGE, "%s: empty; %" PRId64 " to %" PRId64 " items", p->name, p->least, p->most);
	return OK;
}

static const char *json_kind(const json_t *j)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a whole number", [JSON_REAL] = "a number with a fraction",
		[JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null",
	};
	return kinds[json_typeof(j)];
}

static struct err json_value(struct request *r, const struct operation_param *p, const json_t *j,
			     struct arena *a)
{
	struct request_value *v;
	char *s = NULL;
	if (p->type == TYPE_NUMBER && json_is_integer(j))
		return number_value(r, p, json_integer_value(j));
	if (p->type == TYPE_FLAG && json_is_boolean(j))
		return flag_value(r, p, json_is_true(j));
	if (p->type == TYPE_LIST && json_is_array(j)) {
		TRY(list_join(p, j, a, &s));
		return text_value(r, p, s, strlen(s));
	}
	if (p->type == TYPE_JSON && (json_is_array(j) || json_is_object(j))) {
		size_t n = json_dumpb(j, NULL, 0, JSON_COMPACT);
		TRY(value_new(r, p, &v));
		ENSURE((int64_t)n <= p->most, ERR_LIMIT, "%s: %zu bytes; at most %" PRId64, p->name, n,
		       p->most);
		v->text = arena_alloc(a, n + 1);
		ENSURE(v->text, ERR_LIMIT, "%s: too large", p->name);
		json_dumpb(j, v->text, n, JSON_COMPACT);
		return OK;
	}
	bool textual = p->type != TYPE_NUMBER && p->type != TYPE_FLAG && p->type != TYPE_LIST &&
		       p->type != TYPE_JSON;
	ENSURE(textual && json_is_string(j), ERR_USAGE, "%s: %s was given; it is %s", p->name,
	       json_kind(j), p->type == TYPE_LIST ? "an array of words" : operation_type_help(p->type));
	s = arena_strndup(a, json_string_value(j), json_string_length(j));
	ENSURE(s, ERR_LIMIT, "%s: too long", p->name);
	return text_value(r, p, s, json_string_length(j));
}

static struct err read_members(struct request *r, json_t *body, struct arena *a)
{
	const char *name;
	json_t *j;
	ENSURE(json_is_object(body), ERR_USAGE, "body: %s was given; it is an object", json_kind(body));
	json_object_foreach(body, name, j) {
		const struct operation_param *p = operation_param_find(r->op, name, strlen(name));
		if (!p || p->in != IN_BODY)
			return unknown(r->op, IN_BODY, name, a);
		struct err e = json_value(r, p, j, a);
		if (p->type == TYPE_SECRET && json_is_string(j))
			secret_zero((char *)(uintptr_t)json_string_value(j), json_string_length(j));
		TRY(e);
	}
	return OK;
}

static struct err read_body(struct request *r, const char *content_type, const void *body, size_t n,
			    struct arena *a)
{
	const struct operation_param *p = NULL;
	bool wanted = false;
	if (n == 0)
		return OK;
	while ((p = operation_param_next(r->op, p)))
		wanted |= p->in == IN_BODY;
	if (!wanted && r->op->method == METHOD_POST && n == 2 && memcmp(body, "{}", 2) == 0)
		return OK;
	ENSURE(wanted, ERR_USAGE, "body: %s takes none", r->op->id);
	size_t type = content_type ? strcspn(content_type, "; \t") : 0;
	if (type != 16 || strncasecmp(content_type, "application/json", 16) != 0) {
		r->status = 415;
		return err_make(ERR_USAGE, "Content-Type: \"%.64s\"; application/json is right",
				content_type ? content_type : "");
	}
	r->status = n > REQUEST_BODY_MAX ? 413 : 400;
	TRY(request_guard(body, n));
	json_error_t why;
	json_t *parsed = json_loadb(body, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	ENSURE(parsed, ERR_USAGE, "body: line %d, column %d: %s", why.line, why.column, why.text);
	struct err e = read_members(r, parsed, a);
	json_decref(parsed);
	return e;
}

static struct err all_there(const struct request *r)
{
	const struct operation_param *p = NULL;
	while ((p = operation_param_next(r->op, p)))
		ENSURE(!p->required || request_value(r, p->name), ERR_USAGE,
		       "%s: missing in the %s; %s (%s)", p->name,
		       p->in == IN_BODY ? "body" : "query", p->help, operation_type_help(p->type));
	return OK;
}

struct err request_read(struct request *r, const char *content_type, const void *body, size_t n,
			struct arena *a)
{
	r->status = 400;
	TRY(read_path(r, a));
	TRY(read_query(r, a));
	TRY(read_body(r, content_type, body, n, a));
	return all_there(r);
}

const struct request_value *request_value(const struct request *r, const char *name)
{
	for (unsigned i = 0; i < r->n_values; i++)
		if (strcmp(r->values[i].param->name, name) == 0)
			return &r->values[i];
	return NULL;
}

void request_wipe(struct request *r)
{
	for (unsigned i = 0; i < r->n_values; i++)
		if (r->values[i].param->type == TYPE_SECRET && r->values[i].text)
			secret_zero(r->values[i].text, strlen(r->values[i].text));
}
