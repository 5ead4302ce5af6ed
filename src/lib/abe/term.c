// SPDX-License-Identifier: Apache-2.0
#include "lib/abe/term.h"

#include "lib/crypto/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- dates: days since 1970-01-01 in the proleptic Gregorian calendar

static bool leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return days[month - 1] + (month == 2 && leap(year));
}

static bool digits(const char *s, unsigned n, unsigned *out)
{
	*out = 0;
	for (unsigned i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*out = *out * 10 + (unsigned)(s[i] - '0');
	}
	return true;
}

static bool date_read(const char *s, uint64_t *days)
{
	unsigned year, month, day;
	if (strlen(s) != 10 || s[4] != '-' || s[7] != '-' || !digits(s, 4, &year) ||
	    !digits(s + 5, 2, &month) || !digits(s + 8, 2, &day))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
		return false;
	*days = day - 1;
	for (unsigned y = 1970; y < year; y++)
		*days += leap(y) ? 366 : 365;
	for (unsigned m = 1; m < month; m++)
		*days += month_days(year, m);
	return *days < 1u << ATTRIBUTE_DATE_WIDTH;
}

static void date_print(uint64_t days, struct buf *out)
{
	unsigned year = 1970, month = 1;
	for (; days >= (leap(year) ? 366u : 365u); year++)
		days -= leap(year) ? 366 : 365;
	for (; days >= month_days(year, month); month++)
		days -= month_days(year, month);
	buf_printf(out, "%04u-%02u-%02u", year, month, (unsigned)days + 1);
}

// --- parsing

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct err parse_members(struct words *w, struct term *t)
{
	t->kind = TERM_MEMBER;
	do {
		if (t->n_members == ATTRIBUTE_MEMBERS_MAX)
			return words_wrong(w, "an enumeration has at most %d members",
					   ATTRIBUTE_MEMBERS_MAX);
		TRY(words_value(w, ATTRIBUTE_NAME_MAX, &t->members[t->n_members++]));
	} while (words_symbol(w, ","));
	if (!words_symbol(w, "}"))
		return words_wrong(w, "expected , or } in the enumeration");
	qsort(t->members, t->n_members, sizeof *t->members, by_text);
	for (unsigned i = 1; i < t->n_members; i++)
		if (strcmp(t->members[i - 1], t->members[i]) == 0)
			return words_wrong(w, "the enumeration names \"%s\" twice", t->members[i]);
	return t->n_members > 1 ? OK : words_wrong(w, "an enumeration has at least two members");
}

static struct err parse_width(struct words *w, struct term *t)
{
	uint64_t width;
	t->kind = TERM_INTEGER;
	t->date = words_keyword(w, "date");
	t->width = ATTRIBUTE_DATE_WIDTH;
	if (t->date)
		return OK;
	TRY(words_number(w, 64, &width));
	if (width == 0)
		return words_wrong(w, "an integer has 1 to 64 bits, or is a date");
	t->width = (unsigned)width;
	return OK;
}

static struct err parse_op(struct words *w, struct term *t)
{
	static const struct {
		const char *text;
		enum term_op op;
	} ops[] = {{">=", TERM_GE}, {"<=", TERM_LE}, {"!=", TERM_NE},
		   {"=", TERM_EQ},  {">", TERM_GT},  {"<", TERM_LT}};
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (words_symbol(w, ops[i].text)) {
			t->op = ops[i].op;
			if (t->op > TERM_NE && t->kind != TERM_INTEGER)
				return words_wrong(w,
						   "only integers compare: write the width, as in "
						   "%s:8 %s 3",
						   t->name, ops[i].text);
			if (t->op == TERM_NE && t->kind == TERM_TEXT)
				return words_wrong(w,
						   "\"not equal\" needs a closed enumeration, as "
						   "in %s{a,b} != a",
						   t->name);
			return OK;
		}
	return words_wrong(w, "expected =, !=, <, <=, > or >= after the name");
}

static struct err parse_operand(struct words *w, struct term *t)
{
	if (t->kind == TERM_TEXT)
		return words_value(w, ATTRIBUTE_VALUE_MAX, &t->value);
	if (t->kind == TERM_INTEGER && !t->date)
		return words_number(w, term_most(t), &t->number);
	TRY(words_value(w, ATTRIBUTE_NAME_MAX, &t->value));
	if (t->date)
		return date_read(t->value, &t->number)
			       ? OK
			       : words_wrong(w, "a date is written 2026-12-31, 1970 to 2149-06-06");
	for (unsigned i = 0; i < t->n_members; i++)
		if (strcmp(t->members[i], t->value) == 0)
			return OK;
	return words_wrong(w, "\"%s\" is no member of the enumeration", t->value);
}

struct err term_parse(struct words *w, struct term *out)
{
	*out = (struct term){.space = ""};
	TRY(words_name(w, ATTRIBUTE_NAME_MAX, &out->name));
	if (words_symbol(w, "/")) {
		out->space = out->name;
		TRY(words_name(w, ATTRIBUTE_NAME_MAX, &out->name));
	}
	if (words_symbol(w, "{"))
		TRY(parse_members(w, out));
	else if (words_symbol(w, ":"))
		TRY(parse_width(w, out));
	TRY(parse_op(w, out));
	return parse_operand(w, out);
}

uint64_t term_most(const struct term *t)
{
	return t->width == 64 ? UINT64_MAX : (UINT64_C(1) << t->width) - 1;
}

bool term_same_name(const struct term *a, const struct term *b)
{
	if (a->kind != b->kind || strcmp(a->space, b->space) != 0 ||
	    strcmp(a->name, b->name) != 0 || a->width != b->width || a->date != b->date ||
	    a->n_members != b->n_members)
		return false;
	for (unsigned i = 0; i < a->n_members; i++)
		if (strcmp(a->members[i], b->members[i]) != 0)
			return false;
	return true;
}

// --- text

static void print_name(const struct term *t, struct buf *out)
{
	if (*t->space)
		buf_printf(out, "%s/", t->space);
	buf_str(out, t->name);
	if (t->kind == TERM_INTEGER && t->date)
		buf_str(out, ":date");
	else if (t->kind == TERM_INTEGER)
		buf_printf(out, ":%u", t->width);
	for (unsigned i = 0; i < t->n_members; i++) {
		buf_str(out, i ? "," : "{");
		words_print(t->members[i], out);
	}
	if (t->n_members)
		buf_str(out, "}");
}

void term_print(const struct term *t, struct buf *out)
{
	static const char *const ops[] = {[TERM_EQ] = "=",  [TERM_NE] = "!=", [TERM_GE] = ">=",
					  [TERM_LE] = "<=", [TERM_GT] = ">",  [TERM_LT] = "<"};
	print_name(t, out);
	buf_printf(out, " %s ", ops[t->op]);
	if (t->kind != TERM_INTEGER)
		words_print(t->value, out);
	else if (t->date)
		date_print(t->number, out);
	else
		buf_printf(out, "%" PRIu64, t->number);
}

// --- identities

enum { KIND_TEXT = 1, KIND_MEMBER, KIND_INTEGER, KIND_BIT };

static void put_string(struct buf *out, const char *s)
{
	buf_be16(out, (uint16_t)strlen(s));
	buf_str(out, s);
}

static struct err finish(struct buf *id, struct buf *label, struct arena *arena,
			 struct attribute *out)
{
	TRY(buf_check(id, "attribute"));
	TRY(buf_check(label, "attribute"));
	uint8_t *bytes = arena_alloc(arena, id->len);
	out->label = arena_strndup(arena, (const char *)label->data, label->len);
	ENSURE(bytes && out->label, ERR_LIMIT, "attributes: out of memory");
	memcpy(bytes, id->data, id->len);
	out->id = bytes;
	out->len = id->len;
	hash_sha256(bytes, id->len, out->hash);
	return OK;
}

static void begin(struct buf *id, unsigned kind, const struct term *t, const struct buf *value)
{
	buf_u8(id, (uint8_t)kind);
	put_string(id, t->space);
	put_string(id, t->name);
	buf_be16(id, (uint16_t)value->len);
	buf_append(id, value->data, value->len);
}

struct err term_attribute(const struct term *t, struct arena *arena, struct attribute *out)
{
	static const uint8_t kinds[] = {[TERM_TEXT] = KIND_TEXT,
					[TERM_MEMBER] = KIND_MEMBER,
					[TERM_INTEGER] = KIND_INTEGER};
	scoped(buf) struct buf id = {.limit = 4096}, value = {.limit = 4096},
			       label = {.limit = 8192};
	if (t->kind == TERM_TEXT) {
		buf_str(&value, t->value);
	} else if (t->kind == TERM_MEMBER) {
		put_string(&value, t->value);
		buf_be16(&value, (uint16_t)t->n_members);
		for (unsigned i = 0; i < t->n_members; i++)
			put_string(&value, t->members[i]);
	} else {
		buf_u8(&value, t->date ? 'd' : 'u');
		buf_u8(&value, (uint8_t)t->width);
		buf_be64(&value, t->number);
	}
	begin(&id, kinds[t->kind], t, &value);
	term_print(t, &label);
	return finish(&id, &label, arena, out);
}

struct err term_bit(const struct term *t, unsigned index, bool bit, struct arena *arena,
		    struct attribute *out)
{
	scoped(buf) struct buf id = {.limit = 4096}, value = {.limit = 16}, label = {.limit = 8192};
	buf_u8(&value, t->date ? 'd' : 'u');
	buf_u8(&value, (uint8_t)t->width);
	buf_u8(&value, (uint8_t)index);
	buf_u8(&value, bit);
	begin(&id, KIND_BIT, t, &value);
	print_name(t, &label);
	buf_printf(&label, " bit %u = %d", index, bit);
	return finish(&id, &label, arena, out);
}
