// SPDX-License-Identifier: Apache-2.0
#include "repository/classes.h"

#include "lib/gnmi/path.h"

#include <stdlib.h>

// Filter rules tell an attacker where the gaps are; neighbour tables tell which people are where;
// accounts and keys are worse than both.
static const struct {
	const char *pattern;
	enum access_class class;
} shipped[] = {
	{"/system/aaa", CLASS_RESTRICTED},
	{"/.../password", CLASS_RESTRICTED},
	{"/.../secret", CLASS_RESTRICTED},
	{"/.../private-key", CLASS_RESTRICTED},
	{"/acl", CLASS_CONFIDENTIAL},
	{"/interfaces/interface/subinterfaces/subinterface/ipv4/neighbors", CLASS_CONFIDENTIAL},
	{"/interfaces/interface/subinterfaces/subinterface/ipv6/neighbors", CLASS_CONFIDENTIAL},
	{"/components/component/state/serial-no", CLASS_CONFIDENTIAL},
	{"/gemel/agent/state/version", CLASS_PUBLIC},
};
enum { SHIPPED = sizeof shipped / sizeof *shipped };

struct classes {
	size_t n;
	struct rule {
		struct path_pattern *pattern;
		enum access_class class;
	} rules[];
};

struct err classes_new(const struct daemon_conf *conf, struct classes **out)
{
	size_t configured = conf ? conf->classes.n : 0;
	struct classes *c = calloc(1, sizeof *c + (configured + SHIPPED) * sizeof *c->rules);
	ENSURE(c, ERR_LIMIT, "no memory for the rules of classes");
	struct err e = OK;
	for (size_t i = 0; i < configured + SHIPPED; i++) {
		const struct conf_class *rule =
			i < configured ? &((struct conf_class *)conf->classes.items)[i] : NULL;
		const char *text = rule ? rule->path : shipped[i - configured].pattern;
		e = path_pattern_new(text, &c->rules[i].pattern);
		if (e.code != ERR_NONE) {
			e = err_within(e, "classes: %s", text);
			break;
		}
		c->rules[i].class =
			rule ? (enum access_class)rule->class : shipped[i - configured].class;
		c->n++;
	}
	if (e.code != ERR_NONE) {
		classes_free(c);
		return e;
	}
	*out = c;
	return OK;
}

void classes_free(struct classes *c)
{
	for (size_t i = 0; c && i < c->n; i++)
		path_pattern_free(c->rules[i].pattern);
	free(c);
}

static const struct rule *decide(const struct classes *c, const char *path, size_t n)
{
	for (size_t i = 0; i < c->n; i++)
		if (path_match_under(c->rules[i].pattern, path, n))
			return &c->rules[i];
	return NULL;
}

enum access_class classes_of(const struct classes *c, const char *path, size_t n)
{
	const struct rule *rule = decide(c, path, n);
	return rule ? rule->class : CLASS_INTERNAL;
}

const char *classes_rule(const struct classes *c, const char *path, size_t n)
{
	const struct rule *rule = decide(c, path, n);
	return rule ? path_pattern_text(rule->pattern) : "(default)";
}
