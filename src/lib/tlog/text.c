// SPDX-License-Identifier: Apache-2.0
// Strict, because what has two spellings can be signed in one and remembered in the other.

#include "lib/tlog/text.h"

#include <string.h>

bool text_line(struct cursor *c, const char **line, size_t *n)
{
	const uint8_t *end = cursor_left(c) ? memchr(c->at, '\n', cursor_left(c)) : NULL;
	if (!end) {
		c->failed = true;
		return false;
	}
	*n = (size_t)(end - c->at);
	*line = (const char *)cursor_take(c, *n + 1);
	return true;
}

// One character of at most `n` bytes; its length, or 0 when it is malformed.
static size_t character(const uint8_t *p, size_t n, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80       ? 1
		     : p[0] >> 5 == 6  ? 2
		     : p[0] >> 4 == 14 ? 3
		     : p[0] >> 3 == 30 ? 4
				       : 0;
	if (len == 0 || len > n)
		return 0;
	uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return len;
}

bool text_clean(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	for (size_t at = 0, len; at < n; at += len) {
		uint32_t c;
		len = character(p + at, n - at, &c);
		if (len == 0 || (c < 0x20 && c != '\n'))
			return false;
	}
	return true;
}

static bool space_or_control(uint32_t c)
{
	return c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

bool text_name(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	for (size_t at = 0, len; at < n; at += len) {
		uint32_t c;
		len = character(p + at, n - at, &c);
		if (len == 0 || c == '+' || space_or_control(c))
			return false;
	}
	return n > 0;
}

bool text_decimal(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	if (n == 0 || n > 19 || (n > 1 && s[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0'); // 19 digits fit in 64 bits
	}
	*out = v;
	return v <= INT64_MAX;
}

// --- base64

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64_write(const void *bytes, size_t n, struct buf *out)
{
	const uint8_t *p = bytes;
	uint8_t *to = n <= SIZE_MAX / 2 ? buf_space(out, (n + 2) / 3 * 4) : NULL;
	for (size_t i = 0; to && i < n; i += 3, to += 4) {
		size_t left = n - i;
		uint32_t v = (uint32_t)p[i] << 16;
		v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		v |= left > 2 ? p[i + 2] : 0;
		to[0] = (uint8_t)digits[v >> 18];
		to[1] = (uint8_t)digits[v >> 12 & 63];
		to[2] = (uint8_t)(left > 1 ? digits[v >> 6 & 63] : '=');
		to[3] = (uint8_t)(left > 2 ? digits[v & 63] : '=');
	}
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool text_base64_read(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len)
{
	if (n % 4)
		return false;
	size_t padding = n ? (s[n - 1] == '=') + (s[n - 1] == '=' && s[n - 2] == '=') : 0;
	*len = n / 4 * 3 - padding;
	for (size_t i = 0, at = 0; i < n; i += 4) {
		uint32_t v = 0;
		size_t used = i + 4 == n ? 4 - padding : 4;
		for (size_t k = 0; k < 4; k++) {
			int d = k < used ? digit(s[i + k]) : 0;
			if (d < 0)
				return false;
			v = v << 6 | (uint32_t)d;
		}
		if ((used == 2 && v & 0xffff) || (used == 3 && v & 0xff))
			return false; // bits that no byte uses
		for (size_t k = 0; k + 1 < used; k++, at++)
			if (at < cap)
				out[at] = (uint8_t)(v >> (16 - 8 * k));
	}
	return true;
}
