// SPDX-License-Identifier: Apache-2.0
// Files of any size under a policy, in bounded memory: an encapsulated key (abe.h), then chunks of
// AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015).
//
//     "GABE" || u8 5 || u16 suite || u32 length || ciphertext object of that length || chunks
//     chunk i: AES-256-GCM(key, nonce = prefix[7] || u32 i || u8 last, AAD = SHA-256(all before the
//              chunks)) of 65,536 bytes, the last one of 1 to 65,536 (0 only if there is no other)
//     key[32] || prefix[7] = HKDF-Expand(encapsulated key, "gemel abe payload v1")
// The last chunk alone has last = 1: a stream that is cut, continued or re-ordered does not open.
// At most 2^32 chunks, 256 TiB. Used by gemel(1).
#pragma once

#include "lib/abe/abe.h"

enum { PAYLOAD_CHUNK = 65536 };

struct payload_end { // where bytes come from or go to: a descriptor and its name, for errors
	int fd;
	const char *name;
};

// Reads all of `in`. ERR_IO names the end that failed.
MUST_USE struct err payload_seal(struct abe_public *p, const struct policy *policy,
				 struct payload_end in, struct payload_end out);
// Writes each chunk as soon as it is known to be good: what was written counts only if all of it
// was (OK). out.fd -1: only checks. ERR_CORRUPT "cannot decrypt" whatever is wrong with the input.
MUST_USE struct err payload_open(const struct abe_key *k, struct abe_public *p,
				 struct payload_end in, struct payload_end out);

struct payload_about {
	unsigned suite;
	struct policy *policy; // policy_free
	size_t head;	       // bytes before the chunks
};
// The head of a sealed file, from its first bytes. ERR_PEER.
enum { PAYLOAD_HEAD_MOST = ABE_HEADER + 4 + ABE_CIPHERTEXT_MOST };
MUST_USE struct err payload_about(const uint8_t *bytes, size_t n, struct payload_about *out);
// Payload bytes in `n` bytes of chunks; false: no stream has that length.
bool payload_size(uint64_t n, uint64_t *plain);
