// SPDX-License-Identifier: Apache-2.0
// Policies in text form:
// {@annotation("value")} permit|forbid (principal.., action.., resource..) {when {..} | unless
// {..}};

#include "lib/cedar/parse.h"

#include <stdio.h>
#include <stdlib.h>

static struct err annotations(struct parser *p, struct policy *out)
{
	VEC(struct annotation) list = {0};
	struct err e = OK;
	while (p->l.now.kind == '@') {
		struct annotation one = {.value = {"", 0}};
		bool value;
		TRY_OUT(e, lexer_next(&p->l));
		one.key = p->l.now.text;
		for (size_t i = 0; i < list.n && p->l.now.kind == TOKEN_IDENT; i++)
			if (text_equal(list.v[i].key, one.key))
				TRY_OUT(e, cedar_syntax(p->l.source, p->l.now.at,
							"the annotation @%.*s occurs twice",
							TEXT_ARG(one.key)));
		TRY_OUT(e, lexer_expect(&p->l, TOKEN_IDENT, "the name of an annotation"));
		TRY_OUT(e, lexer_accept(&p->l, '(', &value));
		if (value) {
			struct cedar_text raw = p->l.now.text;
			TRY_OUT(e, lexer_expect(&p->l, TOKEN_STRING, "a value in \""));
			TRY_OUT(e, cedar_unescape(p->b.arena, p->l.source, raw, &one.value));
			TRY_OUT(e, lexer_expect(&p->l, ')', ")"));
		}
		if (list.n == list.cap &&
		    !cedar_vec_grow(&list.v, sizeof *list.v, list.n, &list.cap))
			TRY_OUT(e, cedar_no_memory());
		list.v[list.n++] = one;
	}
	out->n_annotations = (uint32_t)list.n;
	struct annotation *copy = arena_alloc(p->b.arena, list.n * sizeof *copy);
	if (!copy)
		e = cedar_no_memory();
	else if (list.n)
		memcpy(copy, list.v, list.n * sizeof *copy);
	out->annotations = copy;
out:
	free(list.v);
	return e;
}

static struct err entity_or_slot(struct parser *p, enum var v, struct scope *out)
{
	const struct expr *e;
	size_t at = p->l.now.at;
	p->slots = true;
	TRY(parse_expr(p, &e));
	p->slots = false;
	if (e->kind == EXPR_SLOT && e->op == (v == VAR_RESOURCE)) {
		out->slot = true;
		return OK;
	}
	if (e->kind != EXPR_LITERAL || e->value.kind != VALUE_ENTITY)
		return cedar_syntax(p->l.source, at, "an entity such as User::\"alice\", or ?%s",
				    var_names[v]);
	out->uid = e;
	return OK;
}

static struct err scope(struct parser *p, enum var v, struct scope *out)
{
	bool equal;
	TRY(lexer_word(&p->l, var_names[v]) ? lexer_next(&p->l) : lexer_wrong(&p->l, var_names[v]));
	if (lexer_word(&p->l, "is")) {
		TRY(lexer_next(&p->l));
		TRY(parse_name(p, &out->type));
		out->op = SCOPE_IS;
	}
	if (lexer_word(&p->l, "in")) {
		TRY(lexer_next(&p->l));
		out->op = out->op == SCOPE_IS ? SCOPE_IS_IN : SCOPE_IN;
		return entity_or_slot(p, v, out);
	}
	TRY(lexer_accept(&p->l, TOKEN_EQUAL, &equal));
	if (!equal)
		return OK;
	if (out->op == SCOPE_IS)
		return cedar_syntax(p->l.source, p->l.now.at,
				    "`is` goes with `in`; == tells the type, too");
	out->op = SCOPE_EQUAL;
	return entity_or_slot(p, v, out);
}

static struct err is_action(struct parser *p, const struct expr *e)
{
	if (e->kind != EXPR_LITERAL || e->value.kind != VALUE_ENTITY ||
	    !text_is(cedar_basename(e->value.uid->type), "Action"))
		return cedar_syntax(p->l.source, e->at,
				    "an action such as Action::\"read\" is "
				    "expected here");
	return OK;
}

static struct err action(struct parser *p, struct action_scope *out)
{
	bool equal, in = false;
	const struct expr *e;
	TRY(lexer_word(&p->l, "action") ? lexer_next(&p->l) : lexer_wrong(&p->l, "action"));
	TRY(lexer_accept(&p->l, TOKEN_EQUAL, &equal));
	if (!equal && lexer_word(&p->l, "in")) {
		in = true;
		TRY(lexer_next(&p->l));
	}
	if (!equal && !in)
		return OK;
	TRY(parse_expr(p, &e));
	out->op = in ? SCOPE_IN : SCOPE_EQUAL;
	if (in && e->kind == EXPR_SET) {
		for (uint32_t i = 0; i < e->n; i++)
			TRY(is_action(p, e->args[i]));
		out->uid = e->args;
		out->n = e->n;
		return OK;
	}
	TRY(is_action(p, e));
	const struct expr **one = arena_alloc(p->b.arena, sizeof *one);
	NEED(one);
	*one = e;
	out->uid = one;
	out->n = 1;
	return OK;
}

static struct err conditions(struct parser *p, struct policy *out)
{
	while (p->l.now.kind == TOKEN_IDENT) {
		bool unless = lexer_word(&p->l, "unless");
		const struct expr *e;
		size_t at = p->l.now.at;
		if (!unless && !lexer_word(&p->l, "when"))
			return lexer_wrong(&p->l, "when, unless or ;");
		TRY(lexer_next(&p->l));
		TRY(lexer_expect(&p->l, '{', "{"));
		TRY(parse_expr(p, &e));
		TRY(lexer_expect(&p->l, '}', "} or an operator"));
		if (unless)
			TRY(expr_make(&p->b, at, EXPR_NOT, e, NULL, NULL, &e));
		if (out->body)
			TRY(expr_make(&p->b, at, EXPR_AND, out->body, e, NULL, &e));
		out->body = e;
	}
	return OK;
}

static struct err policy(struct parser *p, struct policy *out)
{
	bool comma;
	out->at = (uint32_t)p->l.now.at;
	TRY(annotations(p, out));
	out->permit = lexer_word(&p->l, "permit");
	if (!out->permit && !lexer_word(&p->l, "forbid"))
		return lexer_wrong(&p->l, "permit or forbid");
	TRY(lexer_next(&p->l));
	TRY(lexer_expect(&p->l, '(', "("));
	TRY(scope(p, VAR_PRINCIPAL, &out->principal));
	TRY(lexer_expect(&p->l, ',', "==, in, is or ,"));
	TRY(action(p, &out->action));
	TRY(lexer_expect(&p->l, ',', "==, in or ,"));
	TRY(scope(p, VAR_RESOURCE, &out->resource));
	TRY(lexer_accept(&p->l, ',', &comma));
	TRY(lexer_expect(&p->l, ')', "==, in, is or )"));
	TRY(conditions(p, out));
	TRY(lexer_expect(&p->l, ';', "when, unless or ;"));
	out->source = (struct cedar_text){p->l.source.s + out->at, p->l.end_of_last - out->at};
	return OK;
}

static struct err name(struct parser *p, struct policy *q, size_t position, bool from_annotation)
{
	for (uint32_t i = 0; from_annotation && i < q->n_annotations; i++)
		if (text_is(q->annotations[i].key, "id")) {
			q->id = q->annotations[i].value;
			return OK;
		}
	char *id = arena_printf(p->b.arena, "policy%zu", position);
	NEED(id);
	q->id = cedar_text(id);
	return OK;
}

static struct err policies(struct parser *p, bool id_from_annotation)
{
	TRY(lexer_start(&p->l, p->b.source));
	for (size_t n = 0; p->l.now.kind != TOKEN_END; n++) {
		struct policy *q = arena_alloc(p->b.arena, sizeof *q);
		NEED(q);
		q->text = true;
		TRY(policy(p, q));
		TRY(name(p, q, n, id_from_annotation));
		TRY(cedar_policies_add(p->b.set, q));
	}
	return OK;
}

struct err cedar_policies_parse(struct cedar_text source,
				const struct cedar_policies_options *options,
				struct cedar_policies **out)
{
	struct cedar_policies *set;
	TRY(cedar_policies_make(source, &set));
	struct parser p = {.b = {.set = set, .arena = set->arena, .source = set->source}};
	struct err e = policies(&p, options && options->id_from_annotation);
	free(p.stack.v);
	free(p.keys.v);
	if (e.code) {
		cedar_policies_free(set);
		set = NULL;
	}
	*out = set;
	return e;
}
