// SPDX-License-Identifier: Apache-2.0
// Small files sealed at rest (private keys): AES-256-GCM under a key, or under a pass phrase by
// Argon2id. Layout, integers big-endian; everything before the nonce's end is AAD:
//     "GEMELSF1"  u8 kind (1 key, 2 pass phrase)  u8 log2 KiB of memory  u8 passes  u8 zero
//     salt[16]  purpose[32] (SHA-256 of the purpose text)  u32 length of what follows the nonce
//     nonce[12]  ciphertext || tag
// The file key is HKDF-Expand(key, "gemel sealed file v1" || salt) or Argon2id(pass phrase, salt).
// A file is replaced whole: written beside, fsynced, renamed, the folder fsynced.
// Used by keys, agent, management, witness.
#pragma once

#include "lib/base/mem.h"

enum { SEALEDFILE_MAX = 1 << 20 }; // plaintext bytes

struct sealedfile_lock {		 // exactly one of the two is set
	const struct secret *key;	 // 32 bytes
	const struct secret *passphrase; // its bytes, without a NUL
};

// `purpose` says what the file is ("gemel keys v1"); another purpose does not open.
// `folder` is a directory descriptor, `name` a plain file name in it. Made with mode 0600.
MUST_USE struct err sealedfile_write(int folder, const char *name,
				     const struct sealedfile_lock *lock, const char *purpose,
				     const void *plain, size_t n);
// *out: secret_free. ERR_NOT_FOUND: no such file; ERR_CORRUPT: changed, or a wrong key.
MUST_USE struct err sealedfile_read(int folder, const char *name,
				    const struct sealedfile_lock *lock, const char *purpose,
				    struct secret **out);
// The same on bytes.
MUST_USE struct err sealedfile_encode(const struct sealedfile_lock *lock, const char *purpose,
				      const void *plain, size_t n, struct buf *out);
MUST_USE struct err sealedfile_decode(const struct sealedfile_lock *lock, const char *purpose,
				      const uint8_t *bytes, size_t n, struct secret **out);
// Atomic replacement of any small file, with the same care (no sealing).
MUST_USE struct err sealedfile_replace(int folder, const char *name, const void *bytes, size_t n);
