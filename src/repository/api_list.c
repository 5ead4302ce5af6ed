// SPDX-License-Identifier: Apache-2.0
// Lists and values as JSON.
#include "repository/api.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

// --- lists

static struct err fields_read(struct listing *l, struct ask *q, const char *const *allowed)
{
	enum { MOST = sizeof l->fields / sizeof *l->fields };
	const char *text = answer_text(q->m, "fields");
	char *copy = text && *text ? arena_strdup(q->a, text) : NULL, *rest = NULL;
	for (char *word = copy ? strtok_r(copy, ",", &rest) : NULL; word;
	     word = strtok_r(NULL, ",", &rest)) {
		scoped(buf) struct buf names = {.limit = 1024};
		bool known = false;
		for (const char *const *a = allowed; *a; a++) {
			known |= !strcmp(*a, word);
			buf_printf(&names, "%s%s", a == allowed ? "" : ", ", *a);
		}
		ENSURE(known, ERR_USAGE, "fields: there is no \"%.32s\" here; %s", word,
		       buf_text(&names));
		ENSURE(l->n_fields < MOST, ERR_USAGE, "fields: at most %d", MOST);
		l->fields[l->n_fields++] = word;
	}
	return OK;
}

struct err listing_start(struct listing *l, struct ask *q, size_t limit, const char *const *allowed)
{
	int64_t wanted = answer_number(q->m, "limit", (int64_t)limit);
	*l = (struct listing){.filter = answer_text(q->m, "filter")};
	ENSURE(wanted >= 1 && wanted <= 100000, ERR_USAGE, "limit: 1 to 1000");
	l->limit = (size_t)wanted;
	TRY(fields_read(l, q, allowed));
	l->items = json_array();
	ENSURE(l->items, ERR_LIMIT, "no memory for the answer");
	return OK;
}

static bool contains(const json_t *item, const char *text)
{
	char *json = json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);
	bool found = json && strcasestr(json, text);
	free(json);
	return found;
}

void listing_add(struct listing *l, json_t *item)
{
	if (l->filter && *l->filter && !contains(item, l->filter)) {
		json_decref(item);
		return;
	}
	if (l->n_fields) {
		json_t *part = json_object();
		for (unsigned i = 0; i < l->n_fields; i++)
			json_object_set(part, l->fields[i], json_object_get(item, l->fields[i]));
		json_decref(item);
		item = part;
	}
	if (item && json_array_append_new(l->items, item) == 0)
		l->n++;
}

json_t *listing_body(struct listing *l, const char *next)
{
	json_t *items = l->items;
	l->items = NULL;
	return json_pack("{s:o, s:o}", "items", items, "next",
			 next && *next ? json_string(next) : json_null());
}

void listing_clear(struct listing *l)
{
	json_decref(l->items);
	l->items = NULL;
}

// --- values

static json_t *base64(const uint8_t *bytes, size_t n)
{
	char *text = malloc((n + 2) / 3 * 4 + 1);
	if (!text)
		return NULL;
	int len = EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
	json_t *j = json_stringn(text, (size_t)len);
	free(text);
	return j;
}

static json_t *text_json(const struct batch_value *v)
{
	const char *text = (const char *)v->s.bytes;
	json_t *j = json_stringn(text, v->s.len);
	return j ? j : base64(v->s.bytes, v->s.len); // not UTF-8
}

json_t *api_value(const struct batch_value *v)
{
	json_t *j;
	switch (v->type) {
	case VALUE_BOOL:
		return json_boolean(v->b);
	case VALUE_INT:
		return json_integer(v->i);
	case VALUE_UINT:
		return v->u <= INT64_MAX ? json_integer((json_int_t)v->u)
					 : json_sprintf("%llu", (unsigned long long)v->u);
	case VALUE_DOUBLE:
		return isfinite(v->d) ? json_real(v->d) : json_sprintf("%g", v->d);
	case VALUE_STRING:
		return text_json(v);
	case VALUE_BYTES:
		return base64(v->s.bytes, v->s.len);
	case VALUE_JSON:
		j = json_loadb((const char *)v->s.bytes, v->s.len, JSON_DECODE_ANY, NULL);
		return j ? j : text_json(v);
	default:
		return json_null();
	}
}
