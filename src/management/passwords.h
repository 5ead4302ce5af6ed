// SPDX-License-Identifier: Apache-2.0
// Which pass phrases are refused: short ones, and those that consist of few pieces that everybody
// tries: common words, the account's own name, years, runs and repeats, also in another case, with
// digits for letters, or with something put behind. X.2011 8.3.3-10. Used by management.
#pragma once

#include "lib/base/err.h"

enum { PASSWORD_LENGTH_MIN = 12, PASSWORD_LENGTH_MAX = 1024 };

// ERR_USAGE says what is wrong, never the pass phrase. `account`, `twin`: names that must not carry
// it; may be NULL.
MUST_USE struct err password_acceptable(const char *password, const char *account,
					const char *twin);
// How many pieces one must guess (for tests and for people).
unsigned password_pieces(const char *password, const char *account, const char *twin);
