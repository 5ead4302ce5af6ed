// SPDX-License-Identifier: Apache-2.0
// One start for OpenSSL and libsodium. OpenSSL's configuration file is not read on purpose: a line
// in /etc must not weaken what is written here. Algorithms are fetched explicitly, once: an
// implicit fetch costs more than hashing a short message.

#include "lib/crypto/internal.h"

#include "lib/base/log.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct crypto_fetched fetched;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool started;

static void start(void)
{
	uint64_t want = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
			OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS;
	if (!OPENSSL_init_crypto(want, NULL) || sodium_init() < 0)
		return;
	if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL))
		return;
	fetched.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	fetched.aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	fetched.aes_wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	fetched.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	tzset(); // gmtime_r and timegm read /etc/localtime when they are first called
	uint8_t seed[8];
	started = fetched.sha256 && fetched.aes_gcm && fetched.aes_wrap && fetched.hkdf &&
		  fetched.hmac && RAND_bytes(seed, sizeof seed) == 1 &&
		  RAND_priv_bytes(seed, sizeof seed) == 1;
}

struct err crypto_start(void)
{
	pthread_once(&once, start);
	if (!started)
		return crypto_error(ERR_INTERNAL, "the cryptographic libraries did not start");
	return OK;
}

const struct crypto_fetched *crypto_fetched(void)
{
	if (!started) {
		struct err e = crypto_start();
		if (e.code != ERR_NONE) {
			log_error("%s", e.text);
			abort();
		}
	}
	return &fetched;
}

struct err crypto_error(enum err_code code, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	unsigned long reason = ERR_peek_last_error();
	const char *words = reason ? ERR_reason_error_string(reason) : NULL;
	ERR_clear_error();
	return words ? err_make(code, "%s (%s)", text, words) : err_make(code, "%s", text);
}
