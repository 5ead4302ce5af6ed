// SPDX-License-Identifier: Apache-2.0
// gemel1.<device>.<token id>.<secret>.<SHA-256 of the authority's SPKI, hex>. A device's name may
// hold dots, so it is read from the right.

#include "agent/keys_internal.h"

#include <string.h>

void keys_token_clear(struct token *t)
{
	secret_free(t->secret);
	*t = (struct token){0};
}

static const char *last_dot(const char *text, size_t n)
{
	return memrchr(text, '.', n);
}

struct err keys_token_read(const char *text, const char *device, struct token *out)
{
	static const char form[] = "the token is not gemel1.DEVICE.ID.SECRET.HASH: copy the whole "
				   "line that `gemel device enrol` printed";
	*out = (struct token){0};
	ENSURE(strncmp(text, "gemel1.", 7) == 0, ERR_USAGE, "%s", form);
	const char *name = text + 7;
	const char *hash = last_dot(name, strlen(name));
	const char *secret = hash ? last_dot(name, (size_t)(hash - name)) : NULL;
	const char *id = secret ? last_dot(name, (size_t)(secret - name)) : NULL;
	ENSURE(id && hash_unhex(hash + 1, out->pin, 32), ERR_USAGE, "%s", form);
	size_t name_len = (size_t)(id - name), id_len = (size_t)(secret - id - 1);
	size_t secret_len = (size_t)(hash - secret - 1);
	ENSURE(id_len > 0 && id_len <= TOKEN_ID_MAX && secret_len >= 16, ERR_USAGE, "%s", form);
	ENSURE(strlen(device) == name_len && memcmp(name, device, name_len) == 0, ERR_USAGE,
	       "the token is for device %.*s, and this is %s: make one for this device",
	       (int)(name_len < 64 ? name_len : 64), name, device);
	memcpy(out->id, id + 1, id_len);
	out->secret = secret_new(secret_len);
	ENSURE(out->secret, ERR_LIMIT, "out of memory");
	memcpy(secret_bytes(out->secret), secret + 1, secret_len);
	return OK;
}
