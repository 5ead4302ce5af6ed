// SPDX-License-Identifier: Apache-2.0
// What a simulated device reports: the counters of its interfaces, which move like counters do, in
// one batch for each sample, at the interval that Subscribe asks for. A batch is kept until it is
// acknowledged, and sent again on a new stream. All devices share the table of paths.
#include "simulated_devices.h"

#include "lib/base/clock.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"

#include <stdlib.h>
#include <string.h>

static const char *const counters[SIMULATED_COUNTERS] = {
	"in-octets",  "in-pkts",  "in-errors",	"in-discards",	"in-unicast-pkts",  "in-multicast-pkts",
	"out-octets", "out-pkts", "out-errors", "out-discards", "out-unicast-pkts", "out-multicast-pkts"};

static struct err make_paths(struct simulation *s)
{
	s->n_paths = s->interfaces * SIMULATED_COUNTERS;
	s->paths = calloc(s->n_paths, sizeof *s->paths);
	ENSURE(s->paths, ERR_LIMIT, "out of memory");
	for (unsigned i = 0; i < s->n_paths; i++) {
		struct simulated_path *p = &s->paths[i];
		buf_printf(&p->text, "/interfaces/interface[name=eth%u]/state/counters/%s",
			   i / SIMULATED_COUNTERS, counters[i % SIMULATED_COUNTERS]);
		TRY(path_wire_of_text(buf_text(&p->text), NULL, &p->wire));
	}
	return OK;
}

// Octets and packets go together and irregularly; errors and discards hardly ever move.
static void advance(struct simulated_device *d)
{
	for (unsigned i = 0; i < d->s->n_paths; i += SIMULATED_COUNTERS / 2) {
		uint64_t *v = d->value + i;
		uint32_t packets = 8000 + simulated_draw(d) % 4000;
		v[0] += (uint64_t)packets * (400 + simulated_draw(d) % 200);
		v[1] += packets;
		v[2] += simulated_draw(d) % 256 == 0;
		v[3] += simulated_draw(d) % 128 == 0;
		v[4] += packets - packets / 50;
		v[5] += packets / 50;
	}
}

// --- batches

static void write_values(struct simulated_device *d, int64_t now, struct gnmi_writer *w)
{
	struct simulation *s = d->s;
	batch_canonical_start(s->canonical, d->name, d->seq, d->previous, s->n_paths);
	for (unsigned i = 0; i < s->n_paths; i++) {
		const struct simulated_path *p = &s->paths[i];
		const struct gnmi_value g = {.type = GNMI_UINT, .u = d->value[i]};
		const struct batch_value v = {.type = VALUE_UINT, .u = d->value[i]};
		gnmi_write_update(w, p->wire.data, p->wire.len, &g);
		batch_canonical_add(s->canonical, BATCH_UPDATE, now, (const char *)p->text.data,
				    p->text.len, &v);
	}
}

static struct err make_batch(struct simulated_device *d, struct simulated_batch *to)
{
	struct gnmi_writer w;
	struct sign_signature signature;
	uint8_t hash[BATCH_HASH];
	int64_t now = clock_wall_ns();
	const struct sign_public *key = sign_key_public(d->batch);
	buf_reset(&to->message);
	to->seq = ++d->seq;
	gnmi_writer_start(&w, &to->message, now, NULL, 0);
	write_values(d, now, &w);
	batch_canonical_finish(d->s->canonical, hash);
	TRY(sign_make(d->batch, hash, sizeof hash, &signature));
	const struct gnmi_proof proof = {.present = true, .seq = d->seq, .previous = d->previous,
					 .key_id = key->id, .signature = signature.bytes,
					 .signature_len = (uint32_t)signature.len,
					 .algorithm = key->algorithm,
					 .device = (const uint8_t *)d->name,
					 .device_len = (uint32_t)strlen(d->name),
					 .sync = d->seq == 1};
	gnmi_writer_finish(&w, &proof, NULL);
	memcpy(d->previous, hash, sizeof hash);
	return buf_check(&to->message, "batch");
}

static void send_batch(struct simulated_device *d, const struct simulated_batch *b)
{
	struct err e = grpc_call_send(d->stream, b->message.data, b->message.len);
	if (e.code != ERR_NONE) // it goes again on the next stream
		simulated_trouble(d, "sending", e.text);
}

void sample_due(struct simulated_device *d)
{
	struct simulated_batch *b = &d->window[(d->seq + 1) % SIMULATED_WINDOW];
	if (!d->stream || !d->interval_ns)
		return;
	simulated_after(d, d->interval_ns / NS_PER_MS);
	advance(d);
	if (b->seq) { // the next one has the sums
		d->s->left_out++;
		return;
	}
	struct err e = make_batch(d, b);
	if (e.code != ERR_NONE) {
		simulated_trouble(d, "a batch", e.text);
		return;
	}
	d->s->sent += d->s->n_paths;
	send_batch(d, b);
}

static void acknowledged(struct simulated_device *d, uint64_t seq)
{
	if (seq <= d->acked || seq > d->seq)
		return;
	d->s->acked += (seq - d->acked) * d->s->n_paths;
	d->acked = seq;
	for (unsigned i = 0; i < SIMULATED_WINDOW; i++)
		if (d->window[i].seq && d->window[i].seq <= seq) {
			d->window[i].seq = 0;
			buf_clear(&d->window[i].message); // ten seconds are long: its memory goes
		}
}

// --- Subscribe

// The shortest interval at which it wants what the devices have.
static struct err interval_of(const uint8_t *message, size_t n, int64_t *out)
{
	Gnmi__SubscribeRequest *m = gnmi__subscribe_request__unpack(NULL, n, message);
	const Gnmi__SubscriptionList *list = m ? m->subscribe : NULL;
	char text[PATH_TEXT_MAX + 1];
	struct err e = list ? OK : err_make(ERR_PEER, "not a subscription");
	*out = 0;
	for (size_t i = 0; list && i < list->n_subscription && e.code == ERR_NONE; i++) {
		const Gnmi__Subscription *x = list->subscription[i];
		int64_t ns = (int64_t)x->sample_interval;
		if (x->mode != GNMI__SUBSCRIPTION_MODE__SAMPLE)
			continue;
		e = path_text_of_message(list->prefix, x->path, text, NULL);
		if (e.code == ERR_NONE && strstr(text, "/state/counters") && ns > 0)
			*out = *out && *out < ns ? *out : ns;
	}
	gnmi__subscribe_request__free_unpacked(m, NULL);
	return e;
}

static void begin_stream(struct simulated_device *d, const uint8_t *message, size_t n)
{
	struct err e = interval_of(message, n, &d->interval_ns);
	if (e.code != ERR_NONE) {
		struct grpc_call *call = d->stream;
		sample_stream_gone(d);
		grpc_call_fail(call, e);
		return;
	}
	if (!d->interval_ns)
		return; // still in quarantine: nothing that it asks for is here
	d->s->streaming++;
	for (uint64_t seq = d->acked + 1; seq <= d->seq; seq++)
		send_batch(d, &d->window[seq % SIMULATED_WINDOW]);
	// Not all in the same moment.
	simulated_after(d, simulated_draw(d) % (uint32_t)(d->interval_ns / NS_PER_MS + 1));
}

void sample_stream_gone(struct simulated_device *d)
{
	d->s->streaming -= d->stream && d->interval_ns;
	d->stream = NULL;
	d->interval_ns = 0;
}

static struct err on_start(void *ctx, struct grpc_call *call)
{
	struct simulated_device *d = grpc_conn_context(grpc_call_conn(call));
	(void)ctx;
	sample_stream_gone(d); // a newer stream takes the place of the last
	d->stream = call;
	grpc_call_set_context(call, d);
	return OK;
}

static void on_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct simulated_device *d = ctx;
	bool is_ack;
	uint64_t seq;
	const uint8_t *key_id;
	if (d->stream != call)
		return;
	struct err e = gnmi_ack_read(message, n, &is_ack, &seq, &key_id);
	if (e.code != ERR_NONE)
		simulated_trouble(d, "an acknowledgement", e.text);
	else if (is_ack)
		acknowledged(d, seq);
	else
		begin_stream(d, message, n);
}

static void on_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	struct simulated_device *d = ctx;
	if (d->stream != call)
		return;
	sample_stream_gone(d);
	if (status != GRPC_CANCELLED) // a new grant cancels, and subscribes again
		simulated_trouble(d, "its stream", text);
}

static const struct grpc_handlers subscribe_handlers = {
	.on_start = on_start, .on_message = on_message, .on_end = on_end};

struct err sample_start(struct simulation *s)
{
	s->canonical = batch_canonical_new();
	s->gnmi = grpc_server_new(NULL);
	ENSURE(s->canonical && s->gnmi, ERR_LIMIT, "out of memory");
	TRY(make_paths(s));
	return grpc_server_add(s->gnmi, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &subscribe_handlers, s);
}

void sample_stop(struct simulation *s)
{
	for (unsigned i = 0; s->paths && i < s->n_paths; i++) {
		buf_clear(&s->paths[i].text);
		buf_clear(&s->paths[i].wire);
	}
	free(s->paths);
	batch_canonical_free(s->canonical);
	grpc_server_free(s->gnmi);
}
