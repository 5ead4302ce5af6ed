// SPDX-License-Identifier: Apache-2.0
#include "northbound/problem.h"

#include <jansson.h>
#include <stdlib.h>

static const struct {
	unsigned status;
	const char *title;
} kinds[ERR_CODES] = {
	[ERR_NONE] = {500, "Failed"},
	[ERR_IO] = {500, "Failed"},
	[ERR_PEER] = {502, "A process behind gave no proper answer"},
	[ERR_AUTH] = {401, "Not logged in"},
	[ERR_DENIED] = {403, "Not permitted"},
	[ERR_CONFLICT] = {409, "It has changed in the meantime"},
	[ERR_NOT_FOUND] = {404, "Not found"},
	[ERR_CORRUPT] = {500, "Stored data is damaged"},
	[ERR_USAGE] = {400, "The request is not right"},
	[ERR_LIMIT] = {429, "Too much"},
	[ERR_BUSY] = {503, "Not ready"},
	[ERR_INTERNAL] = {500, "Failed"},
};

unsigned problem_json(struct err why, unsigned status, const char *fix, struct buf *out)
{
	if (!status)
		status = kinds[why.code].status;
	json_t *j = json_pack("{s:o,s:s,s:i,s:s,s:s*}", "type",
			      json_sprintf("urn:gemel:problem:%s", err_code_name(why.code)), "title",
			      kinds[why.code].title, "status", (int)status, "detail",
			      why.text ? why.text : "", "fix", fix);
	char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(j);
	// A detail that quotes foreign bytes may be cut within a character: then it goes without.
	buf_str(out, text ? text : "{\"type\":\"about:blank\",\"title\":\"The request is not right\"}");
	free(text);
	return status;
}
