// SPDX-License-Identifier: Apache-2.0
// A set of policies: ids, templates and their links.

#include "lib/cedar/ast.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t is_template = 1ull << 63;

struct err cedar_policies_make(struct cedar_text source, struct cedar_policies **out)
{
	*out = NULL;
	ENSURE(source.n <= CEDAR_SOURCE_MAX, ERR_LIMIT, "the policy text is longer than %d bytes",
	       CEDAR_SOURCE_MAX);
	ENSURE(cedar_utf8_valid(source), ERR_USAGE, "the policy text is not UTF-8");
	struct cedar_policies *p = calloc(1, sizeof *p);
	NEED(p);
	p->arena = arena_new((size_t)4 << 30);
	p->source = p->arena ? cedar_copy(p->arena, source) : (struct cedar_text){NULL, 0};
	if (!p->source.s) {
		cedar_policies_free(p);
		return cedar_no_memory();
	}
	*out = p;
	return OK;
}

void cedar_policies_free(struct cedar_policies *p)
{
	if (!p)
		return;
	free(p->policies.v);
	free(p->templates.v);
	free(p->literals.v);
	free(p->literal_slots);
	free(p->id_slots);
	arena_free(p->arena);
	free(p);
}

bool policy_is_template(const struct policy *p)
{
	return (p->principal.slot && !p->principal.uid) || (p->resource.slot && !p->resource.uid);
}

static const struct policy *at_slot(const struct cedar_policies *set, uint64_t slot)
{
	slot--;
	return slot & is_template ? set->templates.v[slot & ~is_template] : set->policies.v[slot];
}

static struct err ids_room(struct cedar_policies *set)
{
	size_t used = set->policies.n + set->templates.n;
	ENSURE(used < CEDAR_POLICIES_MAX, ERR_LIMIT, "more than %d policies in one set",
	       CEDAR_POLICIES_MAX);
	if (used * 2 < set->id_slots_n)
		return OK;
	size_t n = set->id_slots_n ? set->id_slots_n * 2 : 64;
	uint64_t *slots = calloc(n, sizeof *slots);
	NEED(slots);
	for (size_t i = 0; i < set->id_slots_n; i++) {
		uint64_t slot = set->id_slots[i];
		if (!slot)
			continue;
		size_t at = hash_text(at_slot(set, slot)->id, 0) & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = slot;
	}
	free(set->id_slots);
	set->id_slots = slots;
	set->id_slots_n = n;
	return OK;
}

// The slot of an id, or the empty one where it would be.
static uint64_t *find(const struct cedar_policies *set, struct cedar_text id)
{
	size_t mask = set->id_slots_n - 1, at = hash_text(id, 0) & mask;
	while (set->id_slots[at] && !text_equal(at_slot(set, set->id_slots[at])->id, id))
		at = (at + 1) & mask;
	return &set->id_slots[at];
}

struct err cedar_policies_add(struct cedar_policies *set, struct policy *p)
{
	TRY(ids_room(set));
	uint64_t *slot = find(set, p->id);
	if (*slot)
		return p->text ? cedar_syntax(set->source, p->at,
					      "the id \"%.*s\" is used by another policy",
					      TEXT_ARG(p->id))
			       : err_make(ERR_USAGE, "the id \"%.*s\" is used by another policy",
					  TEXT_ARG(p->id));
	if (policy_is_template(p)) {
		VEC_PUSH(&set->templates, p);
		*slot = set->templates.n | is_template;
		// at_slot takes one off, so the number is counted from one beside the top bit
	} else {
		VEC_PUSH(&set->policies, p);
		*slot = set->policies.n;
	}
	return OK;
}

static struct err fill(struct builder *b, const char *slot, struct scope *s,
		       const struct cedar_uid *uid)
{
	if (!s->slot) {
		ENSURE(!uid, ERR_USAGE, "the template has no slot %s", slot);
		return OK;
	}
	ENSURE(uid, ERR_USAGE, "the template's slot %s is not filled", slot);
	ENSURE(cedar_name_valid(uid->type, false) && cedar_utf8_valid(uid->id), ERR_USAGE,
	       "slot %s: \"%.*s\" is no type of entities", slot, TEXT_ARG(uid->type));
	struct cedar_text type = cedar_copy(b->arena, uid->type);
	struct cedar_text id = cedar_copy(b->arena, uid->id);
	NEED(type.s);
	NEED(id.s);
	return expr_entity(b, 0, type, id, &s->uid);
}

struct err cedar_policies_link(struct cedar_policies *p, struct cedar_text template_id,
			       struct cedar_text new_id, const struct cedar_uid *principal,
			       const struct cedar_uid *resource)
{
	TRY(ids_room(p));
	uint64_t slot = *find(p, template_id);
	ENSURE(slot && (slot - 1) & is_template, ERR_USAGE, "there is no template \"%.*s\"",
	       TEXT_ARG(template_id));
	ENSURE(cedar_utf8_valid(new_id), ERR_USAGE, "the id of a link is not UTF-8");
	struct builder b = {.set = p, .arena = p->arena, .source = p->source};
	struct policy *link = arena_alloc(p->arena, sizeof *link);
	NEED(link);
	*link = *at_slot(p, slot);
	link->template_id = link->id;
	link->text = false;
	link->id = cedar_copy(p->arena, new_id);
	NEED(link->id.s);
	TRY(fill(&b, "?principal", &link->principal, principal));
	TRY(fill(&b, "?resource", &link->resource, resource));
	return cedar_policies_add(p, link);
}

size_t cedar_policies_count(const struct cedar_policies *p)
{
	return p->policies.n;
}

struct cedar_policy_view cedar_policies_get(const struct cedar_policies *p, size_t i)
{
	if (i >= p->policies.n)
		return (struct cedar_policy_view){0};
	const struct policy *q = p->policies.v[i];
	struct cedar_policy_view view = {.id = q->id,
					 .source = q->source,
					 .template_id = q->template_id,
					 .permit = q->permit};
	unsigned column;
	if (q->source.n)
		cedar_position(p->source, q->at, &view.line, &column);
	return view;
}

bool cedar_policies_annotation(const struct cedar_policies *p, size_t i, const char *name,
			       struct cedar_text *out)
{
	const struct policy *q = i < p->policies.n ? p->policies.v[i] : NULL;
	for (uint32_t k = 0; q && k < q->n_annotations; k++)
		if (text_is(q->annotations[k].key, name)) {
			*out = q->annotations[k].value;
			return true;
		}
	return false;
}
