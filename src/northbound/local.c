// SPDX-License-Identifier: Apache-2.0
// What northbound answers by itself: health, figures, the API's own description, the console's files.
#include "northbound/northbound.h"

#include "lib/base/clock.h"
#include "northbound/prometheus.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// --- health

static void health(struct exchange *x)
{
	static const enum process_id needed[] = {PROCESS_MANAGEMENT, PROCESS_REPOSITORY, PROCESS_MODELS};
	json_t *away = json_array();
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!x->nb->p->peers[needed[i]])
			json_array_append_new(away, json_string(process_name(needed[i])));
	bool ok = json_array_size(away) == 0;
	json_t *body = json_pack("{s:s,s:o}", "status", ok ? "ok" : "degraded", "away", away);
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	http_add_header(x->http, "Cache-Control", "no-store");
	exchange_answer(x, ok ? 200 : 503, "application/json", text, text ? strlen(text) : 0);
	free(text);
}

// --- figures

struct err local_metrics_keep(struct northbound *nb, const struct ipc_message *m)
{
	struct err e = OK;
	enum process_id id;
	Ipc__Metrics *set = IPC_UNPACK(metrics, m, nb->p->scratch, &e);
	if (!set)
		return e;
	ENSURE(m->len <= METRICS_BYTES_MAX, ERR_PEER, "METRICS of %zu bytes", m->len);
	if (!process_by_name(set->process, &id)) // the parent's own
		id = PROCESS_PARENT;
	uint8_t *copy = malloc(m->len + 1);
	ENSURE(copy, ERR_LIMIT, "out of memory for metrics");
	memcpy(copy, m->bytes, m->len);
	free(nb->metrics[id]);
	nb->metrics[id] = copy;
	nb->metrics_len[id] = m->len;
	return OK;
}

void local_counts(struct northbound *nb)
{
	struct process *p = nb->p;
	process_metric(p, "gemel_http_requests_total", "", (double)nb->requests, true,
		       "Requests at both doors");
	process_metric(p, "gemel_http_refused_total", "", (double)nb->refused, true,
		       "Requests refused by northbound itself");
	process_metric(p, "gemel_http_connections", "", http_connections(nb->http), false,
		       "Open HTTPS connections");
	process_metric(p, "gemel_event_streams", "", nb->n_streams, false, "Open event streams");
	process_metric(p, "gemel_events_total", "", (double)nb->events, true, "Events taken");
}

static void figures(struct exchange *x)
{
	const Ipc__Metrics *sets[PROCESS_COUNT];
	size_t n = 0;
	unsigned refused;
	scoped(buf) struct buf out = {.limit = 4 << 20};
	for (int i = 0; i < PROCESS_COUNT; i++) {
		struct err e = OK;
		const void *set = x->nb->metrics[i]
					  ? ipc_unpack(&ipc__metrics__descriptor, x->nb->metrics[i],
						       x->nb->metrics_len[i], x->arena, &e)
					  : NULL;
		if (set)
			sets[n++] = set;
	}
	prometheus_render(sets, n, &out, &refused);
	http_add_header(x->http, "Cache-Control", "no-store");
	exchange_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}

// --- the table of what is answered here

static void openapi(struct exchange *x)
{
	http_add_header(x->http, "Cache-Control", "no-cache");
	exchange_answer(x, 200, "application/json", x->nb->openapi, x->nb->openapi_len);
}

void local_answer(struct exchange *x)
{
	if (x->r.op == &operations[OP_events_stream])
		stream_begin(x);
	else if (x->r.op == &operations[OP_health_get])
		health(x);
	else if (x->r.op == &operations[OP_metrics_get])
		figures(x);
	else if (x->r.op == &operations[OP_openapi_get])
		openapi(x);
	else
		exchange_refuse(x, err_make(ERR_INTERNAL, "%s has no answer", x->r.op->id), 500, NULL);
}

// --- the console's files

bool local_file(struct exchange *x)
{
	const char *target = http_target(x->http);
	const char *known = http_header(x->http, "If-None-Match");
	size_t n = strcspn(target, "?");
	const struct file *f = n == 1 ? files_find(x->nb->files, "/index.html", 11)
				      : files_find(x->nb->files, target, n);
	if (!f)
		return false;
	http_add_header(x->http, "Content-Security-Policy",
			"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
			"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
	http_add_header(x->http, "X-Frame-Options", "DENY");
	http_add_header(x->http, "Referrer-Policy", "no-referrer");
	http_add_header(x->http, "Cross-Origin-Opener-Policy", "same-origin");
	http_add_header(x->http, "Cross-Origin-Resource-Policy", "same-origin");
	http_add_header(x->http, "Cache-Control", "no-cache");
	http_add_header(x->http, "ETag", f->etag);
	if (known && strstr(known, f->etag))
		exchange_answer(x, 304, NULL, NULL, 0);
	else
		exchange_answer(x, 200, f->type, f->bytes, f->len);
	return true;
}
