// SPDX-License-Identifier: Apache-2.0
// Revoked certificates: rows of "revoked" by serial until the certificate would have ended anyway,
// and the list that is made of them (RFC 5280 section 5): anew at each revocation, and each day.
#include "management/ca_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

static const char table[] = "revoked";
enum { REVOKED_MAX = 8192, CRL_DAYS = 7, AGAIN_S = 86400, RETRY_S = 30 };

void authority_revoke(struct management *m, const char *serial, const char *device,
		      int64_t until_ns)
{
	json_t *row = json_pack("{s:s,s:I,s:I}", "device", device, "time", (json_int_t)now_of(m),
				"until", (json_int_t)until_ns);
	keep_put_json(m->keep, table, serial, row);
	json_decref(row);
}

bool authority_revoked(const struct management *m, const char *serial)
{
	size_t n;
	return *serial && keep_get(m->keep, table, serial, &n) != NULL;
}

struct listing {
	struct management *m;
	struct x509_revoked *items;
	size_t n;
	bool over;
};

static struct err each(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct listing *l = ctx;
	json_t *row = json_loadb((const char *)bytes, n, 0, NULL);
	struct x509_revoked *r = &l->items[l->n];
	size_t len = strlen(key) / 2;
	if (json_integer_value(json_object_get(row, "until")) < now_of(l->m)) {
		keep_delete(l->m->keep, table, key); // its end has come by itself
		l->over = true;
	} else if (l->n < REVOKED_MAX && len <= sizeof r->serial &&
		   hash_unhex(key, r->serial, len)) {
		r->serial_len = len;
		r->time_ns = json_integer_value(json_object_get(row, "time"));
		l->n++;
	}
	json_decref(row);
	return OK;
}

static void send_crl(struct management *m)
{
	Ipc__CertIssued c = IPC__CERT_ISSUED__INIT;
	c.id = UINT64_MAX; // nobody's request
	c.root = (ProtobufCBinaryData){m->authority->root.len, m->authority->root.data};
	c.crl = (ProtobufCBinaryData){m->authority->crl.len, m->authority->crl.data};
	struct err e = process_send(m->p, PROCESS_TELEMETRY, IPC_CERT_ISSUED, &c.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("the list of revoked certificates cannot be sent: %s", e.text);
}

static void crl_signed(struct management *m, void *ctx, struct err e, const uint8_t *signature,
		       size_t n)
{
	struct authority *a = m->authority;
	scoped(buf) struct buf der = {.limit = 1 << 20};
	if (e.code == ERR_NONE)
		e = x509_assemble(a->crl_tbs.data, a->crl_tbs.len, signature, n, &der);
	if (e.code == ERR_NONE)
		e = x509_trust_set_crl(a->trust, der.data, der.len);
	buf_reset(&a->crl_tbs);
	if (e.code == ERR_NONE) {
		buf_reset(&a->crl);
		buf_append(&a->crl, der.data, der.len);
		send_crl(m);
	} else {
		log_warning("no list of revoked certificates yet: %s", e.text);
		a->crl_ns = now_of(m) - (AGAIN_S - RETRY_S) * NS_PER_S;
	}
	if (a->crl_again && a->ready)
		authority_crl_make(m);
}

void authority_crl_make(struct management *m)
{
	struct authority *a = m->authority;
	int64_t now = now_of(m);
	if (!a->ready || a->crl_tbs.len) {
		a->crl_again = true;
		return;
	}
	a->crl_again = false;
	struct listing l = {.m = m, .items = calloc(REVOKED_MAX + 1, sizeof *l.items)};
	if (!l.items)
		return;
	err_ignore(keep_scan(m->keep, table, each, &l));
	if (l.over)
		err_ignore(keep_commit_lazily(m->keep));
	a->crl_ns = now;
	a->crl_number = (uint64_t)(now / NS_PER_MS); // grows over restarts
	struct err e = x509_crl_prepare(a->issuing.data, a->issuing.len, l.items, l.n,
					a->crl_number, now - 300 * NS_PER_S,
					now + CRL_DAYS * 86400 * NS_PER_S, &a->crl_tbs);
	free(l.items);
	if (e.code != ERR_NONE) {
		log_error("the list of revoked certificates: %s", e.text);
		buf_reset(&a->crl_tbs);
		return;
	}
	signer_ask(m, IPC__KEY_PURPOSE__KEY_CERTIFICATE, a->crl_tbs.data, a->crl_tbs.len,
		   crl_signed, NULL);
}

const struct buf *authority_crl(const struct management *m)
{
	return &m->authority->crl;
}

void authority_tick(struct management *m)
{
	if (m->authority->ready && now_of(m) - m->authority->crl_ns > AGAIN_S * NS_PER_S)
		authority_crl_make(m);
}
