// SPDX-License-Identifier: Apache-2.0
// A witness's HTTP answer, and the labels of figures.
#include "northbound/prometheus.h"
#include "northbound/witness.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned status;
	const uint8_t *body;
	size_t n;
	if (witness_answer_read(data, size, &status, &body, &n).code == ERR_NONE) {
		assert(status >= 100 && status <= 999);
		assert(body >= data && body + n <= data + size);
	}
	char *text = malloc(size + 1);
	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	prometheus_labels_good(text);
	prometheus_name_good(text);
	free(text);
	return 0;
}
