// SPDX-License-Identifier: Apache-2.0
// Encapsulation. The ciphertext is a function of the 32 bytes m, the public key and the policy:
// who recovers m makes it again, which is what the Fujisaki-Okamoto transform checks.

#include "lib/abe/abe_internal.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"

#include <stdlib.h>
#include <string.h>

static const char coin_tag[] = "GEMEL-ABE-V01-COIN-with-expander-SHA256-128";
enum { SPREAD_INDEX = 1u << 31 };

// --- coins

static void coin(const uint8_t m[static COIN_BYTES], const uint8_t context[static 32],
		 uint32_t index, blst_fr *out)
{
	uint8_t in[COIN_BYTES + 32 + 4], wide[WIDE_BYTES];
	memcpy(in, m, COIN_BYTES);
	memcpy(in + COIN_BYTES, context, 32);
	for (int i = 0; i < 4; i++)
		in[COIN_BYTES + 32 + i] = (uint8_t)(index >> (24 - 8 * i));
	blst_expand_message_xmd(wide, sizeof wide, in, sizeof in, (const byte *)coin_tag,
				sizeof coin_tag - 1);
	(void)scalar_reduce(wide, out); // zero, one in 2^255: seen in what is made of it
	secret_zero(in, sizeof in);
	secret_zero(wide, sizeof wide);
}

void abe_context(const struct abe_public *p, const struct policy *policy, uint8_t out[static 32])
{
	static const uint8_t suite[2] = {0, ABE_SUITE_FABEO};
	static const char label[] = "gemel abe context v1\n";
	const char *text = policy_text(policy);
	hash_parts((struct hash_part[]){{label, sizeof label - 1},
					{suite, sizeof suite},
					{p->hash, ABE_HASH},
					{text, strlen(text)}},
		   4, out);
}

struct err coins_make(const struct abe_public *p, const struct policy *policy,
		      const uint8_t m[static COIN_BYTES], struct coins *out)
{
	size_t columns = policy_columns(policy), repeat = policy_repeat(policy);
	out->memory = secret_new((columns + repeat + policy_rows(policy)) * sizeof(blst_fr));
	ENSURE(out->memory, ERR_LIMIT, "out of memory");
	out->v = (blst_fr *)(void *)secret_bytes(out->memory);
	out->spread = out->v + columns;
	out->share = out->spread + repeat;
	abe_context(p, policy, out->context);
	for (size_t i = 0; i < columns; i++)
		coin(m, out->context, (uint32_t)i, &out->v[i]);
	for (size_t j = 0; j < repeat; j++)
		coin(m, out->context, (uint32_t)SPREAD_INDEX + (uint32_t)j, &out->spread[j]);
	lsss_share(policy, out->v, out->share);
	return OK;
}

void coins_clear(struct coins *c)
{
	secret_free(c->memory);
	c->memory = NULL;
}

// --- derivations

void abe_mask(const blst_fp12 *d, const uint8_t context[static 32], uint8_t out[static COIN_BYTES])
{
	static const char salt[] = "gemel abe mask v1";
	uint8_t ikm[GT_BYTES + 32], prk[HASH_SIZE];
	gt_write(ikm, d);
	memcpy(ikm + GT_BYTES, context, 32);
	err_ignore(hash_hkdf_extract(salt, sizeof salt - 1, ikm, sizeof ikm, prk));
	err_ignore(hash_hkdf_expand(prk, sizeof prk, "mask", 4, out, COIN_BYTES));
	secret_zero(ikm, sizeof ikm);
	secret_zero(prk, sizeof prk);
}

struct err abe_shared(const uint8_t m[static COIN_BYTES], const uint8_t *ciphertext, size_t n,
		      uint8_t out[static ABE_SHARED])
{
	static const char salt[] = "gemel abe key v1";
	uint8_t ikm[COIN_BYTES + 32], prk[HASH_SIZE];
	memcpy(ikm, m, COIN_BYTES);
	hash_sha256(ciphertext, n, ikm + COIN_BYTES);
	struct err e = hash_hkdf_extract(salt, sizeof salt - 1, ikm, sizeof ikm, prk);
	if (e.code == ERR_NONE)
		e = hash_hkdf_expand(prk, sizeof prk, "key", 3, out, ABE_SHARED);
	secret_zero(ikm, sizeof ikm);
	secret_zero(prk, sizeof prk);
	return e;
}

// --- encapsulation

// ct3: all rows as points, then together to affine form (one inversion) and compressed.
static struct err write_rows(struct abe_public *p, const struct policy *policy,
			     const struct coins *coins, struct buf *out)
{
	size_t n = policy_rows(policy);
	struct secret *memory = secret_new(n * (sizeof(blst_p1) + sizeof(blst_p1_affine)));
	ENSURE(memory, ERR_LIMIT, "out of memory");
	blst_p1 *rows = (blst_p1 *)(void *)secret_bytes(memory), spread;
	blst_p1_affine *affine = (blst_p1_affine *)(void *)(rows + n);
	const blst_p1 *const from[2] = {rows, NULL};
	bool neutral = false;
	for (size_t i = 0; i < n; i++) {
		const blst_p1_affine *h = attribute_point_cached(p, policy_attribute(policy, i));
		base_mul_g1(&rows[i], BASE_BLIND, &coins->share[i]);
		g1_mul(&spread, h, &coins->spread[policy_occurrence(policy, i)]);
		blst_p1_add_or_double(&rows[i], &rows[i], &spread);
		neutral |= blst_p1_is_inf(&rows[i]);
	}
	secret_zero(&spread, sizeof spread);
	if (!neutral)
		blst_p1s_to_affine(affine, from, n);
	for (size_t i = 0; i < n && !neutral; i++) {
		uint8_t *at = buf_space(out, G1_BYTES);
		if (at)
			blst_p1_affine_compress(at, &affine[i]);
	}
	secret_free(memory);
	ENSURE(!neutral, ERR_INTERNAL, "encapsulation: a neutral element");
	return OK;
}

static struct err write_g2(const blst_fr *secret, struct buf *out)
{
	blst_p2 point;
	uint8_t *at = buf_space(out, G2_BYTES);
	base_mul_g2(&point, secret);
	bool neutral = blst_p2_is_inf(&point);
	if (at && !neutral)
		blst_p2_compress(at, &point);
	secret_zero(&point, sizeof point);
	ENSURE(!neutral, ERR_INTERNAL, "encapsulation: a neutral element");
	return OK;
}

static struct err write_ciphertext(struct abe_public *p, const struct policy *policy,
				   const struct coins *coins, const uint8_t m[static COIN_BYTES],
				   struct buf *out)
{
	const char *text = policy_text(policy);
	uint8_t c0[COIN_BYTES];
	blst_fp12 d;
	gt_pow(&d, &p->a, &coins->v[0]);
	abe_mask(&d, coins->context, c0);
	secret_zero(&d, sizeof d);
	for (size_t i = 0; i < COIN_BYTES; i++)
		c0[i] ^= m[i];
	abe_header(out, ABE_CIPHERTEXT);
	buf_be16(out, (uint16_t)strlen(text));
	buf_str(out, text);
	buf_append(out, c0, sizeof c0);
	TRY(write_g2(&coins->v[0], out));
	for (size_t j = 0; j < policy_repeat(policy); j++)
		TRY(write_g2(&coins->spread[j], out));
	TRY(write_rows(p, policy, coins, out));
	return buf_check(out, "ciphertext");
}

struct err abe_encapsulate_with(struct abe_public *p, const struct policy *policy,
				const uint8_t m[static COIN_BYTES], struct buf *out,
				uint8_t shared[static ABE_SHARED])
{
	struct coins coins;
	size_t before = out->len;
	TRY(coins_make(p, policy, m, &coins));
	struct err e = write_ciphertext(p, policy, &coins, m, out);
	coins_clear(&coins);
	TRY(e);
	return abe_shared(m, out->data + before, out->len - before, shared);
}

struct err abe_encapsulate(struct abe_public *p, const struct policy *policy, struct buf *out,
			   uint8_t shared[static ABE_SHARED])
{
	uint8_t m[COIN_BYTES];
	TRY(random_bytes(m, sizeof m));
	struct err e = abe_encapsulate_with(p, policy, m, out, shared);
	secret_zero(m, sizeof m);
	return e;
}

size_t abe_ciphertext_bytes(const struct policy *p)
{
	return ABE_HEADER + 2 + strlen(policy_text(p)) + COIN_BYTES +
	       G2_BYTES * (1 + policy_repeat(p)) + G1_BYTES * policy_rows(p);
}
