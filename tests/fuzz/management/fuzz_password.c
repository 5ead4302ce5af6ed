// SPDX-License-Identifier: Apache-2.0
// Pass phrases of any bytes: judged within bounds, and never easier to guess than pieces allow.
#include "management/passwords.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	if (password_pieces(text, "marianne", "campus") > strlen(text))
		abort();
	if (password_acceptable(text, "marianne", "campus").code == ERR_NONE &&
	    strlen(text) < PASSWORD_LENGTH_MIN)
		abort();
	free(text);
	return 0;
}
