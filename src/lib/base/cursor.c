// SPDX-License-Identifier: Apache-2.0
#include "lib/base/cursor.h"

#include <string.h>

void cursor_copy(struct cursor *c, void *out, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	if (p && n)
		memcpy(out, p, n);
	else if (n)
		memset(out, 0, n);
}

struct err cursor_finish(const struct cursor *c, const char *what)
{
	ENSURE(!c->failed, ERR_PEER, "%s: cut short at byte %zu of %zu", what,
	       (size_t)(c->at - c->start), (size_t)(c->end - c->start));
	ENSURE(c->at == c->end, ERR_PEER, "%s: %zu bytes too many after byte %zu", what,
	       (size_t)(c->end - c->at), (size_t)(c->at - c->start));
	return OK;
}
