// SPDX-License-Identifier: Apache-2.0
// AttestRequest: quote, signature, PCR values, batch key. The attestation key is one whose private
// half nobody has, so nothing is ever good; the parsers behind the signature are reached on their
// own.
#include "lib/crypto/hash.h"
#include "lib/gnmi/gemel.pb-c.h"
#include "management/evidence.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tpm_ak *ak(void)
{
	static struct tpm_ak key;
	struct sign_key *made = NULL;
	if (key.key.len)
		return &key;
	if (sign_key_generate(SIGN_P256, &made).code != ERR_NONE)
		abort();
	key.key = *sign_key_public(made);
	sign_key_free(made);
	return &key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[HASH_SIZE];
	struct conf_reference reference = {(char *)(uintptr_t) "all", (char *)(uintptr_t) "00"};
	struct conf_items references = {&reference, 1};
	struct evidence_found found;
	struct evidence_want want = {.device = "r1",
				     .ak = ak(),
				     .nonce = bytes,
				     .tls = bytes,
				     .references = &references,
				     .now_ns = 1764000000000000000};
	struct sign_public public;
	struct tpm_attest attest;
	Gemel__Enrolment__V1__AttestRequest *q =
		gemel__enrolment__v1__attest_request__unpack(NULL, size, data);
	if (!q)
		return 0;
	if (evidence_appraise(&want, q->evidence, q->batch_key, &found).reason == REASON_NONE)
		abort();
	if (q->evidence)
		err_ignore(
			tpm_attest_read(q->evidence->quote.data, q->evidence->quote.len, &attest));
	Gemel__Enrolment__V1__BatchKey *key =
		q->batch_key
			? gemel__enrolment__v1__batch_key__unpack(NULL, q->batch_key->batch_key.len,
								  q->batch_key->batch_key.data)
			: NULL;
	if (key) {
		struct err e = evidence_public_read(key->algorithm, key->public_key.data,
						    key->public_key.len, &public);
		if (e.code == ERR_NONE && public.len != SIGN_ED25519_PUBLIC && public.len != 91)
			abort();
		gemel__enrolment__v1__batch_key__free_unpacked(key, NULL);
	}
	gemel__enrolment__v1__attest_request__free_unpacked(q, NULL);
	return 0;
}
