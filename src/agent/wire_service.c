// SPDX-License-Identifier: Apache-2.0
// gNMI's Capabilities, Get and Set (0.10, sections 3.2 to 3.4). Get answers from the tree after its
// counters have been read. In PROTO each leaf is an update; in JSON each node that a path names is
// one, with all below it (2.3.1). Set is refused: control comes over a tunnel of its own, with the
// proofs that an instruction must carry.

#include "agent/wire_internal.h"

#include "agent/rfc7951.h"
#include "agent/version.h"
#include "lib/base/clock.h"
#include "lib/gnmi/gnmi.pb-c.h"

#include <string.h>

enum { REQUEST_MAX = 64 << 10, ANSWER_MAX = 4 << 20 };

// --- Capabilities

static const char openconfig[] = "OpenConfig working group";
static const struct {
	const char *name, *organization, *version;
} models[] = {
	{"openconfig-interfaces", openconfig, "3.0.0"},
	{"openconfig-if-ethernet", openconfig, "2.12.1"},
	{"openconfig-if-ip", openconfig, "3.1.0"},
	{"openconfig-network-instance", openconfig, "1.3.0"},
	{"openconfig-aft", openconfig, "2.3.0"},
	{"openconfig-acl", openconfig, "1.3.0"},
	{"openconfig-lldp", openconfig, "0.2.1"},
	{"openconfig-system", openconfig, "0.17.1"},
	{"openconfig-platform", openconfig, "0.22.0"},
	{"gemel-agent", "Gemel", GEMEL_VERSION},
};
enum { MODELS = sizeof models / sizeof *models };

struct err service_models(Gnmi__ModelData *const *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool known = false;
		for (size_t k = 0; k < MODELS; k++)
			known |= strcmp(wanted[i]->name, models[k].name) == 0;
		ENSURE(known, ERR_USAGE, "use_models: %.64s is not here: see Capabilities",
		       wanted[i]->name);
	}
	return OK;
}

static void on_capabilities(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	static Gnmi__Encoding encodings[] = {GNMI__ENCODING__PROTO, GNMI__ENCODING__JSON_IETF,
					     GNMI__ENCODING__JSON};
	Gnmi__CapabilityResponse m = GNMI__CAPABILITY_RESPONSE__INIT;
	Gnmi__ModelData data[MODELS], *list[MODELS];
	for (size_t i = 0; i < MODELS; i++) {
		gnmi__model_data__init(&data[i]);
		data[i].name = (char *)(uintptr_t)models[i].name;
		data[i].organization = (char *)(uintptr_t)models[i].organization;
		data[i].version = (char *)(uintptr_t)models[i].version;
		list[i] = &data[i];
	}
	m.n_supported_models = MODELS;
	m.supported_models = list;
	m.n_supported_encodings = sizeof encodings / sizeof *encodings;
	m.supported_encodings = encodings;
	m.gnmi_version = (char *)(uintptr_t) "0.10.0";
	scoped(buf) struct buf out = {0};
	uint8_t *at = buf_space(&out, gnmi__capability_response__get_packed_size(&m));
	if (at)
		gnmi__capability_response__pack(&m, at);
	struct err e = buf_check(&out, "Capabilities");
	grpc_call_fail(call, e.code == ERR_NONE ? grpc_call_send(call, out.data, out.len) : e);
}

// --- Get

static void get_free(struct get *g)
{
	wire_sample_forget(g->wire, g);
	for (unsigned i = 0; i < g->n; i++)
		path_pattern_free(g->patterns[i]);
	*g = (struct get){0};
}

static struct err get_read(struct get *g, const Gnmi__GetRequest *m)
{
	static Gnmi__Path root = GNMI__PATH__INIT;
	Gnmi__Path *whole = &root, *const *paths = m->n_path ? m->path : &whole;
	size_t n = m->n_path ? m->n_path : 1;
	const char *target = m->prefix ? m->prefix->target : "";
	ENSURE(n <= WATCH_ITEMS, ERR_LIMIT, "more than %d paths in one Get", WATCH_ITEMS);
	ENSURE(m->type <= GNMI__GET_REQUEST__DATA_TYPE__OPERATIONAL, ERR_USAGE,
	       "Get type %d does not exist", m->type);
	TRY(service_models(m->use_models, m->n_use_models));
	TRY(watch_encoding_of((int)m->encoding, &g->encoding));
	g->empty = m->type == GNMI__GET_REQUEST__DATA_TYPE__CONFIG; // all that is here is state
	if (strlen(target) < sizeof g->target)
		memcpy(g->target, target, strlen(target) + 1);
	for (; g->n < n; g->n++)
		TRY(watch_pattern(m->prefix, paths[g->n], g->wire->conf->device,
				  &g->patterns[g->n]));
	return OK;
}

// Elements of a pattern, when each stands for exactly one of a path; else 0.
static unsigned fixed_elems(const struct path_pattern *p)
{
	static struct path parsed;
	const char *text = path_pattern_text(p);
	if (strstr(text, "...") || path_parse(text, strlen(text), &parsed).code != ERR_NONE)
		return 0;
	return parsed.elems;
}

static struct err get_json(struct get *g, const struct path_pattern *p, struct note *note)
{
	scoped(buf) struct buf json = {.limit = ANSWER_MAX};
	bool ietf = g->encoding == WATCH_JSON_IETF;
	unsigned elems = fixed_elems(p);
	char node[PATH_TEXT_MAX + 1] = "";
	bool root = strcmp(path_pattern_text(p), "/") == 0;
	for (struct tree_leaf *leaf = tree_after(g->wire->tree, ""); leaf;
	     leaf = tree_next(leaf, "/")) {
		if ((node[0] && tree_below(leaf->path, node)) ||
		    !path_match_under(p, leaf->path, leaf->path_len))
			continue;
		size_t n = elems ? rfc7951_cut(leaf->path, elems) : leaf->path_len;
		memcpy(node, root ? "/" : leaf->path, root ? 1 : n);
		node[root ? 1 : n] = 0;
		buf_reset(&json);
		TRY(rfc7951_node(&json, g->wire->tree, node, ietf));
		note_json(note, node, json.data, json.len);
	}
	return buf_check(&note->bytes, "Get");
}

static struct err get_proto(struct get *g, const struct path_pattern *p, struct note *note)
{
	for (struct tree_leaf *leaf = tree_after(g->wire->tree, ""); leaf;
	     leaf = tree_next(leaf, "/"))
		if (path_match_under(p, leaf->path, leaf->path_len))
			note_leaf(note, leaf);
	return buf_check(&note->bytes, "Get");
}

// One Notification for each path of the request, in its order (gNMI 3.3.2).
static struct err get_answer(struct get *g, struct note *note)
{
	ENSURE(g->wire->has_state, ERR_BUSY, "the device's state is still being read");
	note->bytes.limit = ANSWER_MAX;
	for (unsigned i = 0; i < g->n; i++) {
		note_start(note, g->encoding, g->target, clock_wall_ns());
		struct err e = g->empty			    ? OK
			       : g->encoding == WATCH_PROTO ? get_proto(g, g->patterns[i], note)
							    : get_json(g, g->patterns[i], note);
		TRY(e);
		ENSURE(note->writer.count || g->empty, ERR_NOT_FOUND, "%.300s: nothing is there",
		       path_pattern_text(g->patterns[i]));
		TRY(note_finish(note));
	}
	return OK;
}

static void on_refreshed(void *ctx)
{
	struct get *g = ctx;
	struct note note = {0};
	struct grpc_call *call = g->call;
	struct err e = get_answer(g, &note);
	if (e.code == ERR_LIMIT)
		e = err_make(ERR_LIMIT,
			     "the answer is larger than %d bytes: ask for less, or "
			     "Subscribe with mode ONCE",
			     ANSWER_MAX);
	if (e.code == ERR_NONE)
		e = grpc_call_send(call, note.bytes.data, note.bytes.len);
	grpc_call_fail(call, e);
	note_clear(&note);
	get_free(g);
}

static void on_get(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct get *g = ctx;
	unsigned what = 0;
	Gnmi__GetRequest *m = n <= REQUEST_MAX ? gnmi__get_request__unpack(NULL, n, message) : NULL;
	struct err e = m ? get_read(g, m)
			 : err_make(ERR_USAGE, "not a GetRequest of at most %d bytes", REQUEST_MAX);
	gnmi__get_request__free_unpacked(m, NULL);
	for (unsigned i = 0; i < g->n; i++)
		what |= watch_what(g->patterns[i]);
	if (e.code == ERR_NONE)
		e = wire_sample(g->wire, what, on_refreshed, g);
	if (e.code == ERR_NONE)
		return;
	get_free(g);
	grpc_call_fail(call, e);
}

static struct err on_get_start(void *ctx, struct grpc_call *call)
{
	struct service *s = ctx;
	TRY(service_admits(s, call));
	for (unsigned i = 0; i < GETS_MAX; i++) {
		struct get *g = &s->wire->gets[i];
		if (g->call)
			continue;
		*g = (struct get){.wire = s->wire, .call = call};
		grpc_call_set_context(call, g);
		return OK;
	}
	return err_make(ERR_LIMIT, "%d Gets are under way", GETS_MAX);
}

static void on_get_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	get_free(ctx);
}

const struct grpc_handlers wire_get_handlers = {
	.on_start = on_get_start,
	.on_message = on_get,
	.on_end = on_get_end,
};

// --- Set

static void on_set(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct service *s = ctx;
	if (s->twin)
		grpc_call_finish(call, GRPC_PERMISSION_DENIED,
				 "Set is not taken on the telemetry session: control has a tunnel "
				 "of its own");
	else
		grpc_call_finish(call, GRPC_UNIMPLEMENTED,
				 "Set arrives with the control tunnel; nothing was changed");
}

static struct err on_plain_start(void *ctx, struct grpc_call *call)
{
	return service_admits(ctx, call);
}

static const struct grpc_handlers capabilities_handlers = {.on_start = on_plain_start,
							   .on_message = on_capabilities};
static const struct grpc_handlers set_handlers = {.on_start = on_plain_start, .on_message = on_set};

struct err service_start(struct wire *w, struct service *s, bool twin)
{
	const struct grpc_limits limits = {.streams_max = 32};
	*s = (struct service){w, grpc_server_new(&limits), twin};
	ENSURE(s->grpc, ERR_LIMIT, "out of memory");
	TRY(grpc_server_add(s->grpc, "/gnmi.gNMI/Capabilities", GRPC_UNARY, &capabilities_handlers,
			    s));
	TRY(grpc_server_add(s->grpc, "/gnmi.gNMI/Get", GRPC_UNARY, &wire_get_handlers, s));
	TRY(grpc_server_add(s->grpc, "/gnmi.gNMI/Set", GRPC_UNARY, &set_handlers, s));
	return grpc_server_add(s->grpc, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &wire_subscribe_handlers,
			       s);
}
