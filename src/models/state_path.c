// SPDX-License-Identifier: Apache-2.0
// From an object back to its path, so that an answer can name the record that decided it.

#include "models/state.h"

#include <stdio.h>
#include <string.h>

#define AFT "/network-instances/network-instance[name=default]/afts"

static void escaped(struct buf *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == ']' || text[i] == '\\')
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)text[i]);
	}
}

static void path_named(struct buf *b, const char *before, const char *text, const char *after)
{
	buf_str(b, before);
	escaped(b, text, strlen(text));
	buf_str(b, after);
}

static void path_addressed(struct buf *b, const char *interface, const struct prefix *p,
			   const char *list)
{
	char text[ADDRESS_TEXT_MAX];
	path_named(b, "/interfaces/interface[name=", interface, "]");
	buf_printf(b, "/subinterfaces/subinterface[index=0]/ipv%u/%s[ip=%s]", p->address.family,
		   list, address_print(&p->address, text));
}

static void path_entry(struct buf *b, const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];
	buf_printf(b, AFT "/ipv%u-unicast/ipv%u-entry[prefix=%s]", p->address.family,
		   p->address.family, prefix_print(p, text));
}

// The text of a set is TYPE:FAMILY:TABLE:CHAIN.
static void path_set(struct buf *b, const char *text)
{
	const char *colon = strchr(text, ':');
	path_named(b, "/acl/acl-sets/acl-set[name=", colon + 1, "][type=");
	escaped(b, text, (size_t)(colon - text));
	buf_str(b, "]");
}

static void path_object(const struct catalogue_device *d, enum object_kind kind, uint32_t index,
			struct buf *b)
{
	const struct identity *id = catalogue_identity(d, kind, index);
	const struct identity_list *interfaces = &d->of[OBJECT_INTERFACE];
	switch (kind) {
	case OBJECT_INTERFACE:
		path_named(b, "/interfaces/interface[name=", id->text, "]");
		break;
	case OBJECT_ADDRESS:
		path_addressed(b, interfaces->items[id->parent].text, &id->prefix,
			       "addresses/address");
		break;
	case OBJECT_NEIGHBOUR:
		path_addressed(b, interfaces->items[id->parent].text, &id->prefix,
			       "neighbors/neighbor");
		break;
	case OBJECT_LLDP:
		path_named(b,
			   "/lldp/interfaces/interface[name=", interfaces->items[id->parent].text,
			   "]");
		path_named(b, "/neighbors/neighbor[id=", id->text, "]");
		break;
	case OBJECT_ENTRY:
		path_entry(b, &id->prefix);
		break;
	case OBJECT_GROUP:
		buf_printf(b, AFT "/next-hop-groups/next-hop-group[id=%llu]",
			   (unsigned long long)id->number);
		break;
	case OBJECT_MEMBER:
		path_object(d, OBJECT_GROUP, id->parent, b);
		buf_printf(b, "/next-hops/next-hop[index=%llu]", (unsigned long long)id->number);
		break;
	case OBJECT_NEXT_HOP:
		buf_printf(b, AFT "/next-hops/next-hop[index=%llu]",
			   (unsigned long long)id->number);
		break;
	case OBJECT_SET:
		path_set(b, id->text);
		break;
	case OBJECT_RULE:
		path_set(b, d->of[OBJECT_SET].items[id->parent].text);
		path_named(b, "/acl-entries/acl-entry[sequence-id=", id->text, "]");
		break;
	default:
		buf_str(b, "/");
		break;
	}
}

char *state_path(const struct state *s, uint32_t device, enum object_kind kind, uint32_t index,
		 char out[STATE_PATH_MAX])
{
	scoped(buf) struct buf b = {.limit = 8192};
	path_object(catalogue_device(state_catalogue(s), device), kind, index, &b);
	snprintf(out, STATE_PATH_MAX, "%s", buf_text(&b));
	return out;
}
