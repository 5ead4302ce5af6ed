// SPDX-License-Identifier: Apache-2.0
// Ciphertext-policy attribute-based encryption (ITU-T X.2011 Annex A): FABEO (Riepel and Wee, ACM
// CCS 2022), keys and rows in G1 of BLS12-381, made secure against chosen ciphertexts by an
// explicit Fujisaki-Okamoto transform. A key encapsulation mechanism: abe_encapsulate makes a
// ciphertext and a 32-byte key that those and only those recover whose attributes the policy
// permits.
//
//     H_A: attribute identity -> G1, h_b in G1: RFC 9380 hash-to-curve under different tags.
//     Were they to meet, sk3 / sk2 would give the master key.
//     setup    α random; A = e(g1, g2)^α. Public key A; master key α.
//     keygen   r random, fresh for every issue: sk1 = g2^r; sk2[u] = H_A(u)^r; sk3 = g1^α h_b^r
//     encrypt  M, ρ of the policy (lsss.h); s1, v, s'[1..τ] from the coins; λ = M (s1, v)
//              ct1 = g2^s1; ct2[j] = g2^s'[j]; ct3[i] = h_b^λ[i] H_A(π(i))^s'[ρ(i)]; d = A^s1
//     decrypt  d = e(sk3, ct1) Π_j e(Π_{ρ(i)=j} sk2[π(i)]^γ[i], ct2[j]) / e(Π ct3[i]^γ[i], sk1)
// Each occurrence of an attribute has its own s': with one for all, a key for B would open
// (A OR B) AND (A OR C).
//
//     m random, 32 bytes; ctx = SHA-256("gemel abe context v1\n" || u16 suite || SHA-256(public
//     object) || canonical policy). Each scalar is expand_message_xmd(m || ctx || u32 index, 48
//     bytes) mod r: index = column for s1 and v, 2^31 + j for s'[j], j from 0.
//     c0 = m XOR HKDF(salt "gemel abe mask v1", ikm d || ctx, info "mask", 32 bytes)
//     K  = HKDF(salt "gemel abe key v1", ikm m || SHA-256(ciphertext object), info "key", 32 bytes)
// Who decapsulates makes every scalar again from m and checks every component, so that a changed
// ciphertext is never of use. Every failure is the same error.
//
// Objects, integers big-endian, points compressed (curve.h): "GABE" || u8 kind || u16 suite, then
//     1 public      A, 576 bytes
//     2 master      α, 32 bytes || SHA-256(public object)
//     3 key         SHA-256(public object) || u16 length, attribute list in canonical form
//                   || sk1 || sk3 || sk2 of each identity in the list's order
//     4 ciphertext  u16 length, canonical policy || c0 || ct1 || ct2[1..τ] || ct3 of each row
// and nothing behind. What is not said here (escrow, no sender, policies in clear) is in
// SECURITY.md. Not for two threads at once with one object. Used by gemel(1), the key centre, the
// DTMF, models.
#pragma once

#include "lib/abe/policy.h"

enum {
	ABE_SUITE_FABEO = 1,
	ABE_SUITE_LATEST = ABE_SUITE_FABEO,
	ABE_HEADER = 7,
	ABE_HASH = 32,
	ABE_SHARED = 32, // the key that is encapsulated
	ABE_PUBLIC_BYTES = ABE_HEADER + 576,
	ABE_MASTER_BYTES = ABE_HEADER + 32 + ABE_HASH,
	ABE_KEY_MOST =
		ABE_HEADER + ABE_HASH + 2 + ATTRIBUTE_LIST_MAX + 96 + 48 + 48 * ATTRIBUTES_MAX,
	ABE_CIPHERTEXT_MOST = ABE_HEADER + 2 + POLICY_TEXT_MAX + 32 + 96 + 96 * POLICY_REPEAT_MAX +
			      48 * POLICY_ROWS_MAX,
};

enum abe_kind { ABE_PUBLIC = 1, ABE_MASTER, ABE_KEY, ABE_CIPHERTEXT, ABE_SEALED };
// The header's kind, without a look at the rest; 0: not one of ours, or a suite that is not known.
enum abe_kind abe_kind_of(const uint8_t *bytes, size_t n, unsigned *suite);

struct abe_master; // α, in locked memory
MUST_USE struct err abe_setup(struct abe_master **out);
MUST_USE struct err abe_master_read(const uint8_t *bytes, size_t n, struct abe_master **out);
MUST_USE struct err abe_master_write(const struct abe_master *m,
				     struct secret **out); // secret_free
void abe_master_free(struct abe_master *m);		   // NULL is fine; zeroes

struct abe_public; // with a cache of the attributes hashed so far
MUST_USE struct err abe_master_public(const struct abe_master *m, struct abe_public **out);
MUST_USE struct err abe_public_read(const uint8_t *bytes, size_t n, struct abe_public **out);
const uint8_t *abe_public_bytes(const struct abe_public *p); // ABE_PUBLIC_BYTES
const uint8_t *abe_public_hash(const struct abe_public *p);  // ABE_HASH: names the key pair
void abe_public_free(struct abe_public *p);		     // NULL is fine

struct abe_key; // in locked memory
MUST_USE struct err abe_keygen(const struct abe_master *m, const struct attributes *a,
			       struct abe_key **out);
MUST_USE struct err abe_key_read(const uint8_t *bytes, size_t n, struct abe_key **out);
MUST_USE struct err abe_key_write(const struct abe_key *k, struct secret **out); // secret_free
const struct attributes *abe_key_attributes(const struct abe_key *k);
const uint8_t *abe_key_public_hash(const struct abe_key *k); // of the public key that it is for
void abe_key_free(struct abe_key *k);			     // NULL is fine; zeroes
// That the centre gave what it says: e(sk2[u], g2) = e(H_A(u), sk1) for every u, and
// e(sk3, g2) = A e(h_b, sk1). ERR_AUTH names the first that does not hold.
MUST_USE struct err abe_key_check(const struct abe_key *k, struct abe_public *p);

// Appends the ciphertext object to `out`.
MUST_USE struct err abe_encapsulate(struct abe_public *p, const struct policy *policy,
				    struct buf *out, uint8_t shared[static ABE_SHARED]);
// ERR_CORRUPT "cannot decrypt" whatever the cause; ERR_LIMIT when memory is out.
MUST_USE struct err abe_decapsulate(const struct abe_key *k, struct abe_public *p,
				    const uint8_t *ciphertext, size_t n,
				    uint8_t shared[static ABE_SHARED]);
// The policy of a ciphertext, without a check of its points. *out: policy_free. ERR_PEER.
MUST_USE struct err abe_ciphertext_policy(const uint8_t *ciphertext, size_t n, struct policy **out);
size_t abe_ciphertext_bytes(const struct policy *p);
