// SPDX-License-Identifier: Apache-2.0
// CRLs and PEM text, as a device receives them in a trust bundle.
#include "lib/crypto/x509.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err each(void *ctx, const uint8_t *der, size_t n)
{
	(*(size_t *)ctx)++;
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x509_trust *t = x509_trust_new();
	size_t blocks = 0;
	if (!t)
		abort();
	err_ignore(x509_trust_set_crl(t, data, size));
	struct err e = x509_from_pem((const char *)data, size, each, &blocks);
	if (e.code == ERR_NONE && blocks == 0)
		abort();
	x509_trust_free(t);
	return 0;
}
