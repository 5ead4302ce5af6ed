// SPDX-License-Identifier: Apache-2.0
// What ended a TLS connection, for the person who must act. Three sources, in this order: our own
// check of the peer's certificate, the alert that the peer sent (RFC 8446 section 6.2: what it
// holds against *us*), and OpenSSL's reason.

#include "lib/crypto/internal.h"
#include "lib/crypto/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

static const struct {
	int reason;
	enum err_code code;
	const char *words;
} table[] = {
	// alerts: the other side refused us
	{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, ERR_AUTH,
	 "it demands a certificate and we gave none"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, ERR_AUTH,
	 "it says that our certificate has expired: renew it, or check the clocks"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, ERR_AUTH,
	 "it says that our certificate is revoked"},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA, ERR_AUTH,
	 "it does not trust the authority of our certificate"},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, ERR_AUTH,
	 "it refuses our certificate (not for this name, or not yet valid)"},
	{SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, ERR_AUTH,
	 "it refuses our certificate: not made for this use"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, ERR_AUTH, "it refuses our certificate"},
	{SSL_R_TLSV1_ALERT_ACCESS_DENIED, ERR_AUTH, "it denies us access"},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, ERR_PEER, "it does not speak TLS 1.3"},
	{SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, ERR_PEER,
	 "it speaks none of our application protocols (ALPN)"},
	{SSL_R_TLSV1_ALERT_DECRYPT_ERROR, ERR_PEER, "it could not verify our handshake"},
	{SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, ERR_PEER, "it received altered bytes"},
	{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, ERR_PEER, "it found no common parameters"},
	// what we saw
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, ERR_AUTH,
	 "it gave no certificate; one is required here"},
	{SSL_R_UNSUPPORTED_PROTOCOL, ERR_PEER, "it does not speak TLS 1.3"},
	{SSL_R_WRONG_VERSION_NUMBER, ERR_PEER, "it does not speak TLS (is it plain text?)"},
	{SSL_R_HTTP_REQUEST, ERR_PEER, "it speaks plain HTTP; this port is TLS"},
	{SSL_R_NO_APPLICATION_PROTOCOL, ERR_PEER,
	 "it speaks none of our application protocols (ALPN)"},
	{SSL_R_CALLBACK_FAILED, ERR_PEER, "it offers no application protocol (ALPN)"},
	{SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, ERR_PEER, "bytes were altered on the way"},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING, ERR_IO, "it went away in the middle"},
};

static struct err from_reason(unsigned long queued, const char *what)
{
	int reason = ERR_GET_REASON(queued);
	if (ERR_GET_LIB(queued) == ERR_LIB_SSL)
		for (size_t i = 0; i < sizeof table / sizeof *table; i++)
			if (table[i].reason == reason)
				return err_make(table[i].code, "%s: %s", what, table[i].words);
	const char *text = ERR_reason_error_string(queued);
	return err_make(ERR_PEER, "%s: TLS failed (%s)", what, text ? text : "no reason given");
}

struct err tls_error(const struct ssl_st *ssl, int ssl_result, const char *what)
{
	int saved = errno;
	int kind = SSL_get_error(ssl, ssl_result);
	unsigned long queued = ERR_peek_error(); // the first: later ones are consequences
	const struct tls_connection *k = tls_connection_of(ssl);
	struct err e;
	if (k && k->words[0])
		e = err_make(ERR_AUTH, "%s: %s", what, k->words);
	else if (kind == SSL_ERROR_ZERO_RETURN)
		e = err_make(ERR_IO, "%s: closed the connection", what);
	else if (kind == SSL_ERROR_SYSCALL && !queued)
		e = err_make(ERR_IO, "%s: the connection was lost: %s", what,
			     saved ? strerror(saved) : "end of stream");
	else if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
		e = err_make(ERR_BUSY, "%s: TLS waits for the network", what);
	else
		e = from_reason(queued, what);
	ERR_clear_error();
	return e;
}
