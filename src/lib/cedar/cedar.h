// SPDX-License-Identifier: Apache-2.0
// The Cedar policy language 4.5 (docs.cedarpolicy.com): policies in text and JSON form, schemas in
// text and JSON form, strict validation, entities, requests, and the decision with its reasons and
// errors. X.2011 8.3.3-1, 8.3.3-4.
//
// Everything here is made from foreign text, bounded (below), and read-only once made, so that one
// engine may serve any number of threads, each with its own cedar_answer. A syntax error is
// ERR_USAGE and begins "line:column: "; a bound that was reached is ERR_LIMIT.
// An engine borrows its policies and entities, and a request its context: free them after it.
// Used by management (checks and signs policy sets) and by whoever owns a resource (decides).
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

struct cedar_schema;
struct cedar_policies;
struct cedar_entities;
struct cedar_context;
struct cedar_findings;
struct cedar_engine;
struct cedar_answer;

enum {
	CEDAR_SOURCE_MAX = 64 << 20,  // bytes of one policy, schema, entity or context text
	CEDAR_POLICIES_MAX = 200000,  // policies, templates and links of one set
	CEDAR_ENTITIES_MAX = 4000000, // entities of one store, named or only referred to
	CEDAR_NESTING_MAX = 200,      // brackets, ifs and JSON values inside each other
	CEDAR_DEPTH_MAX = 2000,	      // of an expression, as in a chain of +
};

struct cedar_text { // borrowed, UTF-8, not NUL-terminated
	const char *s;
	size_t n;
};
struct cedar_uid { // Type::"id"
	struct cedar_text type, id;
};
struct cedar_text cedar_text(const char *s); // over a C string

// Schemas. 8.3.3-1: what may be said of whom is declared before it is used.
MUST_USE struct err cedar_schema_parse(struct cedar_text source, struct cedar_schema **out);
MUST_USE struct err cedar_schema_parse_json(struct cedar_text source, struct cedar_schema **out);
void cedar_schema_free(struct cedar_schema *s);

// Policies. Ids are policy0, policy1 ... by position; with `id_from_annotation` those of them that
// have @id("x") are called x. A template is not a policy until it is linked.
struct cedar_policies_options {
	bool id_from_annotation;
};
// `options` may be NULL.
MUST_USE struct err cedar_policies_parse(struct cedar_text source,
					 const struct cedar_policies_options *options,
					 struct cedar_policies **out);
// {"staticPolicies": {ID: policy}, "templates": {ID: template}, "templateLinks": [{templateId,
// newId, values}]}, or one policy object, which is called policy0.
MUST_USE struct err cedar_policies_parse_json(struct cedar_text source,
					      struct cedar_policies **out);
// Fills the slots that the template has; the others must be NULL. Not after an engine was made.
MUST_USE struct err cedar_policies_link(struct cedar_policies *p, struct cedar_text template_id,
					struct cedar_text new_id, const struct cedar_uid *principal,
					const struct cedar_uid *resource);
void cedar_policies_free(struct cedar_policies *p);

struct cedar_policy_view { // borrowed from the set
	struct cedar_text id, source;
	struct cedar_text template_id; // empty when the policy is no link
	bool permit;
	unsigned line; // of the source text, from 1; 0 for the JSON form
};
size_t cedar_policies_count(const struct cedar_policies *p); // static policies and links
struct cedar_policy_view cedar_policies_get(const struct cedar_policies *p, size_t i);
// False when policy i has no annotation of that name.
bool cedar_policies_annotation(const struct cedar_policies *p, size_t i, const char *name,
			       struct cedar_text *out);

// Strict validation. The answer is OK whether or not there are findings; a set passes when no
// finding is an error. Bounded work: ERR_LIMIT when a set is too costly to check.
struct cedar_finding {
	struct cedar_text policy; // id of the policy, template or link
	const char *text;
	unsigned line, column; // 0 when unknown
	bool error;	       // else a warning
};
MUST_USE struct err cedar_validate(const struct cedar_schema *schema,
				   const struct cedar_policies *policies,
				   struct cedar_findings **out);
size_t cedar_findings_count(const struct cedar_findings *f);
struct cedar_finding cedar_findings_get(const struct cedar_findings *f, size_t i);
bool cedar_findings_passed(const struct cedar_findings *f);
void cedar_findings_free(struct cedar_findings *f);

// Entities: [{"uid", "attrs", "parents", "tags"}]. With a schema, references and extension values
// may be implicit, all is checked against it, and its actions are added. Parents are closed
// transitively; a cycle is an error.
MUST_USE struct err cedar_entities_parse(struct cedar_text json, const struct cedar_schema *schema,
					 struct cedar_entities **out);
size_t cedar_entities_count(const struct cedar_entities *e);
size_t cedar_entities_bytes(const struct cedar_entities *e); // memory held
void cedar_entities_free(struct cedar_entities *e);

// The context of a request. With a schema, it is read as `action` declares it.
MUST_USE struct err cedar_context_parse(struct cedar_text json, const struct cedar_schema *schema,
					const struct cedar_uid *action, struct cedar_context **out);
// Built in place of JSON: set, then use; setting a name again replaces it.
MUST_USE struct err cedar_context_new(struct cedar_context **out);
MUST_USE struct err cedar_context_bool(struct cedar_context *c, const char *name, bool v);
MUST_USE struct err cedar_context_long(struct cedar_context *c, const char *name, int64_t v);
MUST_USE struct err cedar_context_string(struct cedar_context *c, const char *name,
					 struct cedar_text v);
MUST_USE struct err cedar_context_strings(struct cedar_context *c, const char *name,
					  const struct cedar_text *v, size_t n); // a set
MUST_USE struct err cedar_context_entity(struct cedar_context *c, const char *name,
					 const struct cedar_uid *v);
MUST_USE struct err cedar_context_datetime(struct cedar_context *c, const char *name,
					   int64_t ms_since_1970);
void cedar_context_free(struct cedar_context *c);

struct cedar_request {
	struct cedar_uid principal, action, resource;
	const struct cedar_context *context; // NULL: {}
};
// ERR_USAGE when the schema does not allow such a request.
MUST_USE struct err cedar_request_check(const struct cedar_schema *schema,
					const struct cedar_request *r);

// Compiles and indexes. `entities` may be NULL: none.
MUST_USE struct err cedar_engine_new(const struct cedar_policies *policies,
				     const struct cedar_entities *entities,
				     struct cedar_engine **out);
void cedar_engine_free(struct cedar_engine *e);

// A room for answers, to be used again for each request of one thread.
MUST_USE struct err cedar_answer_new(struct cedar_answer **out);
void cedar_answer_free(struct cedar_answer *a);

// As published: a satisfied forbid denies; else a satisfied permit allows; else denied. A policy
// that errors is skipped and reported. An error from here is not a decision: deny.
MUST_USE struct err cedar_decide(const struct cedar_engine *e, const struct cedar_request *r,
				 struct cedar_answer *a);
bool cedar_answer_allows(const struct cedar_answer *a);
// The stricter rule: no, too, when a forbid could not be evaluated.
bool cedar_answer_allows_surely(const struct cedar_answer *a);
// The deciding policies, and those that erred: indices for cedar_policies_get, ascending.
size_t cedar_answer_reasons(const struct cedar_answer *a);
size_t cedar_answer_reason(const struct cedar_answer *a, size_t i);
size_t cedar_answer_errors(const struct cedar_answer *a);
size_t cedar_answer_error(const struct cedar_answer *a, size_t i);
const char *cedar_answer_error_text(const struct cedar_answer *a,
				    size_t i); // until the next decide
