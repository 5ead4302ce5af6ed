// SPDX-License-Identifier: Apache-2.0
// The fewest pieces that spell the pass phrase, by dynamic programming over its positions: a piece
// is a listed word, a name, four digits that look like a year, a run ("3456", "fedc", "qwert"), a
// repeat ("aaaa"), or any single character. Digits and signs that stand for letters count as those
// letters. What is left of "P4ssw0rd2024!" is three pieces; a phrase of unlisted words has one for
// each letter.

#include "management/passwords.h"

#include "lib/base/sabotage.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { PIECES_MIN = 6, LOOK_MAX = 128, RUN_MIN = 3 };

// The base words of the passwords that lead every published list of leaked ones, and of this trade.
static const char *const words[] = {
	"password", "passwort",	 "passphrase", "passwd",
	"pass",	    "word",	 "admin",      "administrator",
	"root",	    "user",	 "guest",      "login",
	"welcome",  "letmein",	 "letme",      "secret",
	"default",  "changeme",	 "change",     "master",
	"monkey",   "dragon",	 "sunshine",   "princess",
	"football", "baseball",	 "basketball", "soccer",
	"hockey",   "superman",	 "batman",     "iloveyou",
	"love",	    "shadow",	 "michael",    "jennifer",
	"jordan",   "daniel",	 "charlie",    "thomas",
	"robert",   "ashley",	 "jessica",    "michelle",
	"killer",   "trustno1",	 "trustnoone", "starwars",
	"whatever", "freedom",	 "computer",   "internet",
	"google",   "facebook",	 "samsung",    "qwerty",
	"qwertz",   "azerty",	 "asdfgh",     "zxcvbn",
	"qazwsx",   "access",	 "flower",     "hello",
	"summer",   "winter",	 "spring",     "autumn",
	"january",  "february",	 "march",      "april",
	"june",	    "july",	 "august",     "september",
	"october",  "november",	 "december",   "monday",
	"tuesday",  "wednesday", "thursday",   "friday",
	"saturday", "sunday",	 "cheese",     "ninja",
	"mustang",  "maverick",	 "cookie",     "pepper",
	"hunter",   "ranger",	 "buster",     "tigger",
	"harley",   "cisco",	 "juniper",    "huawei",
	"nokia",    "ericsson",	 "router",     "switch",
	"network",  "firewall",	 "server",     "system",
	"manager",  "operator",	 "security",   "officer",
	"auditor",  "service",	 "support",    "company",
	"office",   "home",	 "test",       "testing",
	"temp",	    "temporary", "demo",       "sample",
	"example",  "gemel",	 "twin",       "digital",
	"telecom",  "mobile",	 "phone",      "money",
	"matrix",   "the",	 "and",	       "for",
	"you",	    "my",	 "is",	       "me",
	"in",	    "one",	 "two",	       "three",
	"four",	    "five",	 "six",	       "seven",
	"eight",    "nine",	 "ten",	       "correcthorsebatterystaple",
};

static const char *const keyboards[] = {
	"qwertyuiop",	       "asdfghjkl",  "zxcvbnm",
	"qwertzuiop",	       "azertyuiop", "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
	"1q2w3e4r5t6y7u8i9o0p"};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

// As it would be read aloud.
static char letter(char c)
{
	static const char from[] = "0134578@$!|", to[] = "oieastbasil";
	const char *p = c ? strchr(from, c) : NULL;
	return p ? to[p - from] : lower(c);
}

static size_t match(const char *at, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = 0; i < n; i++)
		if (!at[i] || (letter(at[i]) != letter(word[i]) && lower(at[i]) != lower(word[i])))
			return 0;
	return n;
}

static size_t run(const char *at, int step)
{
	size_t n = 1;
	while (at[n] && lower(at[n]) == lower(at[n - 1]) + step)
		n++;
	return n >= RUN_MIN ? n : 0;
}

static size_t on_keyboard(const char *at)
{
	size_t best = 0;
	for (size_t k = 0; k < sizeof keyboards / sizeof *keyboards; k++)
		for (const char *from = keyboards[k]; *from; from++) {
			size_t n = 0;
			while (from[n] && at[n] && from[n] == lower(at[n]))
				n++;
			if (n >= RUN_MIN + 1 && n > best)
				best = n;
		}
	return best;
}

static size_t year(const char *at)
{
	for (int i = 0; i < 4; i++)
		if (at[i] < '0' || at[i] > '9')
			return 0;
	return memcmp(at, "19", 2) == 0 || memcmp(at, "20", 2) == 0 ? 4 : 0;
}

struct spelling {
	unsigned fewest[LOOK_MAX + 1]; // pieces up to here
	size_t n;
};

static void reach(struct spelling *s, size_t from, size_t n)
{
	if (n && from + n <= s->n && s->fewest[from] + 1 < s->fewest[from + n])
		s->fewest[from + n] = s->fewest[from] + 1;
}

unsigned password_pieces(const char *password, const char *account, const char *twin)
{
	struct spelling s = {.n = strnlen(password, LOOK_MAX)};
	const char *names[] = {account, twin};
	for (size_t i = 1; i <= s.n; i++)
		s.fewest[i] = UINT32_MAX - 1;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = password + i;
		reach(&s, i, 1);
		for (size_t w = 0; w < sizeof words / sizeof *words; w++)
			reach(&s, i, match(at, words[w]));
		for (size_t w = 0; w < 2; w++)
			if (names[w] && strlen(names[w]) >= RUN_MIN)
				reach(&s, i, match(at, names[w]));
		for (int step = -1; step <= 1; step++)
			reach(&s, i, run(at, step));
		reach(&s, i, on_keyboard(at));
		reach(&s, i, year(at));
	}
	return s.fewest[s.n];
}

struct err password_acceptable(const char *password, const char *account, const char *twin)
{
	size_t n = strlen(password);
	bool seen[256] = {false};
	unsigned different = 0;
	ENSURE(n >= PASSWORD_LENGTH_MIN && n <= PASSWORD_LENGTH_MAX, ERR_USAGE,
	       "pass phrase: %zu bytes; %d to %d are allowed", n, PASSWORD_LENGTH_MIN,
	       PASSWORD_LENGTH_MAX);
	for (size_t i = 0; i < n; i++) {
		different += !seen[(uint8_t)password[i]];
		seen[(uint8_t)password[i]] = true;
	}
	ENSURE(different >= 5, ERR_USAGE,
	       "pass phrase: only %u different characters; use 5 or more", different);
	ENSURE(password_pieces(password, account, twin) >= PIECES_MIN ||
		       sabotaged("password-rules"),
	       ERR_USAGE,
	       "pass phrase: it is made of words, names, years or runs that are tried first; use "
	       "several uncommon words");
	return OK;
}
