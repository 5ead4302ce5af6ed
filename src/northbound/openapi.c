// SPDX-License-Identifier: Apache-2.0
// The document is a walk over the table. Schemas of answers are coarse on purpose: they say what a
// client may rely on, and are closed nowhere, because an answer may gain members.
#include "northbound/openapi.h"

#include "northbound/operations.h"

#include <string.h>

struct answer_schema {
	const char *name, *media, *json;
};

#define STAMP                                                                                      \
	"\"as_of\":{\"type\":[\"string\",\"null\"],\"description\":\"RFC 3339: the newest fact in it\"}," \
	"\"age_ms\":{\"type\":[\"number\",\"null\"]},\"revision\":{\"type\":\"integer\"}"
#define ROWS "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}"

static const struct answer_schema schemas[] = {
	{"Object", "application/json", "{\"type\":\"object\"}"},
	{"List", "application/json",
	 "{\"type\":\"object\",\"properties\":{\"items\":" ROWS
	 ",\"next\":{\"type\":[\"string\",\"null\"],\"description\":\"cursor of the next part\"}}}"},
	{"Session", "application/json",
	 "{\"type\":\"object\",\"properties\":{\"token\":{\"type\":\"string\",\"description\":"
	 "\"API port only; the console gets a cookie\"},\"account\":{\"type\":\"string\"},"
	 "\"roles\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"},
	{"Topology", "application/json",
	 "{\"type\":\"object\",\"required\":[\"nodes\",\"links\",\"as_of\",\"age_ms\",\"revision\"],"
	 "\"properties\":{\"nodes\":" ROWS ",\"links\":" ROWS ",\"subnets\":" ROWS ",\"hosts\":" ROWS
	 "," STAMP "}}"},
	{"Trace", "application/json",
	 "{\"type\":\"object\",\"required\":[\"from\",\"to\",\"verdict\",\"hops\",\"paths\",\"as_of\","
	 "\"age_ms\",\"revision\"],\"properties\":{\"verdict\":{\"type\":\"string\"},\"why\":{\"type\":"
	 "[\"string\",\"null\"]},\"partial\":{\"type\":\"boolean\"},\"packet\":{\"type\":\"object\"},"
	 "\"hops\":" ROWS ",\"paths\":" ROWS "," STAMP "}}"},
	{"Checks", "application/json",
	 "{\"type\":\"object\",\"required\":[\"loops\",\"black_holes\",\"as_of\",\"age_ms\",\"revision\"],"
	 "\"properties\":{\"loops\":" ROWS ",\"black_holes\":" ROWS "," STAMP "}}"},
	{"DeviceState", "application/json",
	 "{\"type\":\"object\",\"required\":[\"id\",\"interfaces\",\"routes\",\"neighbours\",\"as_of\","
	 "\"age_ms\",\"revision\"],\"properties\":{\"id\":{\"type\":\"string\"},\"interfaces\":" ROWS
	 ",\"routes\":" ROWS ",\"neighbours\":" ROWS ",\"acls\":{\"type\":[\"array\",\"null\"]},\"lldp\":" ROWS
	 "," STAMP "}}"},
	{"Health", "application/json",
	 "{\"type\":\"object\",\"required\":[\"status\",\"away\"],\"properties\":{\"status\":{\"enum\":"
	 "[\"ok\",\"degraded\"]},\"away\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"},
	{"Text", "text/plain", "{\"type\":\"string\"}"},
	{"Bytes", "application/octet-stream", "{}"},
	{"Events", "text/event-stream", "{\"type\":\"string\"}"},
};

static const char problem_schema[] =
	"{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\"],\"properties\":{"
	"\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
	"\"detail\":{\"type\":\"string\"},\"fix\":{\"type\":[\"string\",\"null\"],\"description\":\"what to do"
	" next\"},\"decision\":{\"type\":[\"object\",\"null\"],\"description\":\"the policy that refused\"}}}";

static const char shared_parameters[] =
	"{\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"required\":false,\"description\":\"change it only"
	" if its ETag is still this\",\"schema\":{\"type\":\"string\",\"maxLength\":128}},"
	"\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"required\":false,\"description\":"
	"\"the same key again gives the same answer, and changes nothing twice\",\"schema\":{\"type\":"
	"\"string\",\"maxLength\":128}},"
	"\"XGemel\":{\"name\":\"X-Gemel\",\"in\":\"header\",\"required\":false,\"description\":\"must be 1 on"
	" changing calls to the console's port\",\"schema\":{\"const\":\"1\"}},"
	"\"LastEventId\":{\"name\":\"Last-Event-ID\",\"in\":\"header\",\"required\":false,\"description\":"
	"\"go on after this event\",\"schema\":{\"type\":\"string\"}}}";

static const char security_schemes[] =
	"{\"session\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"API port: the token of"
	" POST /v1/sessions\"},\"console\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"gemel_session\"}}";

static json_t *words(const char *allowed)
{
	json_t *array = json_array();
	while (allowed && *allowed) {
		size_t n = strcspn(allowed, "|");
		json_array_append_new(array, json_stringn(allowed, n));
		allowed += n + (allowed[n] == '|');
	}
	return array;
}

static json_t *text_schema(const struct operation_param *p)
{
	json_t *j = json_pack("{s:s,s:I,s:I}", "type", "string", "minLength", (json_int_t)p->least,
			      "maxLength", (json_int_t)p->most);
	if (p->type == TYPE_NAME)
		json_object_set_new(j, "pattern", json_string("^[A-Za-z0-9][A-Za-z0-9._-]*$"));
	if (p->type == TYPE_SECRET) {
		json_object_set_new(j, "format", json_string("password"));
		json_object_set_new(j, "writeOnly", json_true());
	}
	if (p->type == TYPE_TIME)
		json_object_set_new(j, "examples", json_pack("[s,s]", "2026-11-24T09:30:00Z", "-5m"));
	return j;
}

static json_t *param_schema(const struct operation_param *p)
{
	switch (p->type) {
	case TYPE_CHOICE:
		return json_pack("{s:s,s:o}", "type", "string", "enum", words(p->allowed));
	case TYPE_LIST:
		return json_pack("{s:s,s:I,s:I,s:{s:s,s:o*}}", "type", "array", "minItems",
				 (json_int_t)p->least, "maxItems", (json_int_t)p->most, "items",
				 "type", "string", "enum", p->allowed ? words(p->allowed) : NULL);
	case TYPE_JSON:
		return json_pack("{s:[s,s]}", "type", "array", "object");
	case TYPE_NUMBER:
		return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)p->least,
				 "maximum", (json_int_t)p->most);
	case TYPE_FLAG:
		return json_pack("{s:s}", "type", "boolean");
	default:
		return text_schema(p);
	}
}

static json_t *parameters(const struct operation *op)
{
	const struct operation_param *p = NULL;
	json_t *array = json_array();
	while ((p = operation_param_next(op, p))) {
		if (p->in == IN_BODY)
			continue;
		json_t *j = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", p->name, "in",
				      p->in == IN_PATH ? "path" : "query", "required", p->required,
				      "description", p->help, "schema", param_schema(p));
		if (p->type == TYPE_LIST)
			json_object_set_new(j, "explode", json_false());
		json_array_append_new(array, j);
	}
	const char *shared[] = {"IfMatch", "IdempotencyKey", "XGemel"};
	for (size_t i = 0; op->method != METHOD_GET && i < sizeof shared / sizeof *shared; i++)
		json_array_append_new(array, json_pack("{s:o}", "$ref",
						       json_sprintf("#/components/parameters/%s", shared[i])));
	if (strcmp(op->schema, "Events") == 0)
		json_array_append_new(array, json_pack("{s:s}", "$ref",
						       "#/components/parameters/LastEventId"));
	return array;
}

// NULL: the operation has no body.
static json_t *body(const struct operation *op)
{
	const struct operation_param *p = NULL;
	json_t *members = json_object(), *required = json_array();
	while ((p = operation_param_next(op, p))) {
		if (p->in != IN_BODY)
			continue;
		json_t *schema = param_schema(p);
		json_object_set_new(schema, "description", json_string(p->help));
		json_object_set_new(members, p->name, schema);
		if (p->required)
			json_array_append_new(required, json_string(p->name));
	}
	bool any = json_object_size(members) > 0, must = json_array_size(required) > 0;
	json_t *schema = json_pack("{s:s,s:o,s:o,s:b}", "type", "object", "properties", members,
				   "required", required, "additionalProperties", 0);
	json_t *j = json_pack("{s:b,s:{s:{s:o}}}", "required", must, "content", "application/json",
			      "schema", schema);
	if (any)
		return j;
	json_decref(j);
	return NULL;
}

static json_t *answers(const struct operation *op)
{
	const char *media = "application/json";
	for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
		if (strcmp(schemas[i].name, op->schema) == 0)
			media = schemas[i].media;
	return json_pack("{s:{s:s,s:{s:{s:{s:o}}}},s:{s:s}}", "2XX", "description", op->summary, "content",
			 media, "schema", "$ref", json_sprintf("#/components/schemas/%s", op->schema),
			 "default", "$ref", "#/components/responses/Problem");
}

static json_t *operation_json(const struct operation *op)
{
	static const char *const owners[PROCESS_COUNT] = {
		[PROCESS_REPOSITORY] = "repository", [PROCESS_MODELS] = "models",
		[PROCESS_MANAGEMENT] = "management", [PROCESS_NORTHBOUND] = "northbound",
	};
	const char *dot = strchr(op->id, '.');
	json_t *j = json_pack("{s:s,s:s,s:[o],s:o,s:o,s:{s:s,s:s,s:s}}", "operationId", op->id, "summary",
			      op->summary, "tags", json_stringn(op->id, (size_t)(dot - op->id)),
			      "parameters", parameters(op), "responses", answers(op), "x-gemel", "owner",
			      owners[op->owner], "action", op->action, "resource", op->kind);
	json_t *request = body(op);
	if (request)
		json_object_set_new(j, "requestBody", request);
	if (op->auth == AUTH_NONE)
		json_object_set_new(j, "security", json_array());
	return j;
}

static json_t *paths(void)
{
	json_t *all = json_object();
	for (unsigned i = 0; i < OPERATIONS; i++) {
		static const char *const methods[METHOD_COUNT] = {"get", "post", "patch", "delete"};
		char path[128];
		size_t n = 0;
		for (const char *c = operations[i].path; *c && n + 1 < sizeof path; c++) {
			if (strncmp(c, "...}", 4) == 0) // OpenAPI has no word for "the rest"
				c += 3;
			path[n++] = *c;
		}
		path[n] = 0;
		json_t *item = json_object_get(all, path);
		if (!item) {
			item = json_object();
			json_object_set_new(all, path, item);
		}
		json_object_set_new(item, methods[operations[i].method], operation_json(&operations[i]));
	}
	return all;
}

json_t *openapi_document(void)
{
	json_t *answer_schemas = json_object();
	for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
		json_object_set_new(answer_schemas, schemas[i].name, json_loads(schemas[i].json, 0, NULL));
	json_object_set_new(answer_schemas, "Problem", json_loads(problem_schema, 0, NULL));
	json_t *problem = json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", "Refused (RFC 9457)", "content",
				    "application/problem+json", "schema", "$ref",
				    "#/components/schemas/Problem");
	return json_pack("{s:s,s:{s:s,s:s,s:s,s:{s:s,s:s}},s:o,s:{s:o,s:{s:o},s:o,s:o},s:[{s:[]},{s:[]}]}",
			 "openapi", "3.1.0", "info", "title", "Gemel", "version", "1", "description",
			 "The live, secured twin of a network. `at` asks any read for the past.", "license",
			 "name", "Apache-2.0", "identifier", "Apache-2.0", "paths", paths(), "components",
			 "schemas", answer_schemas, "responses", "Problem", problem, "parameters",
			 json_loads(shared_parameters, 0, NULL), "securitySchemes",
			 json_loads(security_schemes, 0, NULL), "security", "session", "console");
}
