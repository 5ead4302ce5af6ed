// SPDX-License-Identifier: Apache-2.0
// Expressions, by recursive descent in the order of the published grammar:
// Expr = If | Or; Or = And {|| And}; And = Relation {&& Relation}; Relation = Add [op Add];
// Add = Mult {+- Mult}; Mult = Unary {* Unary}; Unary = [!!!! | ----] Member; Member = Primary
// {Access}.

#include "lib/cedar/parse.h"

enum { UNARY_MAX = 4 };

static struct err syntax_name(const struct parser *p, size_t at, struct cedar_text name)
{
	return cedar_syntax(p->l.source, at, "\"%.*s\" is reserved and cannot be a name here",
			    TEXT_ARG(name));
}

// Joins the parts when there is white space between them.
static struct err join(struct parser *p, struct cedar_text *name, struct cedar_text part)
{
	if (!name->s || name->s + name->n + 2 != part.s) {
		struct cedar_text joined = cedar_qualify(p->b.arena, *name, part);
		NEED(joined.s);
		*name = joined;
	} else {
		name->n += 2 + part.n;
	}
	return OK;
}

static struct err ident(struct parser *p, struct cedar_text *out)
{
	*out = p->l.now.text;
	size_t at = p->l.now.at;
	TRY(lexer_expect(&p->l, TOKEN_IDENT, "a name"));
	return cedar_reserved(*out) || text_is(*out, "__cedar") ? syntax_name(p, at, *out) : OK;
}

struct err parse_name(struct parser *p, struct cedar_text *out)
{
	bool more;
	TRY(ident(p, out));
	for (;;) {
		TRY(lexer_accept(&p->l, TOKEN_COLONS, &more));
		if (!more)
			return OK;
		struct cedar_text part;
		TRY(ident(p, &part));
		TRY(join(p, out, part));
	}
}

static struct err string(struct parser *p, const char *what, struct cedar_text *out)
{
	struct cedar_text raw = p->l.now.text;
	TRY(lexer_expect(&p->l, TOKEN_STRING, what));
	return cedar_unescape(p->b.arena, p->l.source, raw, out);
}

static struct err members(struct parser *p, int end, const char *allowed)
{
	bool more = p->l.now.kind != end;
	while (more) {
		const struct expr *e;
		TRY(parse_expr(p, &e));
		VEC_PUSH(&p->stack, e);
		TRY(lexer_accept(&p->l, ',', &more));
		more = more && p->l.now.kind != end; // a comma may end the list
	}
	return lexer_expect(&p->l, end, allowed);
}

static struct err set(struct parser *p, size_t at, const struct expr **out)
{
	size_t base = p->stack.n;
	TRY(members(p, ']', ", or ]"));
	size_t n = p->stack.n - base;
	p->stack.n = base;
	return expr_list(&p->b, at, EXPR_SET, 0, p->stack.v + base, n, out);
}

static struct err record(struct parser *p, size_t at, const struct expr **out)
{
	size_t base = p->stack.n, keys = p->keys.n;
	bool more = p->l.now.kind != '}';
	while (more) {
		struct cedar_text key;
		if (p->l.now.kind == TOKEN_STRING)
			TRY(string(p, "a key", &key));
		else
			TRY(ident(p, &key));
		TRY(lexer_expect(&p->l, ':', ": after the key of a record"));
		const struct expr *e;
		TRY(parse_expr(p, &e));
		VEC_PUSH(&p->stack, e);
		VEC_PUSH(&p->keys, key);
		TRY(lexer_accept(&p->l, ',', &more));
		more = more && p->l.now.kind != '}';
	}
	TRY(lexer_expect(&p->l, '}', ", or }"));
	size_t n = p->stack.n - base;
	p->stack.n = base;
	p->keys.n = keys;
	return expr_record(&p->b, at, p->keys.v + keys, p->stack.v + base, n, out);
}

static struct err call(struct parser *p, size_t at, enum fn f, const struct expr *self,
		       const struct expr **out)
{
	size_t base = p->stack.n;
	if (self)
		VEC_PUSH(&p->stack, self);
	TRY(members(p, ')', ", or )"));
	size_t n = p->stack.n - base;
	p->stack.n = base;
	return expr_list(&p->b, at, EXPR_CALL, f, p->stack.v + base, n, out);
}

static struct err function(struct parser *p, size_t at, struct cedar_text name,
			   const struct expr **out)
{
	enum fn f;
	if (!cedar_fn_find(name, &f) || cedar_fns[f].method)
		return cedar_syntax(
			p->l.source, at,
			"\"%.*s\" is no function: decimal, ip, datetime and duration are",
			TEXT_ARG(name));
	TRY(lexer_expect(&p->l, '(', "("));
	return call(p, at, f, NULL, out);
}

// A variable, a function or an entity.
static struct err named(struct parser *p, const struct expr **out)
{
	struct cedar_text name, part;
	size_t at = p->l.now.at;
	bool path;
	TRY(ident(p, &name));
	TRY(lexer_accept(&p->l, TOKEN_COLONS, &path));
	if (!path) {
		if (p->l.now.kind == '(')
			return function(p, at, name, out);
		for (unsigned v = 0; v < 4; v++)
			if (text_is(name, var_names[v]))
				return expr_leaf(&p->b, at, EXPR_VAR, v, out);
		return cedar_syntax(p->l.source, at,
				    "\"%.*s\" is no variable: principal, action, resource and "
				    "context are",
				    TEXT_ARG(name));
	}
	while (p->l.now.kind != TOKEN_STRING) {
		TRY(ident(p, &part));
		TRY(join(p, &name, part));
		TRY(lexer_expect(&p->l, TOKEN_COLONS, ":: and the id of an entity in \""));
	}
	TRY(string(p, "the id of an entity in \"", &part));
	return expr_entity(&p->b, at, name, part, out);
}

static struct err number(struct parser *p, unsigned negations, bool *used, const struct expr **out)
{
	struct token t = p->l.now;
	uint64_t v = 0;
	bool bad = false;
	TRY(lexer_next(&p->l));
	for (size_t i = 0; i < t.text.n; i++)
		bad = bad || __builtin_mul_overflow(v, 10u, &v) ||
		      __builtin_add_overflow(v, (uint64_t)(t.text.s[i] - '0'), &v);
	// -9223372036854775808 is a number; 9223372036854775808 is none
	bool access = p->l.now.kind == '.' || p->l.now.kind == '[' || p->l.now.kind == '(';
	*used = negations && !access;
	if (bad || v > (uint64_t)INT64_MAX + *used)
		return cedar_syntax(p->l.source, t.at, "%.*s does not fit in 64 bits",
				    TEXT_ARG(t.text));
	int64_t i = *used ? (int64_t)(0 - v) : (int64_t)v;
	return expr_literal(&p->b, t.at, value_int(VALUE_LONG, i), out);
}

static struct err slot(struct parser *p, const struct expr **out)
{
	struct token t = p->l.now;
	TRY(lexer_next(&p->l));
	bool resource = text_is(t.text, "?resource");
	if (!resource && !text_is(t.text, "?principal"))
		return cedar_syntax(p->l.source, t.at,
				    "%.*s is no slot: ?principal and ?resource are",
				    TEXT_ARG(t.text));
	if (!p->slots)
		return cedar_syntax(p->l.source, t.at,
				    "slots may only be in the scope of a policy, not in when or "
				    "unless");
	return expr_leaf(&p->b, t.at, EXPR_SLOT, resource, out);
}

static struct err primary(struct parser *p, const struct expr **out)
{
	struct token t = p->l.now;
	struct cedar_text text;
	bool used;
	switch (t.kind) {
	case TOKEN_NUMBER:
		return number(p, 0, &used, out);
	case TOKEN_STRING:
		TRY(string(p, "", &text));
		return expr_literal(&p->b, t.at, value_text(text), out);
	case TOKEN_SLOT:
		return slot(p, out);
	case '(':
		TRY(lexer_next(&p->l));
		TRY(parse_expr(p, out));
		return lexer_expect(&p->l, ')', ")");
	case '[':
		TRY(lexer_next(&p->l));
		return set(p, t.at, out);
	case '{':
		TRY(lexer_next(&p->l));
		return record(p, t.at, out);
	case TOKEN_IDENT:
		if (!lexer_word(&p->l, "true") && !lexer_word(&p->l, "false"))
			return named(p, out);
		TRY(lexer_next(&p->l));
		return expr_literal(&p->b, t.at, value_bool(text_is(t.text, "true")), out);
	default:
		return lexer_wrong(&p->l, "an expression");
	}
}

// The operators that are written as methods.
static const struct {
	const char *name;
	enum expr_kind kind;
	unsigned args;
} methods[] = {{"contains", EXPR_CONTAINS, 1},	      {"containsAll", EXPR_CONTAINS_ALL, 1},
	       {"containsAny", EXPR_CONTAINS_ANY, 1}, {"isEmpty", EXPR_IS_EMPTY, 0},
	       {"hasTag", EXPR_HAS_TAG, 1},	      {"getTag", EXPR_GET_TAG, 1}};

static struct err method(struct parser *p, size_t at, struct cedar_text name,
			 const struct expr *self, const struct expr **out)
{
	enum fn f;
	if (cedar_fn_find(name, &f) && cedar_fns[f].method)
		return call(p, at, f, self, out);
	size_t base = p->stack.n;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (!text_is(name, methods[i].name))
			continue;
		TRY(members(p, ')', ", or )"));
		size_t n = p->stack.n - base;
		p->stack.n = base;
		if (n != methods[i].args)
			return cedar_syntax(p->l.source, at, "%s takes %u argument%s, not %zu",
					    methods[i].name, methods[i].args,
					    methods[i].args == 1 ? "" : "s", n);
		return expr_make(&p->b, at, methods[i].kind, self, n ? p->stack.v[base] : NULL,
				 NULL, out);
	}
	return cedar_syntax(p->l.source, at, "\"%.*s\" is no method", TEXT_ARG(name));
}

static struct err accesses(struct parser *p, const struct expr **e)
{
	for (;;) {
		bool dot, index, args;
		struct cedar_text name;
		size_t at = p->l.now.at;
		TRY(lexer_accept(&p->l, '.', &dot));
		if (dot) {
			TRY(ident(p, &name));
			TRY(lexer_accept(&p->l, '(', &args));
			if (args)
				TRY(method(p, at, name, *e, e));
			else
				TRY(expr_get(&p->b, at, *e, name, e));
			continue;
		}
		TRY(lexer_accept(&p->l, '[', &index));
		if (!index)
			return p->l.now.kind == '('
				       ? cedar_syntax(p->l.source, at, "this cannot be called")
				       : OK;
		TRY(string(p, "the name of an attribute in \"", &name));
		TRY(lexer_expect(&p->l, ']', "]"));
		TRY(expr_get(&p->b, at, *e, name, e));
	}
}

static struct err unary(struct parser *p, const struct expr **out)
{
	int op = p->l.now.kind;
	size_t at = p->l.now.at;
	unsigned n = 0;
	bool more = op == '!' || op == '-', used = false;
	while (more && p->l.now.kind == op) {
		if (++n > UNARY_MAX)
			return cedar_syntax(p->l.source, p->l.now.at, "more than %d of %c together",
					    UNARY_MAX, op);
		TRY(lexer_next(&p->l));
	}
	if (p->l.now.kind == TOKEN_NUMBER)
		TRY(number(p, op == '-' ? n : 0, &used, out));
	else
		TRY(primary(p, out));
	TRY(accesses(p, out));
	for (n -= used; n > 0; n--)
		TRY(expr_make(&p->b, at, op == '!' ? EXPR_NOT : EXPR_NEGATE, *out, NULL, NULL,
			      out));
	return OK;
}

static struct err mult(struct parser *p, const struct expr **out)
{
	TRY(unary(p, out));
	for (;;) {
		size_t at = p->l.now.at;
		bool more;
		if (p->l.now.kind == '/' || p->l.now.kind == '%')
			return lexer_wrong(&p->l, "+, - or * (there is no division)");
		TRY(lexer_accept(&p->l, '*', &more));
		if (!more)
			return OK;
		const struct expr *right;
		TRY(unary(p, &right));
		TRY(expr_make(&p->b, at, EXPR_MULTIPLY, *out, right, NULL, out));
	}
}

static struct err add(struct parser *p, const struct expr **out)
{
	TRY(mult(p, out));
	while (p->l.now.kind == '+' || p->l.now.kind == '-') {
		size_t at = p->l.now.at;
		bool plus = p->l.now.kind == '+';
		const struct expr *right;
		TRY(lexer_next(&p->l));
		TRY(mult(p, &right));
		TRY(expr_make(&p->b, at, plus ? EXPR_ADD : EXPR_SUBTRACT, *out, right, NULL, out));
	}
	return OK;
}

static struct err has(struct parser *p, size_t at, const struct expr **out)
{
	size_t keys = p->keys.n;
	bool more = true;
	struct cedar_text name;
	if (p->l.now.kind == TOKEN_STRING) {
		TRY(string(p, "", &name));
		return expr_has(&p->b, at, *out, &name, 1, out);
	}
	while (more) {
		TRY(ident(p, &name));
		VEC_PUSH(&p->keys, name);
		TRY(lexer_accept(&p->l, '.', &more));
	}
	size_t n = p->keys.n - keys;
	p->keys.n = keys;
	return expr_has(&p->b, at, *out, p->keys.v + keys, n, out);
}

static struct err like(struct parser *p, size_t at, const struct expr **out)
{
	struct cedar_text raw = p->l.now.text;
	const struct pattern *pattern;
	TRY(lexer_expect(&p->l, TOKEN_STRING, "a pattern in \""));
	TRY(cedar_unescape_pattern(p->b.arena, p->l.source, raw, &pattern));
	return expr_like(&p->b, at, *out, pattern, out);
}

static struct err is(struct parser *p, size_t at, const struct expr **out)
{
	const struct expr *self = *out, *parent;
	struct cedar_text type;
	TRY(parse_name(p, &type));
	TRY(expr_is(&p->b, at, self, type, out));
	if (!lexer_word(&p->l, "in"))
		return OK;
	TRY(lexer_next(&p->l));
	TRY(add(p, &parent));
	TRY(expr_make(&p->b, at, EXPR_IN, self, parent, NULL, &parent));
	return expr_make(&p->b, at, EXPR_AND, *out, parent, NULL, out);
}

static struct err compare(struct parser *p, int op, size_t at, const struct expr **out)
{
	static const struct {
		int op;
		enum expr_kind kind;
		bool negated;
	} ops[] = {{'<', EXPR_LESS, false},	     {TOKEN_LESS_EQUAL, EXPR_LESS_EQUAL, false},
		   {'>', EXPR_LESS_EQUAL, true},     {TOKEN_GREATER_EQUAL, EXPR_LESS, true},
		   {TOKEN_EQUAL, EXPR_EQUAL, false}, {TOKEN_NOT_EQUAL, EXPR_EQUAL, true},
		   {TOKEN_IDENT, EXPR_IN, false}};
	size_t i = 0;
	while (ops[i].op != op)
		i++;
	const struct expr *right;
	TRY(add(p, &right));
	TRY(expr_make(&p->b, at, ops[i].kind, *out, right, NULL, out));
	return ops[i].negated ? expr_make(&p->b, at, EXPR_NOT, *out, NULL, NULL, out) : OK;
}

static bool relation_next(const struct parser *p)
{
	int k = p->l.now.kind;
	return k == '<' || k == '>' || k == '=' || (k >= TOKEN_EQUAL && k <= TOKEN_GREATER_EQUAL) ||
	       lexer_word(&p->l, "in") || lexer_word(&p->l, "has") || lexer_word(&p->l, "like") ||
	       lexer_word(&p->l, "is");
}

static struct err relation(struct parser *p, const struct expr **out)
{
	TRY(add(p, out));
	if (!relation_next(p))
		return OK;
	struct token op = p->l.now;
	if (op.kind == '=')
		return lexer_wrong(&p->l, "==");
	TRY(lexer_next(&p->l));
	if (text_is(op.text, "has"))
		TRY(has(p, op.at, out));
	else if (text_is(op.text, "like"))
		TRY(like(p, op.at, out));
	else if (text_is(op.text, "is"))
		TRY(is(p, op.at, out));
	else
		TRY(compare(p, op.kind, op.at, out));
	return relation_next(p)
		       ? lexer_wrong(&p->l, "&&, || or an end: comparisons do not chain, so "
					    "parentheses")
		       : OK;
}

static struct err both(struct parser *p, const struct expr **out)
{
	TRY(relation(p, out));
	for (;;) {
		size_t at = p->l.now.at;
		bool more;
		TRY(lexer_accept(&p->l, TOKEN_AND, &more));
		if (!more)
			return OK;
		const struct expr *right;
		TRY(relation(p, &right));
		TRY(expr_make(&p->b, at, EXPR_AND, *out, right, NULL, out));
	}
}

static struct err either(struct parser *p, const struct expr **out)
{
	TRY(both(p, out));
	for (;;) {
		size_t at = p->l.now.at;
		bool more;
		TRY(lexer_accept(&p->l, TOKEN_OR, &more));
		if (!more)
			return OK;
		const struct expr *right;
		TRY(both(p, &right));
		TRY(expr_make(&p->b, at, EXPR_OR, *out, right, NULL, out));
	}
}

static struct err word(struct parser *p, const char *w)
{
	return lexer_word(&p->l, w) ? lexer_next(&p->l) : lexer_wrong(&p->l, w);
}

static struct err choice(struct parser *p, const struct expr **out)
{
	const struct expr *test, *yes, *no;
	size_t at = p->l.now.at;
	TRY(lexer_next(&p->l));
	TRY(parse_expr(p, &test));
	TRY(word(p, "then"));
	TRY(parse_expr(p, &yes));
	TRY(word(p, "else"));
	TRY(parse_expr(p, &no));
	return expr_make(&p->b, at, EXPR_IF, test, yes, no, out);
}

struct err parse_expr(struct parser *p, const struct expr **out)
{
	*out = NULL;
	if (++p->nesting > CEDAR_NESTING_MAX)
		return err_make(ERR_LIMIT, "expressions are nested deeper than %d",
				CEDAR_NESTING_MAX);
	TRY(lexer_word(&p->l, "if") ? choice(p, out) : either(p, out));
	p->nesting--;
	return OK;
}
