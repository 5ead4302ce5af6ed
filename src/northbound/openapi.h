// SPDX-License-Identifier: Apache-2.0
// The OpenAPI 3.1 document, made from operations.def. Used by northbound.
#pragma once

#include "lib/base/err.h"

#include <jansson.h>

// A new reference. NULL: out of memory.
json_t *openapi_document(void);
