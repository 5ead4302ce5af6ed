// SPDX-License-Identifier: Apache-2.0
// Patterns over paths. `...` is matched as a shell's `*` over elements: on a mismatch go back to
// the last `...` and let it take one element more. At most elems(pattern) x elems(path) steps.

#include "lib/gnmi/path_internal.h"

#include <stdlib.h>
#include <string.h>

struct path_pattern {
	char text[PATH_TEXT_MAX + 1];
	struct path path; // views into text
};

struct err path_pattern_new(const char *text, struct path_pattern **out)
{
	struct path_pattern *p = malloc(sizeof *p);
	ENSURE(p, ERR_LIMIT, "pattern: out of memory");
	struct err e = path_canonical(text, p->text);
	if (e.code == ERR_NONE)
		e = path_parse(p->text, strlen(p->text), &p->path);
	if (e.code != ERR_NONE) {
		free(p);
		return e;
	}
	*out = p;
	return OK;
}

void path_pattern_free(struct path_pattern *p)
{
	free(p);
}

const char *path_pattern_text(const struct path_pattern *p)
{
	return p->text;
}

static bool same(const char *a, size_t n, const char *b, size_t m)
{
	return n == m && (n == 0 || memcmp(a, b, n) == 0);
}

static bool is_any(const struct path_elem *e)
{
	return e->name_len == 3 && memcmp(e->name, "...", 3) == 0;
}

// Each key that the pattern names must stand in the path; both lists are sorted.
static bool keys_match(const struct path_elem *want, const struct path_elem *have)
{
	unsigned at = 0;
	for (unsigned i = 0; i < want->keys; i++) {
		const struct path_key *k = &want->key[i];
		while (at < have->keys &&
		       !same(k->name, k->name_len, have->key[at].name, have->key[at].name_len))
			at++;
		if (at == have->keys)
			return false;
		if (!same(k->value, k->value_len, "*", 1) &&
		    !same(k->value, k->value_len, have->key[at].value, have->key[at].value_len))
			return false;
	}
	return true;
}

static bool elem_match(const struct path_elem *want, const struct path_elem *have)
{
	return (same(want->name, want->name_len, "*", 1) ||
		same(want->name, want->name_len, have->name, have->name_len)) &&
	       keys_match(want, have);
}

enum how { EXACT, UNDER, TOWARDS };

static bool match(const struct path *want, const struct path *have, enum how how)
{
	unsigned w = 0, h = 0, back_w = 0, back_h = 0;
	bool back = false;
	for (;;) {
		if (w == want->elems && (h == have->elems || how == UNDER))
			return true;
		if (h == have->elems && how == TOWARDS)
			return true;
		if (w < want->elems && is_any(&want->elem[w])) {
			back = true;
			back_w = ++w;
			back_h = h;
		} else if (w < want->elems && h < have->elems &&
			   elem_match(&want->elem[w], &have->elem[h])) {
			w++;
			h++;
		} else if (back && back_h < have->elems) {
			w = back_w;
			h = ++back_h;
		} else {
			return false;
		}
	}
}

static bool path_match_how(const struct path_pattern *p, const char *text, size_t n, enum how how)
{
	struct path have;
	struct err e = path_parse(text, n, &have);
	return e.code == ERR_NONE &&
	       same(p->path.origin, p->path.origin_len, have.origin, have.origin_len) &&
	       match(&p->path, &have, how);
}

bool path_match(const struct path_pattern *p, const char *path, size_t n)
{
	return path_match_how(p, path, n, EXACT);
}

bool path_match_under(const struct path_pattern *p, const char *path, size_t n)
{
	return path_match_how(p, path, n, UNDER);
}

bool path_match_towards(const struct path_pattern *p, const char *path, size_t n)
{
	return path_match_how(p, path, n, TOWARDS);
}
