// SPDX-License-Identifier: Apache-2.0

#include "agent/rfc7951.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

// --- values

static void put_string(struct buf *out, const char *s, size_t n)
{
	buf_u8(out, '"');
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];
		if (c < 0x20 || c == 0x7f) {
			buf_printf(out, "\\u%04x", c);
			continue;
		}
		if (c == '"' || c == '\\')
			buf_u8(out, '\\');
		buf_u8(out, c);
	}
	buf_u8(out, '"');
}

static bool is_one_of(const char *name, size_t n, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == n && memcmp(*list, name, n) == 0)
			return true;
	return false;
}

// What fits in 32 bits in the models stays a number (RFC 7951 6.1); all others may be 64 bits wide.
static bool is_narrow(const char *path)
{
	static const char *const names[] = {"mtu",	   "ifindex",  "prefix-length", "metric",
					    "sequence-id", "priority", "instant",	NULL};
	const char *name = strrchr(path, '/');
	return name && is_one_of(name + 1, strlen(name + 1), names);
}

static void put_base64(struct buf *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	buf_u8(out, '"');
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)bytes[i] << 16 |
			     (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
			     (left > 2 ? bytes[i + 2] : 0);
		buf_u8(out, (uint8_t)digits[v >> 18]);
		buf_u8(out, (uint8_t)digits[v >> 12 & 63]);
		buf_u8(out, left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
		buf_u8(out, left > 2 ? (uint8_t)digits[v & 63] : '=');
	}
	buf_u8(out, '"');
}

void rfc7951_value(struct buf *out, const struct tree_leaf *leaf, bool ietf)
{
	const struct batch_value *v = &leaf->value;
	const char *quote = ietf && !is_narrow(leaf->path) ? "\"" : "";
	switch (v->type) {
	case VALUE_BOOL:
		buf_str(out, v->b ? "true" : "false");
		break;
	case VALUE_INT:
		buf_printf(out, "%s%" PRId64 "%s", quote, v->i, quote);
		break;
	case VALUE_UINT:
		buf_printf(out, "%s%" PRIu64 "%s", quote, v->u, quote);
		break;
	case VALUE_DOUBLE:
		buf_printf(out, isfinite(v->d) ? "%.17g" : "null", v->d);
		break;
	case VALUE_STRING:
		put_string(out, (const char *)v->s.bytes, v->s.len);
		break;
	case VALUE_BYTES:
		put_base64(out, v->s.bytes, v->s.len);
		break;
	case VALUE_JSON:
		buf_append(out, v->s.bytes, v->s.len);
		break;
	default:
		buf_str(out, "null");
	}
}

// --- names

struct walk {
	struct buf *out;
	bool ietf;
	unsigned base; // elements of the node's own path
	struct path now, before;
	bool any;
	bool has_member[PATH_ELEMS_MAX + 1]; // of the object that is open at this depth
};

static bool named(const struct path_elem *e, const char *name)
{
	return strlen(name) == e->name_len && memcmp(name, e->name, e->name_len) == 0;
}

// The module of element i. Groupings take the namespace of the module that uses them (RFC
// 7950 7.13).
static const char *module_of(const struct path *p, unsigned i)
{
	static const char *const roots[][2] = {
		{"interfaces", "openconfig-interfaces"},
		{"network-instances", "openconfig-network-instance"},
		{"acl", "openconfig-acl"},
		{"lldp", "openconfig-lldp"},
		{"system", "openconfig-system"},
		{"components", "openconfig-platform"},
	};
	// What we added to these models.
	static const char *const own[] = {
		"hook",	  "default-action", "priority",	  "modelled",	     "raw",
		"handle", "not-modelled",   "jump-chain", "kernel-overruns", "connection-state",
		NULL};
	const char *module = "gemel-agent";
	for (size_t r = 0; r < sizeof roots / sizeof *roots; r++)
		if (named(&p->elem[0], roots[r][0]))
			module = roots[r][1];
	bool interfaces = named(&p->elem[0], "interfaces");
	for (unsigned k = 1; k <= i; k++) {
		if (interfaces && named(&p->elem[k], "ethernet"))
			module = "openconfig-if-ethernet";
		else if (interfaces && (named(&p->elem[k], "ipv4") || named(&p->elem[k], "ipv6")))
			module = "openconfig-if-ip";
		else if (!interfaces && is_one_of(p->elem[k].name, p->elem[k].name_len, own))
			module = "gemel-agent";
	}
	return module;
}

static void member(struct walk *w, unsigned depth)
{
	if (w->has_member[depth])
		buf_u8(w->out, ',');
	w->has_member[depth] = true;
}

static void label(struct walk *w, unsigned i)
{
	const struct path_elem *e = &w->now.elem[i];
	member(w, i);
	buf_u8(w->out, '"');
	const char *module = module_of(&w->now, i);
	if (w->ietf && (i == w->base || strcmp(module, module_of(&w->now, i - 1)) != 0))
		buf_printf(w->out, "%s:", module);
	buf_append(w->out, e->name, e->name_len);
	buf_str(w->out, "\":");
}

// --- structure

static void open_entry(struct walk *w, unsigned i)
{
	const struct path_elem *e = &w->now.elem[i];
	buf_u8(w->out, '{');
	w->has_member[i + 1] = false;
	for (unsigned k = 0; k < e->keys; k++) {
		char value[PATH_TEXT_MAX + 1];
		size_t n = 0;
		for (uint16_t at = 0; at < e->key[k].value_len; at++) {
			at = (uint16_t)(at + (e->key[k].value[at] == '\\'));
			if (at < e->key[k].value_len)
				value[n++] = e->key[k].value[at];
		}
		member(w, i + 1);
		put_string(w->out, e->key[k].name, e->key[k].name_len);
		buf_u8(w->out, ':');
		// The one list key of the models that is a small number.
		if (named(e, "subinterface"))
			buf_append(w->out, value, n);
		else
			put_string(w->out, value, n);
	}
}

static void open_elem(struct walk *w, unsigned i)
{
	label(w, i);
	if (w->now.elem[i].keys)
		buf_u8(w->out, '[');
	open_entry(w, i);
}

static void close_elem(struct walk *w, unsigned i)
{
	buf_str(w->out, w->before.elem[i].keys ? "}]" : "}");
}

static bool same_elem(const struct path_elem *a, const struct path_elem *b, bool keys)
{
	if (a->name_len != b->name_len || memcmp(a->name, b->name, a->name_len) != 0 ||
	    a->keys != b->keys)
		return false;
	for (unsigned k = 0; keys && k < a->keys; k++)
		if (a->key[k].value_len != b->key[k].value_len ||
		    memcmp(a->key[k].value, b->key[k].value, a->key[k].value_len) != 0)
			return false;
	return true;
}

// Closes what the previous leaf left open and opens what this one needs.
static void descend(struct walk *w)
{
	unsigned last = w->now.elems - 1u, was = w->any ? w->before.elems - 1u : w->base,
		 d = w->base;
	while (d < last && d < was && same_elem(&w->now.elem[d], &w->before.elem[d], true))
		d++;
	for (unsigned i = was; i-- > d + 1;)
		close_elem(w, i);
	if (d < was) {
		bool next_entry = d < last && w->now.elem[d].keys &&
				  same_elem(&w->now.elem[d], &w->before.elem[d], false);
		if (next_entry) {
			buf_str(w->out, "},");
			open_entry(w, d++);
		} else {
			close_elem(w, d);
		}
	}
	for (; d < last; d++)
		open_elem(w, d);
}

static struct err put_leaf(struct walk *w, const struct tree_leaf *leaf)
{
	TRY(path_parse(leaf->path, leaf->path_len, &w->now));
	ENSURE(w->now.elems > w->base, ERR_INTERNAL, "%s: a leaf above its node", leaf->path);
	descend(w);
	label(w, w->now.elems - 1);
	rfc7951_value(w->out, leaf, w->ietf);
	w->before = w->now; // views into the leaf's path, which stays
	w->any = true;
	return OK;
}

struct err rfc7951_node(struct buf *out, const struct tree *t, const char *path, bool ietf)
{
	static struct walk w;
	struct tree_leaf *leaf = tree_first(t, path);
	ENSURE(leaf, ERR_NOT_FOUND, "%s: nothing is there", path);
	if (strcmp(leaf->path, path) == 0) {
		rfc7951_value(out, leaf, ietf);
		return buf_check(out, path);
	}
	w.out = out;
	w.ietf = ietf;
	w.any = false;
	TRY(path_parse(path, strlen(path), &w.now));
	w.base = w.now.elems;
	if (w.base) {
		open_entry(&w, w.base - 1);
	} else {
		buf_u8(out, '{');
		w.has_member[0] = false;
	}
	for (; leaf; leaf = tree_next(leaf, path))
		TRY(put_leaf(&w, leaf));
	for (unsigned i = w.before.elems - 1; i-- > w.base;)
		close_elem(&w, i);
	buf_u8(out, '}');
	return buf_check(out, path);
}

size_t rfc7951_cut(const char *path, unsigned elems)
{
	size_t at = 0;
	bool inside = false;
	unsigned n = 0;
	for (; path[at]; at++) {
		if (path[at] == '\\' && path[at + 1])
			at++;
		else if (path[at] == '[' || path[at] == ']')
			inside = path[at] == '[';
		else if (path[at] == '/' && !inside && n++ == elems)
			break;
	}
	return at;
}
