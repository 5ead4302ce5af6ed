// SPDX-License-Identifier: Apache-2.0
// What collectors write with: list entry paths and typed leaves below them.

#include "agent/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void leaf_at(struct leaf_path *p, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(p->text, sizeof p->text, format, args);
	va_end(args);
	p->failed = n < 0 || (size_t)n >= sizeof p->text;
	p->len = p->failed ? 0 : (size_t)n;
}

const char *path_key(char out[PATH_KEY_TEXT], const char *value)
{
	size_t at = 0;
	for (const unsigned char *c = (const unsigned char *)value; *c && at + 5 < PATH_KEY_TEXT;
	     c++) {
		if (*c < 0x20 || *c >= 0x7f) {
			at += (size_t)snprintf(out + at, PATH_KEY_TEXT - at, "_x%02x", *c);
			continue;
		}
		if (*c == ']' || *c == '\\')
			out[at++] = '\\';
		out[at++] = (char)*c;
	}
	out[at] = 0;
	return out;
}

static void put(const struct leaf_writer *w, const char *name, const struct batch_value *v)
{
	struct leaf_path p;
	if (w->at->failed)
		return;
	leaf_at(&p, "%s/%s", w->at->text, name);
	if (!p.failed)
		tree_put(w->tree, p.text, v, w->time_ns, w->flags);
}

void leaf_text(const struct leaf_writer *w, const char *name, const char *text)
{
	if (!text)
		return;
	struct batch_value v = {.type = VALUE_STRING,
				.s = {(const uint8_t *)text, (uint32_t)strlen(text)}};
	put(w, name, &v);
}

void leaf_uint(const struct leaf_writer *w, const char *name, uint64_t u)
{
	put(w, name, &(struct batch_value){.type = VALUE_UINT, .u = u});
}

void leaf_int(const struct leaf_writer *w, const char *name, int64_t i)
{
	put(w, name, &(struct batch_value){.type = VALUE_INT, .i = i});
}

void leaf_bool(const struct leaf_writer *w, const char *name, bool b)
{
	put(w, name, &(struct batch_value){.type = VALUE_BOOL, .b = b});
}

void leaf_json(const struct leaf_writer *w, const char *name, const char *json)
{
	struct batch_value v = {.type = VALUE_JSON,
				.s = {(const uint8_t *)json, (uint32_t)strlen(json)}};
	put(w, name, &v);
}

void leaf_drop(const struct leaf_writer *w, const char *name)
{
	struct leaf_path p;
	if (w->at->failed)
		return;
	leaf_at(&p, "%s/%s", w->at->text, name);
	if (!p.failed)
		tree_delete(w->tree, p.text);
}
