// SPDX-License-Identifier: Apache-2.0
#include "lib/abe/payload.h"

#include "lib/base/cursor.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PREFIX = 7, CHUNK_SEALED = PAYLOAD_CHUNK + AEAD_TAG, HEAD_FIXED = ABE_HEADER + 4 };
static const uint8_t head_start[ABE_HEADER] = {'G', 'A', 'B', 'E', ABE_SEALED, 0, ABE_SUITE_FABEO};

struct stream {
	struct aead *aead;
	uint8_t prefix[PREFIX], head_hash[HASH_SIZE];
	uint64_t next;
	uint8_t *plain, *sealed; // PAYLOAD_CHUNK, CHUNK_SEALED + 1
};

static struct err cannot(void)
{
	return err_make(ERR_CORRUPT, "cannot decrypt");
}

// --- bytes in and out

// Reads n bytes or, at the end of the file, fewer.
static struct err read_up_to(struct payload_end in, uint8_t *to, size_t n, size_t *got)
{
	for (*got = 0; *got < n;) {
		ssize_t r = read(in.fd, to + *got, n - *got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_system("%s", in.name);
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return OK;
}

static struct err write_all(struct payload_end out, const uint8_t *from, size_t n)
{
	while (n && out.fd >= 0) {
		ssize_t w = write(out.fd, from, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_system("%s", out.name);
		from += w;
		n -= (size_t)w;
	}
	return OK;
}

// --- the stream of chunks

static struct err stream_begin(struct stream *s, const uint8_t shared[static ABE_SHARED],
			       const uint8_t *head, size_t n)
{
	static const char info[] = "gemel abe payload v1";
	uint8_t keys[AEAD_KEY + PREFIX];
	TRY(hash_hkdf_expand(shared, ABE_SHARED, info, sizeof info - 1, keys, sizeof keys));
	memcpy(s->prefix, keys + AEAD_KEY, PREFIX);
	hash_sha256(head, n, s->head_hash);
	struct err e = aead_new(keys, &s->aead);
	secret_zero(keys, sizeof keys);
	TRY(e);
	s->plain = malloc(PAYLOAD_CHUNK);
	s->sealed = malloc(CHUNK_SEALED + 1);
	ENSURE(s->plain && s->sealed, ERR_LIMIT, "out of memory");
	return OK;
}

static void stream_end(struct stream *s)
{
	aead_free(s->aead);
	if (s->plain)
		secret_zero(s->plain, PAYLOAD_CHUNK);
	free(s->plain);
	free(s->sealed);
}

static struct err nonce_next(struct stream *s, bool last, uint8_t nonce[AEAD_NONCE])
{
	ENSURE(s->next <= UINT32_MAX, ERR_LIMIT, "more than 2^32 chunks of %d bytes",
	       PAYLOAD_CHUNK);
	memcpy(nonce, s->prefix, PREFIX);
	for (int i = 0; i < 4; i++)
		nonce[PREFIX + i] = (uint8_t)(s->next >> (24 - 8 * i));
	nonce[AEAD_NONCE - 1] = last;
	s->next++;
	return OK;
}

// One byte is read ahead, so that the last chunk is known when it is sealed.
static struct err seal_all(struct stream *s, struct payload_end in, struct payload_end out)
{
	uint8_t nonce[AEAD_NONCE], ahead[1];
	size_t n, more = 0;
	TRY(read_up_to(in, s->plain, PAYLOAD_CHUNK, &n));
	for (bool last = false; !last;) {
		more = 0;
		if (n == PAYLOAD_CHUNK)
			TRY(read_up_to(in, ahead, 1, &more));
		last = more == 0;
		TRY(nonce_next(s, last, nonce));
		TRY(aead_seal(s->aead, nonce, s->head_hash, HASH_SIZE, s->plain, n, s->sealed));
		TRY(write_all(out, s->sealed, n + AEAD_TAG));
		if (!last) {
			s->plain[0] = ahead[0];
			TRY(read_up_to(in, s->plain + 1, PAYLOAD_CHUNK - 1, &n));
			n++;
		}
	}
	return OK;
}

static struct err open_all(struct stream *s, struct payload_end in, struct payload_end out)
{
	uint8_t nonce[AEAD_NONCE];
	size_t n, kept = 0;
	for (bool last = false, first = true; !last; first = false) {
		TRY(read_up_to(in, s->sealed + kept, CHUNK_SEALED + 1 - kept, &n));
		n += kept;
		last = n <= CHUNK_SEALED;
		kept = last ? 0 : 1;
		n -= kept;
		// an empty last chunk behind another is another encoding of the same payload
		if (n < AEAD_TAG || (n == AEAD_TAG && !first))
			return cannot();
		if (nonce_next(s, last, nonce).code != ERR_NONE ||
		    aead_open(s->aead, nonce, s->head_hash, HASH_SIZE, s->sealed, n, s->plain)
				    .code != ERR_NONE)
			return cannot();
		TRY(write_all(out, s->plain, n - AEAD_TAG));
		s->sealed[0] = s->sealed[CHUNK_SEALED];
	}
	return OK;
}

// --- whole files

struct err payload_seal(struct abe_public *p, const struct policy *policy, struct payload_end in,
			struct payload_end out)
{
	scoped(buf) struct buf head = {.limit = PAYLOAD_HEAD_MOST};
	uint8_t shared[ABE_SHARED];
	struct stream s = {0};
	buf_append(&head, head_start, sizeof head_start);
	buf_be32(&head, (uint32_t)abe_ciphertext_bytes(policy));
	TRY(abe_encapsulate(p, policy, &head, shared));
	struct err e = stream_begin(&s, shared, head.data, head.len);
	secret_zero(shared, sizeof shared);
	if (e.code == ERR_NONE)
		e = write_all(out, head.data, head.len);
	if (e.code == ERR_NONE)
		e = seal_all(&s, in, out);
	stream_end(&s);
	return e;
}

static bool head_read(struct cursor *c, uint32_t *length)
{
	const uint8_t *start = cursor_take(c, sizeof head_start);
	*length = cursor_be32(c);
	return start && !c->failed && memcmp(start, head_start, sizeof head_start) == 0 &&
	       *length <= ABE_CIPHERTEXT_MOST;
}

static struct err open_head(const struct abe_key *k, struct abe_public *p, struct payload_end in,
			    struct stream *s)
{
	scoped(heap) uint8_t *head = malloc(PAYLOAD_HEAD_MOST);
	ENSURE(head, ERR_LIMIT, "out of memory");
	struct cursor c = cursor_over(head, HEAD_FIXED);
	uint8_t shared[ABE_SHARED];
	uint32_t length;
	size_t n;
	TRY(read_up_to(in, head, HEAD_FIXED, &n));
	if (n != HEAD_FIXED || !head_read(&c, &length))
		return cannot();
	TRY(read_up_to(in, head + HEAD_FIXED, length, &n));
	if (n != length)
		return cannot();
	TRY(abe_decapsulate(k, p, head + HEAD_FIXED, n, shared));
	struct err e = stream_begin(s, shared, head, HEAD_FIXED + n);
	secret_zero(shared, sizeof shared);
	return e;
}

struct err payload_open(const struct abe_key *k, struct abe_public *p, struct payload_end in,
			struct payload_end out)
{
	struct stream s = {0};
	struct err e = open_head(k, p, in, &s);
	if (e.code == ERR_NONE)
		e = open_all(&s, in, out);
	stream_end(&s);
	return e;
}

struct err payload_about(const uint8_t *bytes, size_t n, struct payload_about *out)
{
	struct cursor c = cursor_over(bytes, n);
	uint32_t length;
	ENSURE(head_read(&c, &length), ERR_PEER, "not a sealed file");
	const uint8_t *ciphertext = cursor_take(&c, length);
	ENSURE(ciphertext, ERR_PEER, "sealed file: cut");
	TRY(abe_ciphertext_policy(ciphertext, length, &out->policy));
	out->suite = ABE_SUITE_FABEO;
	out->head = HEAD_FIXED + length;
	return OK;
}

bool payload_size(uint64_t n, uint64_t *plain)
{
	uint64_t chunks = (n + CHUNK_SEALED - 1) / CHUNK_SEALED;
	uint64_t last = chunks ? n - (chunks - 1) * CHUNK_SEALED : 0;
	*plain = chunks ? n - chunks * AEAD_TAG : 0;
	return last >= AEAD_TAG && (last > AEAD_TAG || chunks == 1);
}
