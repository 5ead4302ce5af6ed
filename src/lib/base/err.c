// SPDX-License-Identifier: Apache-2.0
// Error texts live in a small ring per thread, so that errors are returned by value, cost no
// allocation (running out of memory is an error like the others) and need no freeing.

#include "lib/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char ring[ERR_TEXTS][ERR_TEXT_MAX];
static _Thread_local unsigned ring_next;

static char *ring_take(void)
{
	return ring[ring_next++ % ERR_TEXTS];
}

struct err err_make(enum err_code code, const char *format, ...)
{
	char *text = ring_take();
	va_list args;
	va_start(args, format);
	vsnprintf(text, ERR_TEXT_MAX, format, args);
	va_end(args);
	return (struct err){code, text};
}

struct err err_system(const char *format, ...)
{
	int saved = errno;
	char *text = ring_take();
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, ERR_TEXT_MAX, format, args);
	va_end(args);
	if (n >= 0 && n < ERR_TEXT_MAX)
		snprintf(text + n, ERR_TEXT_MAX - (size_t)n, ": %s", strerror(saved));
	return (struct err){ERR_IO, text};
}

struct err err_within(struct err inner, const char *format, ...)
{
	if (inner.code == ERR_NONE)
		return inner;
	char *text = ring_take();
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, ERR_TEXT_MAX, format, args);
	va_end(args);
	if (n >= 0 && n < ERR_TEXT_MAX)
		snprintf(text + n, ERR_TEXT_MAX - (size_t)n, ": %s", inner.text);
	return (struct err){inner.code, text};
}

const char *err_code_name(enum err_code code)
{
	static const char *const names[ERR_CODES] = {
		[ERR_NONE] = "none",         [ERR_IO] = "io",
		[ERR_PEER] = "peer",         [ERR_AUTH] = "auth",
		[ERR_DENIED] = "denied",     [ERR_CONFLICT] = "conflict",
		[ERR_NOT_FOUND] = "not-found", [ERR_CORRUPT] = "corrupt",
		[ERR_USAGE] = "usage",       [ERR_LIMIT] = "limit",
		[ERR_BUSY] = "busy",         [ERR_INTERNAL] = "internal",
	};
	return code < ERR_CODES ? names[code] : "unknown";
}
