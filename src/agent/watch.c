// SPDX-License-Identifier: Apache-2.0

#include "agent/watch.h"

#include "agent/state_link.h"
#include "lib/base/clock.h"
#include "lib/gnmi/gnmi.pb-c.h"

#include <string.h>

#define INTERVAL_MIN (NS_PER_S / 10)
#define INTERVAL_MAX (24 * 3600 * NS_PER_S)

static const char *const roots[] = {"/interfaces", "/network-instances", "/acl",  "/lldp",
				    "/system",	   "/components",	 "/gemel"};

static bool known(const struct path_pattern *p)
{
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
		if (path_match_towards(p, roots[i], strlen(roots[i])) ||
		    path_match_under(p, roots[i], strlen(roots[i])))
			return true;
	return false;
}

struct err watch_pattern(const struct Gnmi__Path *prefix, const struct Gnmi__Path *path,
			 const char *device, struct path_pattern **out)
{
	char text[PATH_TEXT_MAX + 1];
	static const Gnmi__Path root = GNMI__PATH__INIT;
	const char *target = prefix && prefix->target && prefix->target[0] ? prefix->target : NULL;
	ENSURE(!target || strcmp(target, device) == 0, ERR_NOT_FOUND,
	       "target %.64s: this is %s, leave the target out or name it", target, device);
	TRY(path_text_of_message(prefix, path ? path : &root, text, NULL));
	TRY(path_pattern_new(text, out));
	if (known(*out))
		return OK;
	path_pattern_free(*out);
	*out = NULL;
	return err_make(ERR_NOT_FOUND,
			"%.300s: not here; this device has /interfaces, "
			"/network-instances, /acl, /lldp, /system, /components, /gemel",
			text);
}

struct err watch_encoding_of(int encoding, enum watch_encoding *out)
{
	*out = encoding == GNMI__ENCODING__PROTO       ? WATCH_PROTO
	       : encoding == GNMI__ENCODING__JSON_IETF ? WATCH_JSON_IETF
						       : WATCH_JSON;
	ENSURE(*out != WATCH_JSON || encoding == GNMI__ENCODING__JSON, ERR_USAGE,
	       "encoding %d is not served: use PROTO, JSON_IETF or JSON", encoding);
	return OK;
}

unsigned watch_what(const struct path_pattern *p)
{
	static const struct {
		const char *path;
		unsigned what;
	} of[] = {{"/interfaces", SAMPLE_INTERFACES},
		  {"/acl", SAMPLE_ACL},
		  {"/system", SAMPLE_SYSTEM},
		  {"/gemel", SAMPLE_SYSTEM}};
	unsigned what = 0;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++)
		if (path_match_towards(p, of[i].path, strlen(of[i].path)) ||
		    path_match_under(p, of[i].path, strlen(of[i].path)))
			what |= of[i].what;
	return what;
}

// Paths that have counters and nothing else: they do not change, they count.
static bool counts_only(const struct path_pattern *p)
{
	static const char *const parts[] = {"/state/counters", "/matched-packets",
					    "/matched-octets", "/total/instant", "/system/memory"};
	const char *text = path_pattern_text(p);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strstr(text, parts[i]))
			return true;
	return false;
}

static struct err interval_of(uint64_t asked, int64_t fallback, const char *path, int64_t *out)
{
	*out = asked ? (int64_t)asked : fallback;
	ENSURE(asked <= (uint64_t)INTERVAL_MAX, ERR_USAGE, "%.200s: an interval of more than a day",
	       path);
	ENSURE(*out >= INTERVAL_MIN, ERR_USAGE,
	       "%.200s: an interval of %lld ms is too short for this device: at least %lld ms",
	       path, (long long)(*out / NS_PER_MS), INTERVAL_MIN / NS_PER_MS);
	return OK;
}

static struct err item_read(const Gnmi__SubscriptionList *list, const Gnmi__Subscription *s,
			    const char *device, int64_t sample_ns, bool lenient,
			    struct watch_item *out)
{
	Gnmi__SubscriptionMode mode = s->mode;
	TRY(watch_pattern(list->prefix, s->path, device, &out->pattern));
	const char *text = path_pattern_text(out->pattern);
	out->what = watch_what(out->pattern);
	out->suppress_redundant = s->suppress_redundant;
	if (lenient && mode == GNMI__SUBSCRIPTION_MODE__ON_CHANGE && counts_only(out->pattern))
		mode = GNMI__SUBSCRIPTION_MODE__TARGET_DEFINED;
	switch (mode) {
	case GNMI__SUBSCRIPTION_MODE__ON_CHANGE:
		ENSURE(!counts_only(out->pattern), ERR_USAGE,
		       "%.200s: counters are not sent on change: subscribe with SAMPLE", text);
		out->on_change = true;
		break;
	case GNMI__SUBSCRIPTION_MODE__TARGET_DEFINED:
		out->on_change = out->sampled = out->only_volatile = true;
		return interval_of(0, sample_ns, text, &out->interval_ns);
	case GNMI__SUBSCRIPTION_MODE__SAMPLE:
		out->sampled = true;
		TRY(interval_of(s->sample_interval, sample_ns, text, &out->interval_ns));
		break;
	default:
		return err_make(ERR_USAGE, "%.200s: subscription mode %d does not exist", text,
				mode);
	}
	if (s->heartbeat_interval)
		TRY(interval_of(s->heartbeat_interval, 0, text, &out->heartbeat_ns));
	return OK;
}

struct err watch_read(const Gnmi__SubscriptionList *list, const char *device, int64_t sample_ns,
		      bool lenient, struct watch *out)
{
	*out = (struct watch){.updates_only = list->updates_only};
	ENSURE(list->n_subscription > 0, ERR_USAGE, "the subscription list names no path");
	ENSURE(list->n_subscription <= WATCH_ITEMS, ERR_LIMIT, "more than %d paths in one list",
	       WATCH_ITEMS);
	ENSURE(list->mode <= GNMI__SUBSCRIPTION_LIST__MODE__POLL, ERR_USAGE,
	       "subscription list mode %d does not exist", list->mode);
	out->mode = (enum watch_mode)list->mode;
	TRY(watch_encoding_of((int)list->encoding, &out->encoding));
	if (list->prefix && list->prefix->target &&
	    strlen(list->prefix->target) < sizeof out->target)
		memcpy(out->target, list->prefix->target, strlen(list->prefix->target) + 1);
	for (size_t i = 0; i < list->n_subscription; i++) {
		struct err e = item_read(list, list->subscription[i], device, sample_ns, lenient,
					 &out->items[i]);
		out->n = (unsigned)i + 1;
		if (e.code != ERR_NONE) {
			watch_clear(out);
			return e;
		}
	}
	return OK;
}

void watch_clear(struct watch *w)
{
	for (unsigned i = 0; i < w->n; i++)
		path_pattern_free(w->items[i].pattern);
	w->n = 0;
}

uint64_t watch_covers_once(const struct watch *w, const struct tree_leaf *leaf)
{
	uint64_t bits = 0;
	for (unsigned i = 0; i < w->n; i++)
		if (path_match_under(w->items[i].pattern, leaf->path, leaf->path_len))
			bits |= 1ULL << i;
	return bits;
}

uint64_t watch_on_change(const struct watch *w)
{
	uint64_t bits = 0;
	for (unsigned i = 0; i < w->n; i++)
		bits |= (uint64_t)w->items[i].on_change << i;
	return bits;
}

uint64_t watch_covers(const struct watch *w, struct tree_leaf *leaf, unsigned watcher)
{
	if (leaf->known >> watcher & 1)
		return leaf->match[watcher];
	uint64_t bits = watch_covers_once(w, leaf);
	leaf->match[watcher] = bits;
	leaf->known |= (uint8_t)(1u << watcher);
	return bits;
}

bool watch_concerned(const struct watch *w, const char *gone)
{
	size_t n = strlen(gone);
	for (unsigned i = 0; i < w->n; i++)
		if (w->items[i].on_change && (path_match_under(w->items[i].pattern, gone, n) ||
					      path_match_towards(w->items[i].pattern, gone, n)))
			return true;
	return false;
}

// --- time

void watch_schedule(struct watch *w, int64_t now_ns)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct watch_item *x = &w->items[i];
		x->next_ns = x->sampled ? now_ns + x->interval_ns : 0;
		x->next_heartbeat_ns = x->heartbeat_ns ? now_ns + x->heartbeat_ns : 0;
	}
}

// Steps over times that were missed: a late sample is one sample.
static bool reached(int64_t *next, int64_t interval, int64_t now_ns)
{
	if (!*next || *next > now_ns)
		return false;
	*next += (1 + (now_ns - *next) / interval) * interval;
	return true;
}

int64_t watch_due(struct watch *w, int64_t now_ns)
{
	int64_t earliest = 0;
	for (unsigned i = 0; i < w->n; i++) {
		struct watch_item *x = &w->items[i];
		x->due |= reached(&x->next_ns, x->interval_ns, now_ns);
		x->heartbeat_due |= reached(&x->next_heartbeat_ns, x->heartbeat_ns, now_ns);
		const int64_t next[] = {x->next_ns, x->next_heartbeat_ns};
		for (int k = 0; k < 2; k++)
			if (next[k] && (!earliest || next[k] < earliest))
				earliest = next[k];
	}
	return earliest;
}

bool watch_wants(const struct watch *w, uint64_t covers, const struct tree_leaf *leaf)
{
	for (unsigned i = 0; i < w->n; i++) {
		const struct watch_item *x = &w->items[i];
		if (!(covers >> i & 1))
			continue;
		if (x->heartbeat_due)
			return true;
		if (!x->due || (x->only_volatile && !(leaf->flags & TREE_VOLATILE)))
			continue;
		if (!x->suppress_redundant || leaf->version > x->version)
			return true;
	}
	return false;
}

void watch_sampled(struct watch *w, uint64_t version)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (w->items[i].due || w->items[i].heartbeat_due)
			w->items[i].version = version;
		w->items[i].due = w->items[i].heartbeat_due = false;
	}
}
