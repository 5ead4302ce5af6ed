// SPDX-License-Identifier: Apache-2.0
// Prints the OpenAPI document, for check_openapi.py.
#include "northbound/openapi.h"

#include <stdio.h>

int main(void)
{
	json_t *j = openapi_document();
	int failed = !j || json_dumpf(j, stdout, JSON_INDENT(1)) != 0;
	json_decref(j);
	return failed;
}
