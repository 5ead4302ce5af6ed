// SPDX-License-Identifier: Apache-2.0
// Keys of attributes.

#include "lib/abe/abe_internal.h"

#include <stdlib.h>
#include <string.h>

static struct err key_new(size_t n, struct abe_key **out)
{
	struct secret *memory = secret_new(sizeof(struct abe_key) + n * sizeof(blst_p1_affine));
	ENSURE(memory, ERR_LIMIT, "out of memory");
	*out = (struct abe_key *)(void *)secret_bytes(memory);
	(*out)->memory = memory;
	return OK;
}

void abe_key_free(struct abe_key *k)
{
	if (!k)
		return;
	attributes_free(k->attributes);
	secret_free(k->memory);
}

const struct attributes *abe_key_attributes(const struct abe_key *k)
{
	return k->attributes;
}

const uint8_t *abe_key_public_hash(const struct abe_key *k)
{
	return k->public_hash;
}

// --- making

static struct err fill(struct abe_key *k, const struct abe_master *m, const blst_fr *r)
{
	size_t n = attributes_count(k->attributes);
	blst_p1 base, blind;
	blst_p2 first;
	struct secret *memory = secret_new((n + 1) * sizeof(blst_p1));
	ENSURE(memory, ERR_LIMIT, "out of memory");
	blst_p1 *points = (blst_p1 *)(void *)secret_bytes(memory);
	const blst_p1 *const from[2] = {points, NULL};
	memcpy(k->public_hash, m->public_hash, ABE_HASH);
	base_mul_g2(&first, r);
	blst_p2_to_affine(&k->sk1, &first);
	base_mul_g1(&base, BASE_G1, &m->alpha);
	base_mul_g1(&blind, BASE_BLIND, r);
	blst_p1_add_or_double(&base, &base, &blind);
	blst_p1_to_affine(&k->sk3, &base);
	bool neutral = blst_p1_is_inf(&base);
	for (size_t i = 0; i < n; i++) {
		blst_p1_affine h;
		attribute_point(attributes_at(k->attributes, i), &h);
		g1_mul(&points[i], &h, r);
		neutral |= blst_p1_is_inf(&points[i]);
	}
	if (!neutral)
		blst_p1s_to_affine(k->sk2, from, n);
	secret_zero(&base, sizeof base);
	secret_zero(&blind, sizeof blind);
	secret_zero(&first, sizeof first);
	secret_free(memory);
	ENSURE(!neutral, ERR_INTERNAL, "keygen: a neutral element");
	return OK;
}

struct err abe_keygen_with(const struct abe_master *m, const struct attributes *a, const blst_fr *r,
			   struct abe_key **out)
{
	struct abe_key *k = NULL;
	const char *text = attributes_text(a);
	TRY(key_new(attributes_count(a), &k));
	struct err e = attributes_read(text, strlen(text), &k->attributes);
	if (e.code == ERR_NONE)
		e = fill(k, m, r);
	if (e.code != ERR_NONE) {
		abe_key_free(k);
		return e;
	}
	*out = k;
	return OK;
}

struct err abe_keygen(const struct abe_master *m, const struct attributes *a, struct abe_key **out)
{
	blst_fr r;
	TRY(scalar_random(&r));
	struct err e = abe_keygen_with(m, a, &r, out);
	secret_zero(&r, sizeof r);
	return e;
}

// --- bytes

struct err abe_key_write(const struct abe_key *k, struct secret **out)
{
	scoped(buf) struct buf head = {.limit = ABE_KEY_MOST};
	const char *text = attributes_text(k->attributes);
	size_t n = attributes_count(k->attributes);
	abe_header(&head, ABE_KEY);
	buf_append(&head, k->public_hash, ABE_HASH);
	buf_be16(&head, (uint16_t)strlen(text));
	buf_str(&head, text);
	TRY(buf_check(&head, "key"));
	struct secret *s = secret_new(head.len + G2_BYTES + G1_BYTES * (n + 1));
	ENSURE(s, ERR_LIMIT, "out of memory");
	uint8_t *at = secret_bytes(s);
	memcpy(at, head.data, head.len);
	at += head.len;
	blst_p2_affine_compress(at, &k->sk1);
	at += G2_BYTES;
	blst_p1_affine_compress(at, &k->sk3);
	for (size_t i = 0; i < n; i++)
		blst_p1_affine_compress(at += G1_BYTES, &k->sk2[i]);
	*out = s;
	return OK;
}

static struct err read_points(struct abe_key *k, struct cursor *c)
{
	size_t n = attributes_count(k->attributes);
	const uint8_t *sk1 = cursor_take(c, G2_BYTES), *sk3 = cursor_take(c, G1_BYTES);
	const uint8_t *sk2 = cursor_take(c, G1_BYTES * n);
	TRY(cursor_finish(c, "key"));
	TRY(g2_read(sk1, &k->sk1));
	TRY(g1_read(sk3, &k->sk3));
	for (size_t i = 0; i < n; i++)
		TRY(g1_read(sk2 + G1_BYTES * i, &k->sk2[i]));
	return OK;
}

struct err abe_key_read(const uint8_t *bytes, size_t n, struct abe_key **out)
{
	struct cursor c = cursor_over(bytes, n);
	struct attributes *a;
	struct abe_key *k = NULL;
	TRY(abe_header_read(&c, ABE_KEY));
	const uint8_t *hash = cursor_take(&c, ABE_HASH);
	size_t len = cursor_be16(&c);
	const uint8_t *text = cursor_take(&c, len);
	ENSURE(!c.failed, ERR_PEER, "key: too short");
	TRY(attributes_read((const char *)text, len, &a));
	struct err e = key_new(attributes_count(a), &k);
	if (e.code != ERR_NONE) {
		attributes_free(a);
		return e;
	}
	k->attributes = a;
	memcpy(k->public_hash, hash, ABE_HASH);
	e = read_points(k, &c);
	if (e.code != ERR_NONE) {
		abe_key_free(k);
		return e;
	}
	*out = k;
	return OK;
}

// --- checking

// e(a, g2) == e(h, sk1), and times A where it is given; as e(-a, g2) e(h, sk1) [A] == 1.
static struct err holds(const blst_p1_affine *a, const blst_p1_affine *h, const blst_p2_affine *sk1,
			const blst_fp12 *factor, bool *out)
{
	struct pairing_term t[2] = {{*a, *blst_p2_affine_generator()}, {*h, *sk1}};
	blst_p1 negative;
	blst_fp12 product;
	blst_p1_from_affine(&negative, a);
	blst_p1_cneg(&negative, true);
	blst_p1_to_affine(&t[0].p, &negative);
	struct err e = pairing_product(t, 2, &product);
	if (e.code == ERR_NONE) {
		if (factor)
			blst_fp12_mul(&product, &product, factor);
		*out = blst_fp12_is_one(&product);
	}
	secret_zero(t, sizeof t);
	secret_zero(&negative, sizeof negative);
	return e;
}

struct err abe_key_check(const struct abe_key *k, struct abe_public *p)
{
	bool good;
	ENSURE(memcmp(k->public_hash, p->hash, ABE_HASH) == 0, ERR_AUTH,
	       "the key is for another public key");
	TRY(holds(&k->sk3, base_blind(), &k->sk1, &p->a, &good));
	ENSURE(good, ERR_AUTH, "the key was not made with this master key");
	for (size_t i = 0; i < attributes_count(k->attributes); i++) {
		const struct attribute *a = attributes_at(k->attributes, i);
		TRY(holds(&k->sk2[i], attribute_point_cached(p, a), &k->sk1, NULL, &good));
		ENSURE(good, ERR_AUTH, "%.200s: its part of the key is wrong", a->label);
	}
	return OK;
}
