// SPDX-License-Identifier: Apache-2.0
// Inside lib/tlog only: lines, UTF-8 and base64 (RFC 4648 section 4) in their one strict form.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

// The next line without its newline. false (sticky): none that ends.
bool text_line(struct cursor *c, const char **line, size_t *n);
// RFC 3629, and no byte below 0x20 but newline.
bool text_clean(const char *s, size_t n);
// A signed note's key name: UTF-8, not empty, neither Unicode spaces nor '+', nor controls.
bool text_name(const char *s, size_t n);
// Decimal without leading zeros, below 2^63.
bool text_decimal(const char *s, size_t n, uint64_t *out);

void text_base64_write(const void *bytes, size_t n, struct buf *out);
// The decoded length to *len, and the first `cap` of its bytes to `out`. false: not padded, unused
// bits set, or any other character.
bool text_base64_read(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len);
