// SPDX-License-Identifier: Apache-2.0
// Master, public and attribute keys: making, writing, reading, checking.

#include "lib/abe/abe_internal.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"

#include <stdlib.h>
#include <string.h>

static const char magic[4] = {'G', 'A', 'B', 'E'};
static const char attribute_tag[] = "GEMEL-ABE-V01-ATTRIBUTE-with-BLS12381G1_XMD:SHA-256_SSWU_RO_";

// --- headers

void abe_header(struct buf *out, enum abe_kind kind)
{
	buf_append(out, magic, sizeof magic);
	buf_u8(out, (uint8_t)kind);
	buf_be16(out, ABE_SUITE_FABEO);
}

struct err abe_header_read(struct cursor *c, enum abe_kind kind)
{
	const uint8_t *m = cursor_take(c, sizeof magic);
	unsigned k = cursor_u8(c), suite = cursor_be16(c);
	ENSURE(m && !c->failed && memcmp(m, magic, sizeof magic) == 0 && k == kind, ERR_PEER,
	       "not an object of this kind");
	ENSURE(suite == ABE_SUITE_FABEO, ERR_PEER, "suite %u is not known", suite);
	return OK;
}

enum abe_kind abe_kind_of(const uint8_t *bytes, size_t n, unsigned *suite)
{
	struct cursor c = cursor_over(bytes, n);
	const uint8_t *m = cursor_take(&c, sizeof magic);
	unsigned k = cursor_u8(&c);
	*suite = cursor_be16(&c);
	bool good = m && !c.failed && memcmp(m, magic, sizeof magic) == 0 && k >= ABE_PUBLIC &&
		    k <= ABE_SEALED && *suite >= 1 && *suite <= ABE_SUITE_LATEST;
	return good ? (enum abe_kind)k : 0;
}

// --- H_A

void attribute_point(const struct attribute *a, blst_p1_affine *out)
{
	g1_hash(a->id, a->len, attribute_tag, out);
}

const blst_p1_affine *attribute_point_cached(struct abe_public *p, const struct attribute *a)
{
	size_t home = ((size_t)a->hash[0] << 8 | a->hash[1]) % CACHE;
	struct cached *to = &p->cache[home];
	for (size_t i = 0; i < CACHE_PROBES; i++) {
		struct cached *c = &p->cache[(home + i) % CACHE];
		if (c->used && memcmp(c->hash, a->hash, sizeof c->hash) == 0)
			return &c->point;
		if (!c->used) {
			to = c;
			break;
		}
	}
	attribute_point(a, &to->point);
	memcpy(to->hash, a->hash, sizeof to->hash);
	to->used = true;
	return &to->point;
}

// --- public key

static struct err public_of(const blst_fp12 *a, struct abe_public **out)
{
	scoped(buf) struct buf bytes = {.limit = ABE_PUBLIC_BYTES + 1};
	struct abe_public *p = calloc(1, sizeof *p);
	ENSURE(p, ERR_LIMIT, "out of memory");
	p->a = *a;
	abe_header(&bytes, ABE_PUBLIC);
	uint8_t *gt = buf_space(&bytes, GT_BYTES);
	if (!gt) {
		free(p);
		return err_make(ERR_LIMIT, "out of memory");
	}
	gt_write(gt, a);
	memcpy(p->bytes, bytes.data, ABE_PUBLIC_BYTES);
	hash_sha256(p->bytes, ABE_PUBLIC_BYTES, p->hash);
	*out = p;
	return OK;
}

struct err abe_public_read(const uint8_t *bytes, size_t n, struct abe_public **out)
{
	struct cursor c = cursor_over(bytes, n);
	uint8_t gt[GT_BYTES];
	blst_fp12 a;
	TRY(abe_header_read(&c, ABE_PUBLIC));
	cursor_copy(&c, gt, sizeof gt);
	TRY(cursor_finish(&c, "public key"));
	TRY(gt_read(gt, &a));
	return public_of(&a, out);
}

const uint8_t *abe_public_bytes(const struct abe_public *p)
{
	return p->bytes;
}

const uint8_t *abe_public_hash(const struct abe_public *p)
{
	return p->hash;
}

void abe_public_free(struct abe_public *p)
{
	free(p);
}

// A = e(g1^α, g2)
struct err abe_master_public(const struct abe_master *m, struct abe_public **out)
{
	struct pairing_term t = {.q = *blst_p2_affine_generator()};
	blst_p1 p;
	blst_fp12 a;
	base_mul_g1(&p, BASE_G1, &m->alpha);
	blst_p1_to_affine(&t.p, &p);
	struct err e = pairing_product(&t, 1, &a);
	secret_zero(&p, sizeof p);
	secret_zero(&t, sizeof t);
	TRY(e);
	return public_of(&a, out);
}

// --- master key

static struct err master_new(struct abe_master **out)
{
	struct secret *memory = secret_new(sizeof(struct abe_master));
	ENSURE(memory, ERR_LIMIT, "out of memory");
	*out = (struct abe_master *)(void *)secret_bytes(memory);
	(*out)->memory = memory;
	return OK;
}

void abe_master_free(struct abe_master *m)
{
	if (m)
		secret_free(m->memory);
}

struct err abe_setup_with(const blst_fr *alpha, struct abe_master **out)
{
	struct abe_master *m = NULL;
	struct abe_public *p = NULL;
	TRY(master_new(&m));
	m->alpha = *alpha;
	struct err e = abe_master_public(m, &p);
	if (e.code != ERR_NONE) {
		abe_master_free(m);
		return e;
	}
	memcpy(m->public_hash, p->hash, ABE_HASH);
	abe_public_free(p);
	*out = m;
	return OK;
}

struct err abe_setup(struct abe_master **out)
{
	blst_fr alpha;
	TRY(scalar_random(&alpha));
	struct err e = abe_setup_with(&alpha, out);
	secret_zero(&alpha, sizeof alpha);
	return e;
}

struct err abe_master_write(const struct abe_master *m, struct secret **out)
{
	scoped(buf) struct buf head = {.limit = 64};
	abe_header(&head, ABE_MASTER);
	TRY(buf_check(&head, "master key"));
	struct secret *s = secret_new(ABE_MASTER_BYTES);
	ENSURE(s, ERR_LIMIT, "out of memory");
	uint8_t *at = secret_bytes(s);
	memcpy(at, head.data, ABE_HEADER);
	scalar_write(at + ABE_HEADER, &m->alpha);
	memcpy(at + ABE_HEADER + SCALAR_BYTES, m->public_hash, ABE_HASH);
	*out = s;
	return OK;
}

struct err abe_master_read(const uint8_t *bytes, size_t n, struct abe_master **out)
{
	struct cursor c = cursor_over(bytes, n);
	uint8_t hash[ABE_HASH];
	blst_fr alpha;
	TRY(abe_header_read(&c, ABE_MASTER));
	const uint8_t *scalar = cursor_take(&c, SCALAR_BYTES);
	cursor_copy(&c, hash, sizeof hash);
	TRY(cursor_finish(&c, "master key"));
	TRY(scalar_read(scalar, &alpha));
	struct err e = abe_setup_with(&alpha, out);
	secret_zero(&alpha, sizeof alpha);
	TRY(e);
	if (memcmp(hash, (*out)->public_hash, ABE_HASH) != 0) {
		abe_master_free(*out);
		return err_make(ERR_PEER, "master key: it is not the one of its public key");
	}
	return OK;
}
