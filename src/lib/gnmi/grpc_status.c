// SPDX-License-Identifier: Apache-2.0
// Statuses: names, the way to and from struct err, and the text forms of the gRPC protocol
// (percent-encoded grpc-message, grpc-timeout).

#include "lib/gnmi/grpc_internal.h"

#include <string.h>

static const char *const names[GRPC_STATUSES] = {
	"OK",
	"CANCELLED",
	"UNKNOWN",
	"INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED",
	"NOT_FOUND",
	"ALREADY_EXISTS",
	"PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION",
	"ABORTED",
	"OUT_OF_RANGE",
	"UNIMPLEMENTED",
	"INTERNAL",
	"UNAVAILABLE",
	"DATA_LOSS",
	"UNAUTHENTICATED",
};

const char *grpc_status_name(enum grpc_status s)
{
	return (unsigned)s < GRPC_STATUSES ? names[s] : "UNKNOWN";
}

enum grpc_status grpc_status_of(enum err_code code)
{
	static const enum grpc_status of[ERR_CODES] = {
		[ERR_NONE] = GRPC_OK,
		[ERR_IO] = GRPC_UNAVAILABLE,
		[ERR_PEER] = GRPC_INVALID_ARGUMENT,
		[ERR_AUTH] = GRPC_UNAUTHENTICATED,
		[ERR_DENIED] = GRPC_PERMISSION_DENIED,
		[ERR_CONFLICT] = GRPC_FAILED_PRECONDITION,
		[ERR_NOT_FOUND] = GRPC_NOT_FOUND,
		[ERR_CORRUPT] = GRPC_DATA_LOSS,
		[ERR_USAGE] = GRPC_INVALID_ARGUMENT,
		[ERR_LIMIT] = GRPC_RESOURCE_EXHAUSTED,
		[ERR_BUSY] = GRPC_UNAVAILABLE,
		[ERR_INTERNAL] = GRPC_INTERNAL,
	};
	return (unsigned)code < ERR_CODES ? of[code] : GRPC_UNKNOWN;
}

enum err_code grpc_status_err(enum grpc_status s)
{
	static const enum err_code of[GRPC_STATUSES] = {
		[GRPC_OK] = ERR_NONE,
		[GRPC_CANCELLED] = ERR_IO,
		[GRPC_UNKNOWN] = ERR_PEER,
		[GRPC_INVALID_ARGUMENT] = ERR_USAGE,
		[GRPC_DEADLINE_EXCEEDED] = ERR_IO,
		[GRPC_NOT_FOUND] = ERR_NOT_FOUND,
		[GRPC_ALREADY_EXISTS] = ERR_CONFLICT,
		[GRPC_PERMISSION_DENIED] = ERR_DENIED,
		[GRPC_RESOURCE_EXHAUSTED] = ERR_LIMIT,
		[GRPC_FAILED_PRECONDITION] = ERR_CONFLICT,
		[GRPC_ABORTED] = ERR_CONFLICT,
		[GRPC_OUT_OF_RANGE] = ERR_USAGE,
		[GRPC_UNIMPLEMENTED] = ERR_PEER,
		[GRPC_INTERNAL] = ERR_PEER,
		[GRPC_UNAVAILABLE] = ERR_BUSY,
		[GRPC_DATA_LOSS] = ERR_CORRUPT,
		[GRPC_UNAUTHENTICATED] = ERR_AUTH,
	};
	return (unsigned)s < GRPC_STATUSES ? of[s] : ERR_PEER;
}

size_t grpc_text_encode(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	for (; *text && n + 4 <= size; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= 0x20 && c < 0x7f && c != '%') {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	out[n] = 0;
	return n;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void grpc_text_decode(const uint8_t *in, size_t n, char *out, size_t size)
{
	size_t o = 0;
	for (size_t i = 0; i < n && o + 1 < size; i++) {
		uint8_t c = in[i];
		if (c == '%' && i + 2 < n && hex_digit(in[i + 1]) >= 0 &&
		    hex_digit(in[i + 2]) >= 0) {
			c = (uint8_t)(hex_digit(in[i + 1]) << 4 | hex_digit(in[i + 2]));
			i += 2;
		}
		out[o++] = c >= 0x20 && c != 0x7f ? (char)c : ' ';
	}
	out[o] = 0;
	size_t good = grpc_utf8_length((const uint8_t *)out, o);
	for (size_t i = good; i < o; i++)
		if ((uint8_t)out[i] >= 0x80)
			out[i] = '?';
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
static unsigned utf8_step(const uint8_t *p, size_t left)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (p[0] < 0x80)
		return 1;
	unsigned n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	uint32_t v = p[0] & (0xffu >> (n + 1));
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3f);
	}
	return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : n;
}

size_t grpc_utf8_length(const uint8_t *text, size_t n)
{
	size_t at = 0;
	while (at < n) {
		unsigned step = utf8_step(text + at, n - at);
		if (!step)
			break;
		at += step;
	}
	return at;
}

bool grpc_timeout_parse(const uint8_t *in, size_t n, uint64_t *ms)
{
	uint64_t v = 0;
	if (n < 2 || n > 9) // at most 8 digits and a unit
		return false;
	for (size_t i = 0; i + 1 < n; i++) {
		if (in[i] < '0' || in[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(in[i] - '0');
	}
	switch (in[n - 1]) {
	case 'H':
		*ms = v * 3600000;
		return true;
	case 'M':
		*ms = v * 60000;
		return true;
	case 'S':
		*ms = v * 1000;
		return true;
	case 'm':
		*ms = v;
		return true;
	case 'u':
		*ms = (v + 999) / 1000;
		return true;
	case 'n':
		*ms = (v + 999999) / 1000000;
		return true;
	default:
		return false;
	}
}
