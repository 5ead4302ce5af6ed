// SPDX-License-Identifier: Apache-2.0
// Path text: parsing what people write, printing the one canonical form.

#include "lib/gnmi/path_internal.h"

#include "lib/gnmi/grpc_internal.h" // grpc_utf8_length

#include <string.h>

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == ':';
}

struct err path_check_name(const char *name, size_t n, bool wild, const char *what)
{
	ENSURE(n > 0, ERR_USAGE, "path: empty %s", what);
	ENSURE(n <= PATH_NAME_MAX, ERR_LIMIT, "path: %s of %zu bytes; at most %d", what, n,
	       PATH_NAME_MAX);
	if (wild && ((n == 1 && name[0] == '*') || (n == 3 && memcmp(name, "...", 3) == 0)))
		return OK;
	for (size_t i = 0; i < n; i++)
		ENSURE(name_char(name[i]), ERR_USAGE,
		       "path: byte 0x%02x in %s; letters, digits and _-.: are allowed",
		       (unsigned)(unsigned char)name[i], what);
	ENSURE(name[0] != '.' && name[0] != '-', ERR_USAGE,
	       "path: %s begins with '%c'; it must begin with a letter or _", what, name[0]);
	return OK;
}

struct err path_check_value(const char *value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ENSURE((unsigned char)value[i] >= 0x20 && value[i] != 0x7f, ERR_USAGE,
		       "path: control character 0x%02x in a key's value",
		       (unsigned)(unsigned char)value[i]);
	ENSURE(grpc_utf8_length((const uint8_t *)value, n) == n, ERR_USAGE,
	       "path: a key's value is not UTF-8");
	return OK;
}

static int key_compare(const struct path_key *a, const struct path_key *b)
{
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(a->name, b->name, n);
	return order ? order : (int)a->name_len - (int)b->name_len;
}

struct err path_sort_keys(struct path_key *key, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		struct path_key k = key[i];
		unsigned at = i;
		for (; at > 0 && key_compare(&key[at - 1], &k) > 0; at--)
			key[at] = key[at - 1];
		key[at] = k;
	}
	for (unsigned i = 1; i < n; i++)
		ENSURE(key_compare(&key[i - 1], &key[i]) != 0, ERR_USAGE,
		       "path: key %.*s stands twice in one element", (int)key[i].name_len,
		       key[i].name);
	return OK;
}

// --- parsing

struct text_cursor {
	const char *at, *end;
};

static struct err parse_key(struct text_cursor *c, struct path_key *k)
{
	const char *start = c->at; // after '['
	while (c->at < c->end && *c->at != '=' && *c->at != ']')
		c->at++;
	ENSURE(c->at < c->end && *c->at == '=', ERR_USAGE,
	       "path: key \"%.*s\" has no value; write [name=value]", (int)(c->at - start), start);
	k->name = start;
	TRY(path_check_name(start, (size_t)(c->at - start), false, "key name"));
	k->name_len = (uint16_t)(c->at - start);
	k->value = ++c->at;
	while (c->at < c->end && *c->at != ']') {
		if (*c->at == '\\') {
			c->at++;
			ENSURE(c->at < c->end && (*c->at == ']' || *c->at == '\\'), ERR_USAGE,
			       "path: \\ in a key's value; only \\] and \\\\ are allowed");
		}
		c->at++;
	}
	ENSURE(c->at < c->end, ERR_USAGE, "path: key %.*s is not closed by ]", (int)k->name_len,
	       k->name);
	k->value_len = (uint16_t)(c->at - k->value);
	c->at++;
	return path_check_value(k->value, k->value_len);
}

static struct err parse_elem(struct text_cursor *c, struct path_elem *e)
{
	e->name = c->at;
	e->keys = 0;
	while (c->at < c->end && *c->at != '/' && *c->at != '[')
		c->at++;
	TRY(path_check_name(e->name, (size_t)(c->at - e->name), true, "element name"));
	e->name_len = (uint16_t)(c->at - e->name);
	while (c->at < c->end && *c->at == '[') {
		ENSURE(e->keys < PATH_KEYS_MAX, ERR_LIMIT,
		       "path: more than %d keys in element %.*s", PATH_KEYS_MAX, (int)e->name_len,
		       e->name);
		c->at++;
		TRY(parse_key(c, &e->key[e->keys++]));
	}
	ENSURE(c->at == c->end || *c->at == '/', ERR_USAGE,
	       "path: '%c' after ]; '/' or another [name=value] must follow", *c->at);
	return path_sort_keys(e->key, e->keys);
}

static struct err parse_origin(struct text_cursor *c, struct path *out)
{
	out->origin = NULL;
	out->origin_len = 0;
	const char *colon = c->at;
	while (colon < c->end && *colon != ':' && *colon != '/')
		colon++;
	if (colon == c->at || colon == c->end || *colon != ':')
		return OK;
	size_t n = (size_t)(colon - c->at);
	TRY(path_check_name(c->at, n, false, "origin"));
	if (n != 10 || memcmp(c->at, "openconfig", n) != 0) {
		out->origin = c->at;
		out->origin_len = (uint16_t)n;
	}
	c->at = colon + 1;
	return OK;
}

struct err path_parse(const char *text, size_t n, struct path *out)
{
	struct text_cursor c = {text, text + n};
	ENSURE(n <= PATH_TEXT_MAX, ERR_LIMIT, "path: %zu bytes; at most %d", n, PATH_TEXT_MAX);
	TRY(parse_origin(&c, out));
	out->elems = 0;
	ENSURE(c.at < c.end && *c.at == '/', ERR_USAGE,
	       "path \"%.*s\": must begin with / (such as /interfaces/interface[name=eth0])",
	       (int)n, text);
	while (c.at < c.end) {
		c.at++; // the '/'
		if (c.at == c.end)
			break; // root, or a trailing slash
		ENSURE(out->elems < PATH_ELEMS_MAX, ERR_LIMIT, "path: more than %d elements",
		       PATH_ELEMS_MAX);
		TRY(parse_elem(&c, &out->elem[out->elems++]));
	}
	return OK;
}

// --- printing

void path_text_bytes(struct path_text *t, const char *bytes, size_t n)
{
	if (t->failed || n > PATH_TEXT_MAX - t->len) {
		t->failed = true;
		return;
	}
	if (n)
		memcpy(t->out + t->len, bytes, n);
	t->len += n;
}

void path_text_escaped(struct path_text *t, const char *value, size_t n)
{
	size_t from = 0;
	for (size_t i = 0; i < n; i++)
		if (value[i] == ']' || value[i] == '\\') {
			path_text_bytes(t, value + from, i - from);
			path_text_bytes(t, "\\", 1);
			from = i;
		}
	path_text_bytes(t, value + from, n - from);
}

struct err path_text_finish(struct path_text *t, size_t *len)
{
	if (t->elems == 0)
		path_text_bytes(t, "/", 1);
	t->out[t->len] = 0;
	if (len)
		*len = t->len;
	ENSURE(!t->failed, ERR_LIMIT, "path: longer than %d bytes", PATH_TEXT_MAX);
	return OK;
}

struct err path_print(const struct path *p, char out[PATH_TEXT_MAX + 1], size_t *len)
{
	struct path_text t = {.out = out, .elems = p->elems};
	if (p->origin) {
		path_text_bytes(&t, p->origin, p->origin_len);
		path_text_bytes(&t, ":", 1);
	}
	for (unsigned i = 0; i < p->elems; i++) {
		const struct path_elem *e = &p->elem[i];
		path_text_bytes(&t, "/", 1);
		path_text_bytes(&t, e->name, e->name_len);
		for (unsigned k = 0; k < e->keys; k++) {
			path_text_bytes(&t, "[", 1);
			path_text_bytes(&t, e->key[k].name, e->key[k].name_len);
			path_text_bytes(&t, "=", 1);
			path_text_bytes(&t, e->key[k].value,
					e->key[k].value_len); // escaped already
			path_text_bytes(&t, "]", 1);
		}
	}
	return path_text_finish(&t, len);
}

struct err path_canonical(const char *text, char out[PATH_TEXT_MAX + 1])
{
	struct path p;
	TRY(path_parse(text, strlen(text), &p));
	return path_print(&p, out, NULL);
}

size_t path_unescape(const char *value, size_t n, char *out)
{
	size_t o = 0;
	for (size_t i = 0; i < n; i++) {
		if (value[i] == '\\' && i + 1 < n)
			i++;
		out[o++] = value[i];
	}
	return o;
}

bool path_key_value(const struct path *p, const char *elem, const char *key, char *out, size_t size)
{
	for (unsigned i = 0; i < p->elems; i++) {
		const struct path_elem *e = &p->elem[i];
		if (e->name_len != strlen(elem) || memcmp(e->name, elem, e->name_len) != 0)
			continue;
		for (unsigned k = 0; k < e->keys; k++) {
			const struct path_key *key_at = &e->key[k];
			if (key_at->name_len != strlen(key) ||
			    memcmp(key_at->name, key, key_at->name_len) != 0 ||
			    key_at->value_len >= size)
				continue;
			out[path_unescape(key_at->value, key_at->value_len, out)] = 0;
			return true;
		}
	}
	return false;
}
