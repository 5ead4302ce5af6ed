// SPDX-License-Identifier: Apache-2.0
// Inside ca*.c only.
#pragma once

#include "management/management.h"

enum { CA_EARLY = 8, CA_CSR_MAX = 8192 };

struct early { // came before keys did
	enum process_id from;
	uint64_t id;
	char role[16];
	uint8_t csr[CA_CSR_MAX];
	size_t csr_len;
};

struct authority {
	bool ready;
	struct x509_trust *makers, *trust;
	struct buf root, issuing, bundle, crl;
	struct buf crl_tbs; // being signed; empty: none is
	bool crl_again;	    // something was revoked meanwhile
	int64_t crl_ns;	    // when the last one was made
	uint64_t crl_number;
	char pin[65], host[65];
	struct early early[CA_EARLY];
	unsigned n_early;
};
