// SPDX-License-Identifier: Apache-2.0
// A test: a schema, policies, whether they validate, entities, and requests with the decision, the
// reasons and the errors that are expected. Each file is one object; see the format's own page.

#include "lib/cedar/check.h"

#include "lib/cedar/json.h"

#include <stdarg.h>
#include <stdio.h>

struct test {
	struct check_file *file;
	struct cedar_text text;
	const struct json *root;
	struct arena *tree;
	struct cedar_schema *schema;
	struct cedar_policies *policies;
	struct cedar_entities *entities, *loose; // loose: parsed without the schema
	struct cedar_engine *engine, *loose_engine;
	struct cedar_answer *answer;
};

__attribute__((format(printf, 2, 3))) static void disagree(struct test *t, const char *format, ...)
{
	va_list args;
	printf("%s: ", t->file->name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	t->file->disagreements++;
}

static struct err member(const struct json *j, const char *key, enum json_kind kind,
			 const struct json **out)
{
	*out = cedar_json_get(j, key);
	ENSURE(*out && (*out)->kind == kind, ERR_USAGE, "the member \"%s\" must be a %s", key,
	       json_kind_names[kind]);
	return OK;
}

// The text of a member as it stands in the file.
static struct cedar_text raw(const struct test *t, const struct json *j)
{
	size_t depth = 0, i = j->at;
	bool string = false;
	for (; i < t->text.n; i++) {
		char c = t->text.s[i];
		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (!string && (c == '{' || c == '['))
			depth++;
		else if (!string && (c == '}' || c == ']') && --depth == 0)
			break;
	}
	return (struct cedar_text){t->text.s + j->at, i + 1 - j->at};
}

static struct err read_uid(const struct json *j, struct cedar_uid *out)
{
	const struct json *inner = cedar_json_get(j, "__entity"), *type, *id;
	TRY(member(inner ? inner : j, "type", JSON_STRING, &type));
	TRY(member(inner ? inner : j, "id", JSON_STRING, &id));
	*out = (struct cedar_uid){type->s, id->s};
	return OK;
}

static bool flag(const struct json *j, const char *key, bool otherwise)
{
	const struct json *m = cedar_json_get(j, key);
	return m && m->kind == JSON_BOOL ? m->b : otherwise;
}

static struct err link(struct test *t, const struct json *j)
{
	const struct json *template_id, *new_id, *values;
	struct cedar_uid uid[2];
	TRY(member(j, "templateId", JSON_STRING, &template_id));
	TRY(member(j, "newId", JSON_STRING, &new_id));
	TRY(member(j, "values", JSON_OBJECT, &values));
	const struct json *p = cedar_json_get(values, "?principal");
	const struct json *r = cedar_json_get(values, "?resource");
	if (p)
		TRY(read_uid(p, &uid[0]));
	if (r)
		TRY(read_uid(r, &uid[1]));
	return cedar_policies_link(t->policies, template_id->s, new_id->s, p ? &uid[0] : NULL,
				   r ? &uid[1] : NULL);
}

static struct err load(struct test *t)
{
	const struct json *schema, *policies, *entities;
	TRY(member(t->root, "schema", JSON_STRING, &schema));
	TRY(member(t->root, "policies", JSON_STRING, &policies));
	TRY(member(t->root, "entities", JSON_ARRAY, &entities));
	struct cedar_policies_options options = {.id_from_annotation =
							 flag(t->root, "idFromAnnotation", false)};
	TRY(err_within(cedar_schema_parse(schema->s, &t->schema), "schema"));
	TRY(err_within(cedar_policies_parse(policies->s, &options, &t->policies), "policies"));
	const struct json *links = cedar_json_get(t->root, "templateLinks");
	for (uint32_t i = 0; links && links->kind == JSON_ARRAY && i < links->n; i++)
		TRY(link(t, &links->items[i]));
	bool any_loose = false, any_strict = false;
	const struct json *requests;
	TRY(member(t->root, "requests", JSON_ARRAY, &requests));
	for (uint32_t i = 0; i < requests->n; i++) {
		bool use = flag(&requests->items[i], "useSchema", true);
		any_loose = any_loose || !use;
		any_strict = any_strict || use;
	}
	if (any_strict || !requests->n)
		TRY(err_within(cedar_entities_parse(raw(t, entities), t->schema, &t->entities),
			       "entities"));
	if (any_loose)
		TRY(err_within(cedar_entities_parse(raw(t, entities), NULL, &t->loose),
			       "entities"));
	if (t->entities)
		TRY(cedar_engine_new(t->policies, t->entities, &t->engine));
	if (t->loose)
		TRY(cedar_engine_new(t->policies, t->loose, &t->loose_engine));
	return cedar_answer_new(&t->answer);
}

static struct err validate(struct test *t)
{
	const struct json *expected;
	struct cedar_findings *f;
	TRY(member(t->root, "shouldValidate", JSON_BOOL, &expected));
	TRY(cedar_validate(t->schema, t->policies, &f));
	bool passed = cedar_findings_passed(f);
	if (passed != expected->b && !cedar_json_get(t->root, "validationDiffers")) {
		disagree(t, "validates: expected %s", expected->b ? "yes" : "no");
		for (size_t i = 0; i < cedar_findings_count(f); i++) {
			struct cedar_finding one = cedar_findings_get(f, i);
			if (one.error)
				disagree(t, "  %.*s %u:%u: %s", TEXT_ARG(one.policy), one.line,
					 one.column, one.text);
		}
	}
	cedar_findings_free(f);
	return OK;
}

static bool listed(const struct json *ids, struct cedar_text id)
{
	for (uint32_t i = 0; i < ids->n; i++)
		if (ids->items[i].kind == JSON_STRING && text_equal(ids->items[i].s, id))
			return true;
	return false;
}

// Sets of ids: what is expected and what came, each of which has no duplicates.
static void compare(struct test *t, uint32_t number, const char *what, const struct json *expected,
		    size_t n, size_t (*get)(const struct cedar_answer *, size_t))
{
	size_t common = 0;
	for (size_t i = 0; i < n; i++) {
		struct cedar_text id = cedar_policies_get(t->policies, get(t->answer, i)).id;
		if (listed(expected, id))
			common++;
		else
			disagree(t, "request %u: %s: unexpected %.*s", number, what, TEXT_ARG(id));
	}
	if (common != expected->n)
		disagree(t, "request %u: %s: %u expected, %zu of them came", number, what,
			 expected->n, common);
}

static struct err decide(struct test *t, uint32_t number, const struct json *j,
			 const struct cedar_request *request, bool use_schema)
{
	const struct json *decision, *reason, *errors;
	TRY(member(j, "decision", JSON_STRING, &decision));
	TRY(member(j, "reason", JSON_ARRAY, &reason));
	TRY(member(j, "errors", JSON_ARRAY, &errors));
	if (use_schema && flag(j, "validateRequest", true)) {
		struct err e = cedar_request_check(t->schema, request);
		if (e.code)
			disagree(t, "request %u: does not validate: %s", number, e.text);
	}
	TRY(cedar_decide(use_schema ? t->engine : t->loose_engine, request, t->answer));
	if (cedar_answer_allows(t->answer) != text_is(decision->s, "allow"))
		disagree(t, "request %u: expected %.*s", number, TEXT_ARG(decision->s));
	compare(t, number, "reason", reason, cedar_answer_reasons(t->answer), cedar_answer_reason);
	compare(t, number, "errors", errors, cedar_answer_errors(t->answer), cedar_answer_error);
	return OK;
}

static struct err run_request(struct test *t, uint32_t number, const struct json *j)
{
	const struct json *principal, *action, *resource, *context;
	struct cedar_request request = {0};
	struct cedar_context *c;
	bool use_schema = flag(j, "useSchema", true);
	TRY(member(j, "principal", JSON_OBJECT, &principal));
	TRY(member(j, "action", JSON_OBJECT, &action));
	TRY(member(j, "resource", JSON_OBJECT, &resource));
	TRY(member(j, "context", JSON_OBJECT, &context));
	TRY(read_uid(principal, &request.principal));
	TRY(read_uid(action, &request.action));
	TRY(read_uid(resource, &request.resource));
	TRY(err_within(cedar_context_parse(raw(t, context), use_schema ? t->schema : NULL,
					   &request.action, &c),
		       "request %u: context", number));
	request.context = c;
	struct err e = decide(t, number, j, &request, use_schema);
	cedar_context_free(c);
	return e;
}

static struct err run(struct test *t)
{
	const struct json *format, *requests;
	TRY(cedar_json_parse(t->tree, t->text, &t->root));
	TRY(member(t->root, "format", JSON_STRING, &format));
	ENSURE(text_is(format->s, "cedar-conformance/1"), ERR_USAGE,
	       "the format is %.*s, not "
	       "cedar-conformance/1",
	       TEXT_ARG(format->s));
	TRY(load(t));
	TRY(validate(t));
	TRY(member(t->root, "requests", JSON_ARRAY, &requests));
	for (uint32_t i = 0; i < requests->n; i++)
		TRY(run_request(t, i, &requests->items[i]));
	return OK;
}

struct err check_run(struct check_file *f, struct cedar_text json)
{
	struct test t = {.file = f, .text = json, .tree = arena_new((size_t)1 << 30)};
	struct err e = t.tree ? run(&t) : cedar_no_memory();
	cedar_answer_free(t.answer);
	cedar_engine_free(t.engine);
	cedar_engine_free(t.loose_engine);
	cedar_entities_free(t.entities);
	cedar_entities_free(t.loose);
	cedar_policies_free(t.policies);
	cedar_schema_free(t.schema);
	arena_free(t.tree);
	return e;
}
