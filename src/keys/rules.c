// SPDX-License-Identifier: Apache-2.0
#include "keys/rules.h"

#include "lib/base/sabotage.h"

static const enum process_id owners[PURPOSES] = {
	[PURPOSE_CHECKPOINT] = PROCESS_REPOSITORY,  [PURPOSE_TICKET] = PROCESS_MANAGEMENT,
	[PURPOSE_CONTROL] = PROCESS_MANAGEMENT,	    [PURPOSE_VERDICT] = PROCESS_MODELS,
	[PURPOSE_CERTIFICATE] = PROCESS_MANAGEMENT, [PURPOSE_POLICY] = PROCESS_MANAGEMENT,
	[PURPOSE_BUNDLE] = PROCESS_MANAGEMENT,
};

struct err key_rules_sign(const struct key_store *s, enum process_id asker, unsigned purpose,
			  const uint8_t *bytes, size_t n, struct sign_signature *out)
{
	ENSURE(key_purpose_name(purpose), ERR_USAGE,
	       "there is no key for purpose %u; 1 to %d are known", purpose, PURPOSES - 1);
	ENSURE(owners[purpose] == asker || sabotaged("key-owner"), ERR_DENIED,
	       "the %s key signs for %s only; %s asked", key_purpose_name(purpose),
	       process_name(owners[purpose]), process_name(asker));
	ENSURE(n > 0, ERR_USAGE, "nothing to sign");
	return sign_make(s->keys[purpose], bytes, n, out);
}
