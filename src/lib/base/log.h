// SPDX-License-Identifier: Apache-2.0
// The process's own log: one line per event on standard error, `level process: text`, with the
// RFC 5424 severity words. Never a secret, never a foreign byte unescaped. The security record is
// the ledger, not this. Used by every process.
#pragma once

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG };

// `name` must outlive the process. Lines above `most` are dropped; default LOG_NOTICE.
void log_start(const char *name, enum log_level most);
enum log_level log_threshold(void);

// Control characters and bytes outside ASCII print as \xNN; a line is cut at 1,000 bytes.
void log_write(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_threshold() >= LOG_DEBUG)                                                  \
			log_write(LOG_DEBUG, __VA_ARGS__);                                         \
	} while (0)
