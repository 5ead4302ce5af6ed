// SPDX-License-Identifier: Apache-2.0
// Policy snapshots, signed by the right key so that the decoder is reached; what it accepts must
// decide without harm and always say why.
#include "lib/access/access.h"
#include "lib/crypto/sign.h"

#include <stdlib.h>

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
	struct access_policy *p = NULL;
	struct sign_signature signature;
	scoped(buf) struct buf b = {0};
	const uint8_t *public_key = sign_key_public(signer())->bytes;
	if (access_policy_load(data, size, public_key, &p).code == ERR_NONE)
		abort();
	if (sign_make(signer(), data, size, &signature).code != ERR_NONE)
		abort();
	buf_append(&b, data, size);
	buf_append(&b, signature.bytes, signature.len);
	if (access_policy_load(b.data, b.len, public_key, &p).code != ERR_NONE)
		return 0;
	struct access_subject who = {
		.account = "ann", .roles = {"viewer"}, .n_roles = 1, .until_ns = INT64_MAX};
	struct access_resource what = {.kind = "Dataset", .class = CLASS_INTERNAL};
	for (int action = ACTION_CREATE; action <= ACTION_APPROVE; action++) {
		struct access_decision d =
			access_decide(p, &who, (enum access_action)action, &what, 0);
		if (!d.policy[0] || !d.fact[0])
			abort();
	}
	access_policy_free(p);
	return 0;
}
