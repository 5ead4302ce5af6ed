// SPDX-License-Identifier: Apache-2.0
// A request as northbound takes it from evhttp: "METHOD TARGET\nBODY". What is accepted must be
// within the table's bounds, and what is refused must say why.
#include "northbound/problem.h"
#include "northbound/request.h"
#include "northbound/sessions.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void value_holds(const struct request_value *v)
{
	const struct operation_param *p = v->param;
	if (p->type == TYPE_NUMBER) {
		assert(v->number >= p->least && v->number <= p->most);
	} else if (p->type != TYPE_FLAG) {
		assert(v->text);
		if (p->type != TYPE_LIST)
			assert((int64_t)strlen(v->text) <= p->most);
	}
}

static void ask(char *method, char *target, const char *body, size_t n, struct arena *a)
{
	struct request r;
	scoped(buf) struct buf problem = {0};
	struct err e = request_route(method, target, &r);
	if (e.code == ERR_NONE) {
		assert(r.op);
		e = request_read(&r, "application/json", body, n, a);
	}
	if (e.code != ERR_NONE) {
		assert(e.text && *e.text && r.status >= 400 && r.status < 600);
		problem_json(e, r.status, NULL, &problem);
		json_t *j = json_loadb(buf_text(&problem), problem.len, 0, NULL);
		assert(json_is_object(j)); // whatever was quoted, the refusal is JSON
		json_decref(j);
		return;
	}
	for (unsigned i = 0; i < r.n_values; i++)
		value_holds(&r.values[i]);
	request_wipe(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(4 << 20);
	char *head = malloc(size + 1);
	size_t n;
	if (!a || !head)
		abort();
	memcpy(head, data, size);
	head[size] = 0;
	char *line = strchr(head, '\n'), *space = strchr(head, ' ');
	if (line && space && space < line) {
		*line = *space = 0;
		ask(head, space + 1, line + 1, size - (size_t)(line + 1 - head), a);
	} else {
		session_cookie(head, &n);
		session_bearer(head, &n);
	}
	free(head);
	arena_free(a);
	return 0;
}
