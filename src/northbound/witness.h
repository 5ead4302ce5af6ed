// SPDX-License-Identifier: Apache-2.0
// The form of a witness's answer. Pure. Used by northbound.
#pragma once

#include "lib/base/cursor.h"

enum { WITNESS_ANSWER_MAX = 12 << 10 };

// A whole HTTP/1 answer, as read to its end. *body is a view. ERR_PEER.
MUST_USE struct err witness_answer_read(const uint8_t *bytes, size_t n, unsigned *status,
					const uint8_t **body, size_t *body_len);
