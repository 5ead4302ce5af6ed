// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets of the policy engine share: a world to try what was accepted in.
#pragma once

#include "lib/cedar/cedar.h"

#include <stdlib.h>

static inline void must(struct err e)
{
	if (e.code)
		abort();
}

static inline const struct cedar_schema *fuzz_schema(void)
{
	static struct cedar_schema *schema;
	if (!schema)
		must(cedar_schema_parse(
			cedar_text(
				"type R = { x: Long, y?: { z?: Long } }; entity Group in Group;"
				"entity User in [Group] { n: Long, s: String, r?: R, set: "
				"Set<String>, "
				"at: datetime, ip?: ipaddr, boss?: User } tags Long;"
				"action read appliesTo { principal: [User, Group], resource: User, "
				"context: { q?: Bool, d?: decimal } };"),
			&schema));
	return schema;
}

// Validates the policies and decides a request with them: neither may fail but for a bound.
static inline void fuzz_use(const struct cedar_policies *p, const struct cedar_entities *entities)
{
	struct cedar_findings *f;
	struct cedar_engine *e;
	static struct cedar_answer *a;
	struct cedar_uid user = {cedar_text("User"), cedar_text("a")};
	struct cedar_request r = {user, {cedar_text("Action"), cedar_text("read")}, user, NULL};
	if (!a)
		must(cedar_answer_new(&a));
	struct err err = cedar_validate(fuzz_schema(), p, &f);
	if (err.code && err.code != ERR_LIMIT)
		abort();
	if (!err.code)
		cedar_findings_free(f);
	must(cedar_engine_new(p, entities, &e));
	must(cedar_decide(e, &r, a));
	for (size_t i = 0; i < cedar_answer_errors(a); i++)
		if (!cedar_answer_error_text(a, i)[0])
			abort();
	cedar_engine_free(e);
}
