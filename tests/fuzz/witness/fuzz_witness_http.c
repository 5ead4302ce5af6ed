// SPDX-License-Identifier: Apache-2.0
// Heads of requests: what is accepted has one reading.

#include "witness/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h;
	unsigned status = 0;
	size_t n = http_head_length(data, size);
	if (n > size || (n && memcmp(data + n - 4, "\r\n\r\n", 4) != 0))
		abort();
	if (n == 0)
		n = size; // never asked for, and must not break it
	if (!http_head_read(data, n, &h, &status)) {
		if (status < 400 || strcmp(http_reason(status), "Unknown") == 0)
			abort();
		return 0;
	}
	if (n < 18 || memcmp(data + n - 4, "\r\n\r\n", 4) != 0 || memchr(data, 0, n))
		abort();
	const char *bytes = (const char *)data;
	if (h.path < bytes || h.path + h.path_len > bytes + n || h.length > 999999999999999)
		abort();
	return 0;
}
