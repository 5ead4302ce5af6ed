// SPDX-License-Identifier: Apache-2.0
// What a plan, a verdict and an approval may say. The same checks for who writes and who reads, so
// that nothing is signed that a device would refuse for its form.
#include "lib/instruction/internal.h"

#include <string.h>

enum { IPV4 = 4, IPV6 = 16, TCP = 6, UDP = 17, PROTOCOL_MAX = 255, PORT_MAX = 65535 };

// --- addresses, interfaces

static bool address_is(ProtobufCBinaryData a)
{
	return message_is(a, IPV4) || message_is(a, IPV6);
}

static bool prefix_is(const Prefix *p)
{
	if (!address_is(p->address) || p->length > 8 * p->address.len)
		return false;
	for (size_t bit = p->length; bit < 8 * p->address.len; bit++)
		if (p->address.data[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static bool prefix_same(const Prefix *a, const Prefix *b)
{
	return a->length == b->length && message_equal(a->address, b->address.data, b->address.len);
}

static bool interface_is(const char *s)
{
	return message_text(s, INSTRUCTION_INTERFACE_MAX) && *s && !strpbrk(s, "/ \"") &&
	       strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

// --- changes

static bool ports_are(const Gemel__Control__V1__PortRange *r, uint32_t protocol)
{
	return !r || ((protocol == TCP || protocol == UDP) && r->low >= 1 && r->low <= r->high &&
		      r->high <= PORT_MAX);
}

static struct err acl_check(const Gemel__Control__V1__AclEntry *e)
{
	ENSURE(e->sequence_id >= 1 && e->sequence_id <= PORT_MAX, ERR_PEER,
	       "acl: sequence_id %u: must be 1 to %d", e->sequence_id, PORT_MAX);
	ENSURE(e->hook >= GEMEL__CONTROL__V1__ACL_HOOK__FORWARD &&
		       e->hook <= GEMEL__CONTROL__V1__ACL_HOOK__OUTPUT,
	       ERR_PEER, "acl %u: hook: must be FORWARD, INPUT or OUTPUT", e->sequence_id);
	ENSURE(e->action >= GEMEL__CONTROL__V1__ACL_ACTION__ACCEPT &&
		       e->action <= GEMEL__CONTROL__V1__ACL_ACTION__REJECT,
	       ERR_PEER, "acl %u: action: must be ACCEPT, DROP or REJECT", e->sequence_id);
	ENSURE((!e->source || prefix_is(e->source)) &&
		       (!e->destination || prefix_is(e->destination)),
	       ERR_PEER, "acl %u: a prefix has a wrong length, or bits beyond it", e->sequence_id);
	ENSURE(!e->source || !e->destination ||
		       e->source->address.len == e->destination->address.len,
	       ERR_PEER, "acl %u: source and destination are of two families", e->sequence_id);
	ENSURE(e->protocol <= PROTOCOL_MAX, ERR_PEER, "acl %u: protocol %u: must be 0 to %d",
	       e->sequence_id, e->protocol, PROTOCOL_MAX);
	ENSURE(ports_are(e->source_port, e->protocol) &&
		       ports_are(e->destination_port, e->protocol),
	       ERR_PEER, "acl %u: ports: low to high, 1 to %d, and only for TCP and UDP",
	       e->sequence_id, PORT_MAX);
	ENSURE((!*e->input_interface || interface_is(e->input_interface)) &&
		       (!*e->output_interface || interface_is(e->output_interface)),
	       ERR_PEER, "acl %u: no name of an interface", e->sequence_id);
	ENSURE(message_text(e->description, INSTRUCTION_DESCRIPTION_MAX), ERR_PEER,
	       "acl %u: description: one line of at most %d bytes", e->sequence_id,
	       INSTRUCTION_DESCRIPTION_MAX);
	return OK;
}

static struct err route_check(const Gemel__Control__V1__StaticRoute *r, bool remove)
{
	ENSURE(r->prefix && prefix_is(r->prefix), ERR_PEER,
	       "route: the prefix is missing, has a wrong length, or bits beyond it");
	ENSURE(r->n_next_hops <= INSTRUCTION_HOPS_MAX, ERR_PEER, "route: at most %d next hops",
	       INSTRUCTION_HOPS_MAX);
	ENSURE(remove ? r->n_next_hops == 0 && !r->discard : (r->n_next_hops > 0) != r->discard,
	       ERR_PEER, "route: next hops, or discard, not both; and neither when it is removed");
	for (size_t i = 0; i < r->n_next_hops; i++) {
		const Gemel__Control__V1__NextHop *h = r->next_hops[i];
		ENSURE(h->address.len == 0 ||
			       (address_is(h->address) && h->address.len == r->prefix->address.len),
		       ERR_PEER, "route: next hop %zu: an address of another family", i);
		ENSURE(h->address.len || *h->interface, ERR_PEER,
		       "route: next hop %zu: neither address nor interface", i);
		ENSURE(!*h->interface || interface_is(h->interface), ERR_PEER,
		       "route: next hop %zu: no name of an interface", i);
		ENSURE(h->weight <= 256, ERR_PEER, "route: next hop %zu: weight: 0 to 256", i);
	}
	return OK;
}

static struct err interface_check(const Gemel__Control__V1__InterfaceChange *f, bool remove)
{
	ENSURE(interface_is(f->name), ERR_PEER, "interface: no name of an interface");
	ENSURE(!remove, ERR_PEER, "interface %s: cannot be removed", f->name);
	ENSURE(f->admin <= GEMEL__CONTROL__V1__ADMIN_STATE__ADMIN_DOWN && (int)f->admin >= 0,
	       ERR_PEER, "interface %s: admin: must be ADMIN_UP, ADMIN_DOWN or as it is", f->name);
	ENSURE(f->describe || !*f->description, ERR_PEER,
	       "interface %s: a description that is not to be set", f->name);
	ENSURE(message_text(f->description, INSTRUCTION_DESCRIPTION_MAX), ERR_PEER,
	       "interface %s: description: one line of at most %d bytes", f->name,
	       INSTRUCTION_DESCRIPTION_MAX);
	ENSURE(f->describe || f->admin, ERR_PEER, "interface %s: nothing changes", f->name);
	return OK;
}

static struct err change_check(const Change *c)
{
	switch (c->change_case) {
	case GEMEL__CONTROL__V1__CHANGE__CHANGE_ACL:
		return acl_check(c->acl);
	case GEMEL__CONTROL__V1__CHANGE__CHANGE_ROUTE:
		return route_check(c->route, c->remove);
	case GEMEL__CONTROL__V1__CHANGE__CHANGE_INTERFACE:
		return interface_check(c->interface, c->remove);
	default:
		return err_make(ERR_PEER, "a change of nothing");
	}
}

// Two changes of one thing: what would be in force then depends on the order.
static bool change_same(const Change *a, const Change *b)
{
	if (a->change_case != b->change_case)
		return false;
	if (a->change_case == GEMEL__CONTROL__V1__CHANGE__CHANGE_ACL)
		return a->acl->hook == b->acl->hook && a->acl->sequence_id == b->acl->sequence_id;
	if (a->change_case == GEMEL__CONTROL__V1__CHANGE__CHANGE_ROUTE)
		return a->route->metric == b->route->metric &&
		       prefix_same(a->route->prefix, b->route->prefix);
	return strcmp(a->interface->name, b->interface->name) == 0;
}

static struct err changes_check(const Plan *p)
{
	ENSURE(p->n_changes <= INSTRUCTION_CHANGES_MAX, ERR_PEER, "plan: at most %d changes",
	       INSTRUCTION_CHANGES_MAX);
	ENSURE((p->n_changes > 0) != (*p->withdraws != 0), ERR_PEER,
	       "plan: either changes, or the id of the plan that it withdraws");
	for (size_t i = 0; i < p->n_changes; i++) {
		struct err e = change_check(p->changes[i]);
		if (e.code != ERR_NONE)
			return err_within(e, "plan: change %zu", i);
		for (size_t j = 0; j < i; j++)
			ENSURE(!change_same(p->changes[i], p->changes[j]), ERR_PEER,
			       "plan: changes %zu and %zu are of the same thing", j, i);
	}
	return OK;
}

struct err plan_check(const Plan *p)
{
	ENSURE(message_name(p->id), ERR_PEER, "plan: id: 1 to %d letters, digits or . _ : @ -",
	       INSTRUCTION_NAME_MAX);
	ENSURE(message_name(p->device), ERR_PEER, "plan: device: no name");
	ENSURE(message_name(p->domain), ERR_PEER, "plan: domain: no name");
	ENSURE(message_name(p->requester), ERR_PEER, "plan: requester: no account");
	ENSURE(message_name(p->class_), ERR_PEER, "plan: class: no name");
	ENSURE(!*p->withdraws || (message_name(p->withdraws) && strcmp(p->withdraws, p->id) != 0),
	       ERR_PEER, "plan: withdraws: no id of another plan");
	ENSURE(message_text(p->reason, INSTRUCTION_REASON_MAX), ERR_PEER,
	       "plan: reason: one line of at most %d bytes", INSTRUCTION_REASON_MAX);
	ENSURE(p->created_ns > 0 && p->expires_ns > p->created_ns &&
		       p->expires_ns - p->created_ns <= INSTRUCTION_PLAN_LIFE_NS,
	       ERR_PEER, "plan: it must expire after it was made, and within 7 days");
	ENSURE(p->confirm_s >= 1 && p->confirm_s <= INSTRUCTION_CONFIRM_MAX_S, ERR_PEER,
	       "plan: confirm_s %u: must be 1 to %d", p->confirm_s, INSTRUCTION_CONFIRM_MAX_S);
	ENSURE(p->approvals_required <= INSTRUCTION_APPROVALS_MAX, ERR_PEER,
	       "plan: approvals_required %u: at most %d", p->approvals_required,
	       INSTRUCTION_APPROVALS_MAX);
	return changes_check(p);
}

struct err instruction_plan_read(const uint8_t *plan, size_t n, struct arena *a, Plan **out)
{
	Plan *p;
	TRY(message_read(&gemel__control__v1__plan__descriptor, plan, n, INSTRUCTION_PLAN_MAX, a,
			 &p));
	TRY(plan_check(p));
	*out = p;
	return OK;
}

void instruction_plan_digest(const uint8_t *plan, size_t n, uint8_t out[HASH_SIZE])
{
	static const char title[] = "gemel plan v1\n";
	hash_parts((struct hash_part[]){{title, sizeof title - 1}, {plan, n}}, 2, out);
}

struct err instruction_precondition(const struct instruction_leaf *leaves, size_t n,
				    uint8_t out[HASH_SIZE])
{
	scoped(buf) struct buf b = {0};
	buf_str(&b, "gemel precondition v1\n");
	for (size_t i = 0; i < n; i++) {
		ENSURE(i == 0 || strcmp(leaves[i - 1].path, leaves[i].path) < 0, ERR_USAGE,
		       "precondition: %.200s: paths must ascend", leaves[i].path);
		ENSURE(leaves[i].len <= UINT32_MAX, ERR_USAGE, "precondition: a value too long");
		buf_be32(&b, (uint32_t)strlen(leaves[i].path));
		buf_str(&b, leaves[i].path);
		buf_be32(&b, (uint32_t)leaves[i].len);
		buf_append(&b, leaves[i].value, leaves[i].len);
	}
	TRY(buf_check(&b, "precondition"));
	hash_sha256(b.data, b.len, out);
	return OK;
}

// --- verdict, approval

struct err verdict_check(const Verdict *v)
{
	ENSURE(message_is(v->plan_digest, HASH_SIZE) && message_is(v->precondition, HASH_SIZE) &&
		       message_is(v->read_set, HASH_SIZE),
	       ERR_PEER, "verdict: a digest that has not %d bytes", HASH_SIZE);
	ENSURE(v->twin_revision > 0 && v->time_ns > 0, ERR_PEER,
	       "verdict: no revision of the twin, or no time");
	ENSURE(v->outcome >= GEMEL__CONTROL__V1__VERDICT_OUTCOME__HARMLESS &&
		       v->outcome <= GEMEL__CONTROL__V1__VERDICT_OUTCOME__INCONCLUSIVE,
	       ERR_PEER, "verdict: outcome: must be HARMLESS, HARMFUL or INCONCLUSIVE");
	return OK;
}

struct err approval_check(const Approval *v)
{
	ENSURE(message_is(v->plan_digest, HASH_SIZE), ERR_PEER,
	       "approval: plan_digest: has not %d bytes", HASH_SIZE);
	ENSURE(message_is(v->key_id, SIGN_KEY_ID), ERR_PEER, "approval: key_id: has not %d bytes",
	       SIGN_KEY_ID);
	ENSURE(message_name(v->account) && v->time_ns > 0, ERR_PEER,
	       "approval: no account, or no time");
	ENSURE(v->outcome >= GEMEL__CONTROL__V1__APPROVAL_OUTCOME__APPROVED &&
		       v->outcome <= GEMEL__CONTROL__V1__APPROVAL_OUTCOME__BREAK_GLASS,
	       ERR_PEER, "approval: outcome: must be APPROVED, REFUSED or BREAK_GLASS");
	return OK;
}
