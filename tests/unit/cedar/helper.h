// SPDX-License-Identifier: Apache-2.0
// Short ways to say a test of the policy engine.
#pragma once

#include "lib/cedar/cedar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ok(e)                                                                                      \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code)                                                                       \
			fail_msg("%s", e_.text);                                                   \
	} while (0)

static inline struct cedar_uid uid(const char *type, const char *id)
{
	return (struct cedar_uid){cedar_text(type), cedar_text(id)};
}

static inline bool id_is(const struct cedar_policies *p, size_t i, const char *id)
{
	struct cedar_text t = cedar_policies_get(p, i).id;
	return t.n == strlen(id) && memcmp(t.s, id, t.n) == 0;
}

// The code of the error, whose text must begin with `begin` when that is not NULL.
static inline enum err_code refused(struct err e, const char *begin)
{
	if (e.code && begin && strncmp(e.text, begin, strlen(begin)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", e.text, begin);
	return e.code;
}

static inline enum err_code parse_refused(const char *policies, const char *begin)
{
	struct cedar_policies *p;
	struct err e = cedar_policies_parse(cedar_text(policies), NULL, &p);
	cedar_policies_free(p);
	return refused(e, begin);
}

// For User::"a", Action::"do" and Doc::"d".
static inline struct err decide_in(const char *policies, const char *entities, const char *context,
				   char out[64])
{
	struct cedar_policies *p = NULL;
	struct cedar_entities *s = NULL;
	struct cedar_context *c = NULL;
	struct cedar_engine *e = NULL;
	struct cedar_answer *a = NULL;
	struct err err;
	strcpy(out, "");
	TRY_OUT(err, cedar_policies_parse(cedar_text(policies), NULL, &p));
	TRY_OUT(err, cedar_entities_parse(cedar_text(entities), NULL, &s));
	TRY_OUT(err, cedar_context_parse(cedar_text(context), NULL, NULL, &c));
	TRY_OUT(err, cedar_engine_new(p, s, &e));
	TRY_OUT(err, cedar_answer_new(&a));
	struct cedar_request r = {uid("User", "a"), uid("Action", "do"), uid("Doc", "d"), c};
	TRY_OUT(err, cedar_decide(e, &r, a));
	int n = snprintf(out, 64, "%s", cedar_answer_allows(a) ? "allow" : "deny");
	for (size_t i = 0; i < cedar_answer_reasons(a) && n < 50; i++)
		n += snprintf(out + n, 64 - (size_t)n, " r%zu", cedar_answer_reason(a, i));
	for (size_t i = 0; i < cedar_answer_errors(a) && n < 50; i++)
		n += snprintf(out + n, 64 - (size_t)n, " e%zu", cedar_answer_error(a, i));
out:
	cedar_answer_free(a);
	cedar_engine_free(e);
	cedar_context_free(c);
	cedar_entities_free(s);
	cedar_policies_free(p);
	return err;
}
