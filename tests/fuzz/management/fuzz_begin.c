// SPDX-License-Identifier: Apache-2.0
// BeginRequest of a stranger: names, request, endorsement certificate, attestation key. No maker is
// trusted, so whatever is sent, nobody joins.
#include "lib/gnmi/gemel.pb-c.h"
#include "management/evidence.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct x509_trust *nobody;
	struct evidence_begin b;
	if (!nobody && !(nobody = x509_trust_new()))
		abort();
	Gemel__Enrolment__V1__BeginRequest *q =
		gemel__enrolment__v1__begin_request__unpack(NULL, size, data);
	if (!q)
		return 0;
	struct verdict v = evidence_begin_names(q->body.data, q->body.len, &b);
	if (v.reason == REASON_NONE && x509_name_check(b.device).code != ERR_NONE)
		abort();
	if (evidence_token_proof("secret", q->body.data, q->body.len, q->token_proof.data,
				 q->token_proof.len))
		abort();
	v = evidence_begin_read(q->body.data, q->body.len, nobody, 1764000000000000000, &b);
	if (v.reason == REASON_NONE)
		abort();
	evidence_begin_clear(&b);
	gemel__enrolment__v1__begin_request__free_unpacked(q, NULL);
	return 0;
}
