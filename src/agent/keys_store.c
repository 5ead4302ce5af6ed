// SPDX-License-Identifier: Apache-2.0
// The TLS key and its chain are one file, so that they are replaced together or not at all.

#include "agent/keys_internal.h"

#include "lib/base/log.h"
#include "lib/crypto/sealedfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 10 };
static const char key_end[] = "-----END PRIVATE KEY-----\n";

// ERR_NOT_FOUND when there is none.
static struct err read_file(int folder, const char *name, struct secret **out, size_t *n)
{
	struct stat s;
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_make(ERR_NOT_FOUND, "%s: not there", name);
	if (fd < 0 || fstat(fd, &s) < 0)
		return err_system("%s", name);
	ENSURE(S_ISREG(s.st_mode) && s.st_size > 0 && s.st_size <= FILE_MAX, ERR_CORRUPT,
	       "%s: not a file of 1 to %d bytes", name, FILE_MAX);
	*out = secret_new((size_t)s.st_size + 1);
	ENSURE(*out, ERR_LIMIT, "out of memory");
	ssize_t got = read(fd, secret_bytes(*out), (size_t)s.st_size);
	*n = got > 0 ? (size_t)got : 0;
	return got == s.st_size ? OK : err_system("%s", name);
}

struct chain_walk {
	struct keys *keys;
	unsigned n;
};

static struct err on_certificate(void *ctx, const uint8_t *der, size_t len)
{
	struct chain_walk *w = ctx;
	ENSURE(w->n < KEYS_CHAIN_MAX, ERR_CORRUPT, "more than %d certificates", KEYS_CHAIN_MAX);
	return w->n++ == 0 ? x509_identify(der, len, &w->keys->self) : OK;
}

static struct err adopt(struct keys *k, const char *text, size_t n)
{
	const char *end = memmem(text, n, key_end, sizeof key_end - 1);
	ENSURE(end, ERR_CORRUPT, "identity.pem: has no private key (PKCS #8) at its start");
	size_t key_len = (size_t)(end - text) + sizeof key_end - 1;
	scoped(secret) struct secret *pem = secret_new(key_len);
	ENSURE(pem, ERR_LIMIT, "out of memory");
	memcpy(secret_bytes(pem), text, key_len);
	struct sign_key *key = NULL;
	TRY(sign_key_from_pem(pem, &key));
	sign_key_free(k->tls);
	k->tls = key;
	struct chain_walk w = {k, 0};
	TRY(x509_from_pem(text + key_len, n - key_len, on_certificate, &w));
	ENSURE(w.n > 0, ERR_CORRUPT, "identity.pem: has no certificate");
	uint8_t spki[32];
	const struct sign_public *p = sign_key_public(key); // P-256: the public form is the SPKI
	hash_sha256(p->bytes, p->len, spki);
	ENSURE(p->algorithm == SIGN_P256 && memcmp(spki, k->self.spki, 32) == 0, ERR_CORRUPT,
	       "identity.pem: the certificate is not for this key");
	ENSURE(strcmp(k->self.device, k->child->conf->device) == 0, ERR_CORRUPT,
	       "identity.pem: the certificate is for device \"%s\", and this is %s", k->self.device,
	       k->child->conf->device);
	buf_reset(&k->chain);
	buf_append(&k->chain, text + key_len, n - key_len);
	return buf_check(&k->chain, "identity.pem");
}

struct err keys_load(struct keys *k)
{
	scoped(secret) struct secret *identity = NULL;
	scoped(secret) struct secret *authority = NULL;
	size_t n = 0, m = 0;
	struct err e = read_file(k->folder, "identity.pem", &identity, &n);
	if (e.code == ERR_NOT_FOUND)
		return OK;
	TRY(e);
	TRY(read_file(k->folder, "authority.pem", &authority, &m));
	TRY(adopt(k, (const char *)secret_bytes(identity), n));
	buf_reset(&k->authority);
	buf_append(&k->authority, secret_bytes(authority), m);
	k->enrolled = true;
	log_notice("enrolled as %s, certificate %.16s", k->self.device, k->self.serial);
	return buf_check(&k->authority, "authority.pem");
}

// --- a new certificate

struct pinned { // looks for the authority whose key the token named
	const uint8_t *pin;
	struct buf *pem;
	bool found;
};

static struct err on_authority(void *ctx, const uint8_t *der, size_t len)
{
	struct pinned *p = ctx;
	struct x509_identity who;
	TRY(x509_identify(der, len, &who));
	if (!who.authority)
		return OK;
	p->found |= memcmp(who.spki, p->pin, 32) == 0;
	return x509_to_pem(X509_CERTIFICATE, der, len, p->pem);
}

// The trust bundle is PEM text of authorities. At enrolment the pinned one must be among them, or
// in the chain; at renewal the bundle came over a connection that was already trusted.
static struct err authorities(struct keys *k, struct cursor chain[], unsigned n,
			      struct cursor trust, struct buf *pem)
{
	static const uint8_t none[32];
	struct pinned p = {k->pin, pem, false};
	size_t len = cursor_left(&trust);
	if (len > 0)
		TRY(x509_from_pem((const char *)trust.at, len, on_authority, &p));
	for (unsigned i = 1; i < n && pem->len == 0; i++)
		TRY(on_authority(&p, chain[i].at, cursor_left(&chain[i])));
	if (pem->len == 0) // nothing new: the trust stays
		buf_append(pem, k->authority.data, k->authority.len);
	ENSURE(pem->len > 0, ERR_PEER, "the answer names no authority to trust");
	ENSURE(p.found || memcmp(k->pin, none, 32) == 0, ERR_AUTH,
	       "the authority that the token names is not in the trust bundle");
	return OK;
}

static struct err identity_text(struct keys *k, struct cursor chain[], unsigned n, struct buf *out)
{
	scoped(secret) struct secret *pem = NULL;
	TRY(sign_key_to_pem(k->pending, &pem));
	buf_append(out, secret_bytes(pem), secret_size(pem));
	while (out->len && out->data[out->len - 1] == 0)
		out->len--;
	for (unsigned i = 0; i < n; i++)
		TRY(x509_to_pem(X509_CERTIFICATE, chain[i].at, cursor_left(&chain[i]), out));
	return buf_check(out, "identity.pem");
}

struct err keys_save(struct keys *k, struct cursor *in)
{
	struct cursor chain[KEYS_CHAIN_MAX];
	unsigned n = cursor_u8(in);
	ENSURE(n > 0 && n <= KEYS_CHAIN_MAX, ERR_PEER, "a chain of %u certificates", n);
	for (unsigned i = 0; i < n; i++)
		chain[i] = link_get(in);
	struct cursor trust = link_get(in);
	TRY(cursor_finish(in, "ENROLLED"));
	ENSURE(k->pending, ERR_CONFLICT, "a certificate came that was not asked for");
	scoped(buf) struct buf text = {0};
	scoped(buf) struct buf pem = {0};
	TRY(authorities(k, chain, n, trust, &pem));
	struct err e = identity_text(k, chain, n, &text);
	if (e.code == ERR_NONE)
		e = adopt(k, (const char *)text.data, text.len);
	if (e.code == ERR_NONE)
		e = sealedfile_replace(k->folder, "authority.pem", pem.data, pem.len);
	if (e.code == ERR_NONE)
		e = sealedfile_replace(k->folder, "identity.pem", text.data, text.len);
	if (text.data)
		secret_zero(text.data, text.len);
	TRY(e);
	buf_reset(&k->authority);
	buf_append(&k->authority, pem.data, pem.len);
	sign_key_free(k->pending);
	k->pending = NULL;
	k->enrolled = true;
	secret_zero(k->pin, sizeof k->pin);
	return OK;
}

static struct err put_certificate(void *ctx, const uint8_t *der, size_t len)
{
	link_put(ctx, der, len);
	return OK;
}

struct err keys_identity_message(const struct keys *k, struct buf *out)
{
	buf_u8(out, k->enrolled);
	link_put_text(out, k->tpm_name);
	if (!k->enrolled)
		return OK;
	scoped(secret) struct secret *raw = NULL;
	TRY(sign_key_to_raw(k->tls, &raw));
	link_put(out, secret_bytes(raw), secret_size(raw));
	size_t count_at = out->len;
	buf_u8(out, 0);
	scoped(buf) struct buf chain = {0};
	TRY(x509_from_pem((const char *)k->chain.data, k->chain.len, put_certificate, &chain));
	unsigned n = 0;
	for (struct cursor c = cursor_over(chain.data, chain.len); cursor_left(&c); n++)
		link_get(&c);
	buf_append(out, chain.data, chain.len);
	link_put(out, k->authority.data, k->authority.len);
	// X.2011 8.2.1-1: renewed when a third of its life has passed.
	buf_be64(out, (uint64_t)(k->self.from_ns + (k->self.until_ns - k->self.from_ns) / 3));
	TRY(buf_check(out, "identity"));
	out->data[count_at] = (uint8_t)n;
	return OK;
}
