// SPDX-License-Identifier: Apache-2.0

#include "models/value.h"

#include "models/state.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// A scalar in one shape, whichever way it was spoken: text (a view or `own`), or a number.
struct plain {
	bool is_text, is_number, is_bool, negative;
	const char *text;
	size_t len;
	uint64_t magnitude;
	char *own; // freed by value_set
};

static bool digits(const char *text, size_t n, uint64_t *out)
{
	*out = 0;
	if (n == 0 || n > 20)
		return false;
	for (size_t i = 0; i < n; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(text[i] - '0'), out))
			return false;
	return true;
}

static void plain_text(struct plain *p, const char *text, size_t n)
{
	p->is_text = true;
	p->text = text;
	p->len = n;
	p->negative = n > 0 && text[0] == '-'; // RFC 7951 6.1: 64-bit numbers are strings
	p->is_number = digits(text + p->negative, n - p->negative, &p->magnitude);
}

static void plain_integer(struct plain *p, int64_t i)
{
	p->is_number = true;
	p->negative = i < 0;
	p->magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
}

// A list of strings becomes "a, b, c".
static void plain_array(struct plain *p, const json_t *array)
{
	struct buf b = {.limit = VALUE_TEXT_MAX};
	size_t i;
	json_t *item;
	json_array_foreach(array, i, item)
	{
		if (!json_is_string(item)) {
			b.failed = true;
			break;
		}
		buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(item));
	}
	if (!b.failed && (p->own = strdup(buf_text(&b))) != NULL)
		plain_text(p, p->own, strlen(p->own));
	buf_clear(&b);
}

static void plain_json(struct plain *p, const struct batch_value *v)
{
	json_t *j = json_loadb((const char *)v->s.bytes, v->s.len, JSON_DECODE_ANY, NULL);
	if (json_is_string(j) && (p->own = strdup(json_string_value(j))) != NULL)
		plain_text(p, p->own, strlen(p->own));
	else if (json_is_integer(j))
		plain_integer(p, json_integer_value(j));
	else if (json_is_boolean(j)) {
		p->is_bool = true;
		p->magnitude = json_is_true(j);
	} else if (json_is_array(j))
		plain_array(p, j);
	else if (json_is_object(j))
		plain_text(p, (const char *)v->s.bytes, v->s.len); // kept as it was written
	json_decref(j);
}

static struct plain plain_of(const struct batch_value *v)
{
	struct plain p = {0};
	switch (v->type) {
	case VALUE_BOOL:
		p.is_bool = true;
		p.magnitude = v->b;
		break;
	case VALUE_INT:
		plain_integer(&p, v->i);
		break;
	case VALUE_UINT:
		p.is_number = true;
		p.magnitude = v->u;
		break;
	case VALUE_STRING:
		plain_text(&p, (const char *)v->s.bytes, v->s.len);
		break;
	case VALUE_JSON:
		plain_json(&p, v);
		break;
	default:
		break;
	}
	return p;
}

static enum value_outcome put(void *field, const void *value, size_t n)
{
	if (memcmp(field, value, n) == 0)
		return VALUE_SAME;
	memcpy(field, value, n);
	return VALUE_CHANGED;
}

static enum value_outcome put_text(char **field, const struct plain *p, size_t *bytes)
{
	if (!p->is_text || p->len > VALUE_TEXT_MAX || memchr(p->text, 0, p->len))
		return VALUE_REFUSED;
	if (*field && strlen(*field) == p->len && memcmp(*field, p->text, p->len) == 0)
		return VALUE_SAME;
	json_t *utf8 = json_stringn(p->text, p->len); // what answers can carry
	char *copy = utf8 ? strndup(p->text, p->len) : NULL;
	json_decref(utf8);
	if (!copy)
		return VALUE_REFUSED;
	*bytes -= *field ? strlen(*field) + 1 : 0;
	*bytes += p->len + 1;
	free(*field);
	*field = copy;
	return VALUE_CHANGED;
}

static enum value_outcome put_signed(void *field, const struct plain *p, unsigned bits)
{
	uint64_t most = (bits == 64 ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX) + p->negative;
	if (!p->is_number || p->magnitude > most)
		return VALUE_REFUSED;
	int64_t i = p->negative ? (int64_t)(0 - p->magnitude) : (int64_t)p->magnitude;
	int32_t small = (int32_t)i;
	return bits == 64 ? put(field, &i, sizeof i) : put(field, &small, sizeof small);
}

static enum value_outcome put_unsigned(void *field, const struct plain *p, unsigned bits)
{
	if (!p->is_number || p->negative || (bits == 32 && p->magnitude > UINT32_MAX))
		return VALUE_REFUSED;
	uint32_t small = (uint32_t)p->magnitude;
	return bits == 64 ? put(field, &p->magnitude, 8) : put(field, &small, 4);
}

static enum value_outcome put_bool(uint8_t *field, const struct plain *p)
{
	uint8_t b = p->magnitude != 0;
	if (!p->is_bool) {
		bool yes = p->is_text && p->len == 4 && memcmp(p->text, "true", 4) == 0;
		bool no = p->is_text && p->len == 5 && memcmp(p->text, "false", 5) == 0;
		if (!yes && !no)
			return VALUE_REFUSED;
		b = yes;
	}
	return put(field, &b, 1);
}

// "UP", "up", "openconfig-interfaces:UP"; what is not listed becomes OTHER where the list has it.
static int choice_of(const char *const *choices, const char *text, size_t n)
{
	const char *colon = memrchr(text, ':', n);
	size_t skip = colon ? (size_t)(colon + 1 - text) : 0;
	int other = -1;
	for (int i = 0; choices[i]; i++) {
		if (strlen(choices[i]) == n - skip &&
		    strncasecmp(choices[i], text + skip, n - skip) == 0)
			return i;
		if (strcmp(choices[i], "OTHER") == 0)
			other = i;
	}
	return other;
}

static enum value_outcome put_choice(uint8_t *field, const struct plain *p,
				     const char *const *choices)
{
	int i = p->is_text ? choice_of(choices, p->text, p->len) : -1;
	uint8_t choice = (uint8_t)i;
	return i < 0 ? VALUE_REFUSED : put(field, &choice, 1);
}

static enum value_outcome put_mac(uint8_t *field, const struct plain *p)
{
	char copy[18] = {0};
	unsigned b[6];
	int end = 0;
	if (!p->is_text || p->len != 17)
		return VALUE_REFUSED;
	memcpy(copy, p->text, 17);
	if (strspn(copy, "0123456789abcdefABCDEF:") != 17 ||
	    sscanf(copy, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) != 6 ||
	    end != 17)
		return VALUE_REFUSED;
	uint8_t mac[6];
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return put(field, mac, 6);
}

static enum value_outcome put_address(struct address *field, const struct plain *p)
{
	struct address a;
	if (!p->is_text || !address_parse(p->text, p->len, &a))
		return VALUE_REFUSED;
	return put(field, &a, sizeof a);
}

static enum value_outcome put_prefix(struct prefix *field, const struct plain *p)
{
	struct prefix x;
	if (!p->is_text || !prefix_parse(p->text, p->len, &x))
		return VALUE_REFUSED;
	return put(field, &x, sizeof x);
}

// 80, "80", "1024..65535".
static enum value_outcome put_ports(struct ports *field, const struct plain *p)
{
	uint64_t low = p->magnitude, high = p->magnitude;
	if (!p->is_number) {
		const char *dots = p->is_text ? memmem(p->text, p->len, "..", 2) : NULL;
		if (!dots || !digits(p->text, (size_t)(dots - p->text), &low) ||
		    !digits(dots + 2, p->len - (size_t)(dots - p->text) - 2, &high))
			return VALUE_REFUSED;
	}
	if (p->negative || low > high || high > 65535)
		return VALUE_REFUSED;
	struct ports ports = {(uint16_t)low, (uint16_t)high};
	return put(field, &ports, sizeof ports);
}

int protocol_parse(const char *text, size_t n)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {
		{"ICMP", 1},  {"IGMP", 2},   {"TCP", 6},     {"UDP", 17},	{"GRE", 47},
		{"ESP", 50},  {"AH", 51},    {"ICMPV6", 58}, {"IPV6-ICMP", 58}, {"OSPF", 89},
		{"PIM", 103}, {"VRRP", 112}, {"SCTP", 132},  {"UDPLITE", 136},	{"DCCP", 33},
	};
	uint64_t number;
	if (digits(text, n, &number))
		return number <= 255 ? (int)number : -1;
	const char *colon = memrchr(text, ':', n);
	size_t skip = colon ? (size_t)(colon + 1 - text) : 0;
	if (n - skip > 3 && strncasecmp(text + skip, "IP_", 3) == 0)
		skip += 3; // OpenConfig's identities
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i].name) == n - skip &&
		    strncasecmp(known[i].name, text + skip, n - skip) == 0)
			return known[i].number;
	return -1;
}

static enum value_outcome put_protocol(int16_t *field, const struct plain *p)
{
	int number = -1;
	if (p->is_text)
		number = protocol_parse(p->text, p->len);
	else if (p->is_number && !p->negative && p->magnitude <= 255)
		number = (int)p->magnitude;
	int16_t protocol = (int16_t)number;
	return number < 0 ? VALUE_REFUSED : put(field, &protocol, sizeof protocol);
}

// "ESTABLISHED", "established,related", "NEW ESTABLISHED".
static enum value_outcome put_connection(uint8_t *field, const struct plain *p)
{
	static const char *const names[] = {"NEW", "ESTABLISHED", "RELATED", "INVALID",
					    "UNTRACKED"};
	uint8_t set = 0;
	for (size_t at = 0; p->is_text && at < p->len;) {
		size_t end = at;
		while (end < p->len && p->text[end] != ',' && p->text[end] != ' ')
			end++;
		unsigned i = 0;
		for (; i < 5; i++)
			if (strlen(names[i]) == end - at &&
			    strncasecmp(names[i], p->text + at, end - at) == 0)
				break;
		if (end > at && i == 5)
			return VALUE_REFUSED;
		if (end > at)
			set |= (uint8_t)(1u << i);
		at = end + 1;
	}
	return set ? put(field, &set, 1) : VALUE_REFUSED;
}

static enum value_outcome put_counter(struct counters **field, const struct plain *p,
				      unsigned which, int64_t time_ns, size_t *bytes)
{
	if (!p->is_number || p->negative)
		return VALUE_REFUSED;
	if (!*field) {
		*field = calloc(1, sizeof **field);
		if (!*field)
			return VALUE_REFUSED;
		(*field)->rate[0] = (*field)->rate[1] = -1;
		*bytes += sizeof **field;
	}
	struct counters *c = *field;
	int direction = which == IN_OCTETS ? 0 : which == OUT_OCTETS ? 1 : -1;
	if (direction >= 0) {
		int64_t then = c->octets_ns[direction];
		if (time_ns > then) {
			// A counter that went back began anew: the next pair tells the rate.
			bool usable = then > 0 && p->magnitude >= c->value[which];
			c->rate[direction] = usable ? (double)(p->magnitude - c->value[which]) *
							      8e9 / (double)(time_ns - then)
						    : -1;
			c->octets_ns[direction] = time_ns;
		}
	}
	c->value[which] = p->magnitude;
	return VALUE_CHANGED;
}

static enum value_outcome put_any(const struct schema_leaf *leaf, void *field,
				  const struct plain *p, int64_t time_ns, size_t *bytes)
{
	switch (leaf->type) {
	case LEAF_NONE:
		return VALUE_SAME;
	case LEAF_TEXT:
		return put_text(field, p, bytes);
	case LEAF_U64:
		return put_unsigned(field, p, 64);
	case LEAF_U32:
		return put_unsigned(field, p, 32);
	case LEAF_I32:
		return put_signed(field, p, 32);
	case LEAF_I64:
		return put_signed(field, p, 64);
	case LEAF_BOOL:
		return put_bool(field, p);
	case LEAF_CHOICE:
		return put_choice(field, p, leaf->choices);
	case LEAF_MAC:
		return put_mac(field, p);
	case LEAF_ADDRESS:
		return put_address(field, p);
	case LEAF_PREFIX:
		return put_prefix(field, p);
	case LEAF_PORTS:
		return put_ports(field, p);
	case LEAF_PROTOCOL:
		return put_protocol(field, p);
	case LEAF_CONNECTION:
		return put_connection(field, p);
	case LEAF_COUNTER:
		return put_counter(field, p, leaf->bit, time_ns, bytes);
	}
	return VALUE_REFUSED;
}

enum value_outcome value_set(const struct schema_leaf *leaf, void *object,
			     const struct batch_value *v, int64_t time_ns, size_t *bytes)
{
	struct plain p = plain_of(v);
	enum value_outcome o = put_any(leaf, (char *)object + leaf->offset, &p, time_ns, bytes);
	free(p.own);
	return o;
}

void value_clear(const struct schema_leaf *leaf, void *object, size_t *bytes)
{
	static const uint8_t sizes[] = {
		[LEAF_U64] = 8,
		[LEAF_U32] = 4,
		[LEAF_I32] = 4,
		[LEAF_I64] = 8,
		[LEAF_BOOL] = 1,
		[LEAF_CHOICE] = 1,
		[LEAF_MAC] = 6,
		[LEAF_ADDRESS] = sizeof(struct address),
		[LEAF_PREFIX] = sizeof(struct prefix),
		[LEAF_PORTS] = sizeof(struct ports),
		[LEAF_PROTOCOL] = 2,
		[LEAF_CONNECTION] = 1,
	};
	void *field = (char *)object + leaf->offset;
	if (leaf->type == LEAF_TEXT) {
		char **text = field;
		*bytes -= *text ? strlen(*text) + 1 : 0;
		free(*text);
		*text = NULL;
	} else if (leaf->type == LEAF_COUNTER) {
		struct counters **c = field; // one leaf gone: its direction's rate is not known
		if (*c) {
			(*c)->value[leaf->bit] = 0;
			if (leaf->bit == IN_OCTETS || leaf->bit == OUT_OCTETS) {
				(*c)->rate[leaf->bit == OUT_OCTETS] = -1;
				(*c)->octets_ns[leaf->bit == OUT_OCTETS] = 0;
			}
		}
	} else if (leaf->type != LEAF_NONE) {
		memset(field, 0, sizes[leaf->type]);
	}
}
