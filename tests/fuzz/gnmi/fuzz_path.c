// SPDX-License-Identifier: Apache-2.0
// Path text, taken as a path and as a pattern. Must hold: the canonical form is a fixed point,
// survives the wire, and a pattern made of it matches it.

#include "lib/gnmi/path.h"

#include <stdlib.h>
#include <string.h>

static void same(const char *a, const char *b)
{
	if (strcmp(a, b) != 0)
		abort();
}

static void accepted(const char *text, size_t n)
{
	char out[PATH_TEXT_MAX + 1];
	scoped(buf) struct buf wire = {0};
	struct path_pattern *p;
	if (path_canonical(text, out).code != ERR_NONE)
		abort();
	same(text, out);
	if (path_wire_of_text(text, NULL, &wire).code != ERR_NONE ||
	    path_text_of_wire(NULL, 0, wire.data, wire.len, out, NULL).code != ERR_NONE)
		abort();
	same(text, out);
	if (path_pattern_new(text, &p).code != ERR_NONE || !path_match(p, text, n) ||
	    !path_match_under(p, text, n) ||
	    !path_match_towards(p, "/", strstr(text, ":/") ? 0 : 1))
		if (!strstr(text, ":/"))
			abort();
	path_pattern_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char fixed[] = "/interfaces/interface[name=eth0]/state/counters/in-octets";
	struct path p;
	struct path_pattern *pattern;
	char out[PATH_TEXT_MAX + 1], wire_text[PATH_TEXT_MAX + 1];
	size_t len;
	err_ignore(path_text_of_wire(NULL, 0, data, n, wire_text, NULL)); // also as wire bytes
	if (path_parse((const char *)data, n, &p).code != ERR_NONE ||
	    path_print(&p, out, &len).code != ERR_NONE)
		return 0;
	accepted(out, len);
	if (path_pattern_new(out, &pattern).code == ERR_NONE) {
		path_match(pattern, fixed, sizeof fixed - 1);
		path_match_under(pattern, fixed, sizeof fixed - 1);
		path_match_towards(pattern, fixed, sizeof fixed - 1);
		path_pattern_free(pattern);
	}
	return 0;
}
