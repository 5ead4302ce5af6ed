// SPDX-License-Identifier: Apache-2.0
// libevent's evhttp was turned down here: it looks up each peer's name with getnameinfo, which
// opens a socket for link-local addresses (the sandbox would end the process), and it bounds the
// time between two bytes, not that of a request.

#include "witness/http.h"

#include <string.h>
#include <strings.h>

size_t http_head_length(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = n ? memmem(bytes, n, "\r\n\r\n", 4) : NULL;
	return end ? (size_t)(end - bytes) + 4 : 0;
}

const char *http_reason(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} known[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{417, "Expectation Failed"},
		{422, "Unprocessable Content"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].status == status)
			return known[i].reason;
	return "Unknown";
}

struct text {
	const char *at;
	size_t n;
};

static bool is(struct text t, const char *word)
{
	return t.n == strlen(word) && strncasecmp(t.at, word, t.n) == 0;
}

// The next line without its CRLF.
static bool line(struct cursor *c, struct text *out)
{
	const uint8_t *end = cursor_left(c) ? memchr(c->at, '\n', cursor_left(c)) : NULL;
	if (!end || end == c->at || end[-1] != '\r')
		return false;
	*out = (struct text){(const char *)c->at, (size_t)(end - c->at) - 1};
	cursor_take(c, out->n + 2);
	for (size_t i = 0; i < out->n; i++) // RFC 9110 section 5.5: no controls but the tab
		if (((uint8_t)out->at[i] < 0x20 && out->at[i] != '\t') || out->at[i] == 0x7f)
			return false;
	return true;
}

static bool token(struct text t)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < t.n; i++) {
		char c = t.at[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c && strchr(marks, c))))
			return false;
	}
	return t.n > 0;
}

// What stands before `mark`; the rest stays in *t. false: no mark.
static bool before(struct text *t, char mark, struct text *out)
{
	const char *at = t->n ? memchr(t->at, mark, t->n) : NULL;
	if (!at)
		return false;
	*out = (struct text){t->at, (size_t)(at - t->at)};
	t->n -= out->n + 1;
	t->at = at + 1;
	return true;
}

static struct text trim(struct text t)
{
	for (; t.n && (t.at[0] == ' ' || t.at[0] == '\t'); t.at++, t.n--)
		;
	for (; t.n && (t.at[t.n - 1] == ' ' || t.at[t.n - 1] == '\t'); t.n--)
		;
	return t;
}

// --- request line

static bool request_line(struct cursor *c, struct http_head *out, bool *old, unsigned *status)
{
	struct text all, method, target;
	*status = 400;
	if (!line(c, &all) || !before(&all, ' ', &method) || !before(&all, ' ', &target) ||
	    !token(method) || target.n == 0)
		return false;
	out->method = method.n == 4 && memcmp(method.at, "POST", 4) == 0   ? HTTP_POST
		      : method.n == 4 && memcmp(method.at, "HEAD", 4) == 0 ? HTTP_HEAD
									   : HTTP_OTHER;
	if (target.n > 7 && strncasecmp(target.at, "http://", 7) == 0) { // RFC 9112 section 3.2.2
		const char *slash = memchr(target.at + 7, '/', target.n - 7);
		if (!slash)
			slash = target.at + target.n;
		target.n -= (size_t)(slash - target.at);
		target.at = slash;
	}
	out->path = target.at;
	out->path_len = target.n;
	if (all.n != 8 || memcmp(all.at, "HTTP/", 5) != 0 || all.at[6] != '.')
		return false;
	*status = 505;
	*old = all.at[7] == '0';
	return all.at[5] == '1' && (all.at[7] == '0' || all.at[7] == '1');
}

// --- fields

static bool length(struct text v, struct http_head *out)
{
	if (out->has_length || v.n == 0 || v.n > 15)
		return false;
	out->length = 0;
	for (size_t i = 0; i < v.n; i++) {
		if (v.at[i] < '0' || v.at[i] > '9')
			return false;
		out->length = out->length * 10 + (uint64_t)(v.at[i] - '0');
	}
	return out->has_length = true;
}

static void connection(struct text v, struct http_head *out)
{
	for (struct text one; v.n;) {
		if (!before(&v, ',', &one)) {
			one = v;
			v.n = 0;
		}
		one = trim(one);
		if (is(one, "close"))
			out->keep_alive = false;
		else if (is(one, "keep-alive"))
			out->keep_alive = true;
	}
}

static bool field(struct text all, struct http_head *out, unsigned *hosts, unsigned *status)
{
	struct text name;
	*status = 400;
	if (!before(&all, ':', &name) || !token(name))
		return false;
	struct text value = trim(all);
	if (is(name, "content-length"))
		return length(value, out);
	if (is(name, "host"))
		++*hosts;
	if (is(name, "connection"))
		connection(value, out);
	if (is(name, "transfer-encoding")) {
		*status = 411; // RFC 9110 section 8.6: a length is asked for instead
		return false;
	}
	if (is(name, "expect")) {
		*status = 417;
		out->expects = true;
		return is(value, "100-continue");
	}
	return true;
}

bool http_head_read(const uint8_t *bytes, size_t n, struct http_head *out, unsigned *status)
{
	struct cursor c = cursor_over(bytes, n);
	unsigned hosts = 0, fields = 0;
	bool old = false;
	*out = (struct http_head){0};
	if (!request_line(&c, out, &old, status))
		return false;
	out->keep_alive = !old;
	for (;;) {
		struct text one;
		*status = 400;
		if (!line(&c, &one))
			return false;
		if (one.n == 0)
			break;
		*status = 431;
		if (++fields > HTTP_FIELDS_MAX || !field(one, out, &hosts, status))
			return false;
	}
	*status = 400; // RFC 9112 section 3.2: one Host
	return cursor_left(&c) == 0 && (hosts == 1 || (old && hosts == 0));
}
