// SPDX-License-Identifier: Apache-2.0
#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_name = "gemel";
static enum log_level log_most = LOG_NOTICE;

void log_start(const char *name, enum log_level most)
{
	log_name = name;
	log_most = most;
}

enum log_level log_threshold(void)
{
	return log_most;
}

static size_t log_escape(char *out, size_t size, const char *text)
{
	size_t n = 0;
	for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < size; p++) {
		if (*p >= 0x20 && *p < 0x7f)
			out[n++] = (char)*p;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", *p);
	}
	return n;
}

void log_write(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {"error", "warning", "notice", "debug"};
	if (level > log_most)
		return;
	char text[1000], line[2200];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	int n = snprintf(line, sizeof line, "%s %s: ", words[level], log_name);
	size_t len = (size_t)n + log_escape(line + n, sizeof line - (size_t)n - 1, text);
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, len); // one write: lines never mix
	(void)written;
}
