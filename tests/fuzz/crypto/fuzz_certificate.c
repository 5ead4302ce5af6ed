// SPDX-License-Identifier: Apache-2.0
// Identities in certificates, as any peer of TLS sends them; EK certificates too.
#include "lib/crypto/tpm_verify.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x509_identity who;
	if (x509_identify(data, size, &who).code == ERR_NONE) {
		if (who.device[0] && who.role[0])
			abort(); // one certificate speaks for one
		if (who.device[0] && x509_name_check(who.device).code != ERR_NONE)
			abort();
		if (who.role[0] && x509_name_check(who.role).code != ERR_NONE)
			abort();
	}
	struct tpm_ek ek;
	if (tpm_ek_read(data, size, &ek).code == ERR_NONE)
		tpm_ek_clear(&ek);
	return 0;
}
