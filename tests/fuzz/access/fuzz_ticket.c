// SPDX-License-Identifier: Apache-2.0
// Tickets: as they are, where nothing is ever believed, and signed by the right key, so that the
// decoder itself is reached. What it accepts must encode to the same bytes.
#include "lib/access/access.h"
#include "lib/crypto/sign.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sign_key *signer(void)
{
	static struct sign_key *key;
	scoped(secret) struct secret *raw = key ? NULL : secret_new(32);
	if (!key && (!raw || sign_key_from_raw(SIGN_ED25519, raw, &key).code != ERR_NONE))
		abort();
	return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { NOW = 1000 };
	struct access_subject s;
	struct sign_signature signature;
	const uint8_t *public_key = sign_key_public(signer())->bytes;
	scoped(buf) struct buf b = {0}, again = {0};
	if (access_ticket_verify(data, size, public_key, NOW, &s).code == ERR_NONE)
		abort();
	buf_append(&b, data, size);
	if (sign_make(signer(), data, size, &signature).code != ERR_NONE)
		abort();
	buf_append(&b, signature.bytes, signature.len);
	if (access_ticket_verify(b.data, b.len, public_key, NOW, &s).code != ERR_NONE)
		return 0;
	access_ticket_encode(&s, &again);
	if (again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	return 0;
}
