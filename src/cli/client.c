// SPDX-License-Identifier: Apache-2.0
// HTTPS to northbound: TLS 1.3, the authority that was pinned at log-in and no other, no redirects,
// bounded answers. The token goes only to the address that gave it.
#include "cli/cli.h"

#include <curl/curl.h>
#include <string.h>

enum { ANSWER_MAX = 64 << 20, CONNECT_S = 5, WHOLE_S = 150 };

static CURL *handle;

struct transfer {
	const struct client_request *q;
	struct reply *out;
	CURL *curl;
	bool stopped;
};

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	long status = 0;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->q->on_bytes && status == 200) {
		t->stopped = !t->q->on_bytes(t->q->ctx, bytes, size * n);
		return t->stopped ? 0 : size * n;
	}
	buf_append(&t->out->body, bytes, size * n);
	return t->out->body.failed ? 0 : size * n;
}

static bool loopback(const char *url)
{
	static const char *const hosts[] = {"https://127.", "https://localhost", "https://[::1]"};
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
			return true;
	return false;
}

static void set_trust(CURL *curl, const struct cli *c)
{
	const char *pem = c->session.authority;
	if (pem) {
		struct curl_blob blob = {(void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_COPY};
		curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
	}
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
}

static struct curl_slist *headers_of(struct cli *c, const struct client_request *q, const char *url)
{
	struct curl_slist *h = NULL;
	char line[700];
	bool ours = c->session.token && c->session.url && strcmp(c->session.url, url) == 0;
	if (ours) {
		snprintf(line, sizeof line, "Authorization: Bearer %s", c->session.token);
		h = curl_slist_append(h, line);
		secret_zero(line, sizeof line);
	}
	if (q->body)
		h = curl_slist_append(h, "Content-Type: application/json");
	if (q->last_event_id) {
		snprintf(line, sizeof line, "Last-Event-ID: %s", q->last_event_id);
		h = curl_slist_append(h, line);
	}
	return curl_slist_append(h, "Expect:");
}

static void headers_free(struct curl_slist *h)
{
	for (struct curl_slist *i = h; i; i = i->next)
		if (strncmp(i->data, "Authorization", 13) == 0)
			secret_zero(i->data, strlen(i->data));
	curl_slist_free_all(h);
}

static struct err explain(CURLcode code, const char *text, const char *url)
{
	const char *why = *text ? text : curl_easy_strerror(code);
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return err_make(ERR_AUTH, "%s is not trusted: %s; give its authority with --authority "
				"FILE, or --state DIR on the same machine", url, why);
	if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
		return err_make(ERR_USAGE, "url: \"%s\" is not right; such as https://127.0.0.1:8443", url);
	return err_make(ERR_BUSY, "%s cannot be reached: %s", url, why);
}

struct err client_do(struct cli *c, const struct client_request *q, struct reply *out)
{
	const char *url = gemel_url(c);
	char error[CURL_ERROR_SIZE] = "", *whole = arena_printf(c->arena, "%s%s", url, q->target);
	if (!handle && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
		handle = curl_easy_init();
	ENSURE(handle && whole, ERR_INTERNAL, "out of memory");
	struct transfer t = {q, out, handle, false};
	out->body = (struct buf){.limit = ANSWER_MAX};
	curl_easy_reset(handle);
	struct curl_slist *headers = headers_of(c, q, url);
	set_trust(handle, c);
	curl_easy_setopt(handle, CURLOPT_URL, whole);
	curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(handle, CURLOPT_USERAGENT, "gemel/0.1");
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(handle, CURLOPT_WRITEDATA, &t);
	if (loopback(url))
		curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
	if (q->body)
		curl_easy_setopt(handle, CURLOPT_POSTFIELDS, q->body);
	if (!q->on_bytes)
		curl_easy_setopt(handle, CURLOPT_TIMEOUT, (long)WHOLE_S);
	if (q->idle_s) {
		curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, q->idle_s);
	}
	CURLcode code = curl_easy_perform(handle);
	headers_free(headers);
	const char *type = NULL;
	curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &out->status);
	curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type);
	snprintf(out->type, sizeof out->type, "%s", type ? type : "");
	TRY(buf_check(&out->body, "the answer"));
	if (code == CURLE_OK || t.stopped || (q->idle_s && code == CURLE_OPERATION_TIMEDOUT && out->status))
		return OK;
	return explain(code, error, url);
}

void reply_clear(struct reply *r)
{
	if (r->body.data)
		secret_zero(r->body.data, r->body.len);
	buf_clear(&r->body);
}

void client_close(void)
{
	if (handle)
		curl_easy_cleanup(handle);
	handle = NULL;
	curl_global_cleanup();
}
