// SPDX-License-Identifier: Apache-2.0
// Errors that cannot be confused with numbers, with words for the person who must act.
//
// A fallible function returns `struct err`. `code` names the category, which decides what happens
// next (a PEER error ends that peer's exchange; CORRUPT raises an alert; INTERNAL ends the process)
// and which HTTP status or exit code a person sees. `text` says what was wrong, where, and what
// would be right. It lives in a ring of ERR_TEXTS buffers of this thread: copy it to keep it.
// Used by every process.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum err_code {
	ERR_NONE = 0,
	ERR_IO,        // the operating system or a disk said no
	ERR_PEER,      // the other side broke the protocol
	ERR_AUTH,      // who they are was not proved
	ERR_DENIED,    // who they are is known, and policy says no
	ERR_CONFLICT,  // true once, but the state has moved on
	ERR_NOT_FOUND, // no such thing (or none that the caller may know of)
	ERR_CORRUPT,   // stored or signed bytes are not what they were
	ERR_USAGE,     // the caller's input is wrong: says which, and what is allowed
	ERR_LIMIT,     // an explicit bound was reached
	ERR_BUSY,      // try again later: away, starting, or back-pressure
	ERR_INTERNAL,  // our own invariant is broken
	ERR_CODES,
};

enum { ERR_TEXTS = 16, ERR_TEXT_MAX = 512 };

struct err {
	enum err_code code;
	const char *text; // never NULL when code != ERR_NONE; NUL-terminated
};

#define MUST_USE __attribute__((warn_unused_result))

#define OK ((struct err){ERR_NONE, NULL})

// Makes an error with a printf text (truncated at ERR_TEXT_MAX). Never fails.
struct err err_make(enum err_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3))) MUST_USE;

// As err_make with strerror(errno) appended after ": "; code ERR_IO.
struct err err_system(const char *format, ...) __attribute__((format(printf, 1, 2))) MUST_USE;

// Puts a context in front: "CONTEXT: text". The code stays.
struct err err_within(struct err inner, const char *format, ...)
	__attribute__((format(printf, 2, 3))) MUST_USE;

// "conflict", "denied" ...: stable, lower case, for logs and problem+json types.
const char *err_code_name(enum err_code code);

// The error is known and nothing is to be done about it; says so to readers and compilers.
static inline void err_ignore(struct err e)
{
	(void)e;
}

#define TRY(expression)                                                                            \
	do {                                                                                       \
		struct err try_err_ = (expression);                                                \
		if (try_err_.code != ERR_NONE)                                                     \
			return try_err_;                                                           \
	} while (0)

// ENSURE(condition, ERR_USAGE, "port %d: must be 1 to 65535", port)
#define ENSURE(condition, code, ...)                                                               \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return err_make(code, __VA_ARGS__);                                        \
	} while (0)

// For functions with an `out:` label and a `struct err e`: sets it and leaves.
#define TRY_OUT(e, expression)                                                                     \
	do {                                                                                       \
		(e) = (expression);                                                                \
		if ((e).code != ERR_NONE)                                                          \
			goto out;                                                                  \
	} while (0)
