// SPDX-License-Identifier: Apache-2.0
// Requests to the agent's gNMI service, through gRPC over a socket pair. The first byte: bit 0 Get
// or Subscribe, bit 1 from the twin's side; the rest is one message, or two that the second byte
// parts.
#include "agent/wire_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct wire w;
static struct child child;

static void must(struct err e)
{
	if (e.code != ERR_NONE)
		abort();
}

static void put(const char *path, enum batch_type type, uint64_t u, unsigned flags)
{
	struct batch_value v = {.type = type, .u = u};
	if (type >= VALUE_STRING) {
		v.s.bytes = (const uint8_t *)"[\"text\"]";
		v.s.len = 8;
	}
	tree_put(w.tree, path, &v, 1, flags);
}

// A connection for each input: many calls that are cancelled would end it.
static struct grpc_conn *connect_to(const struct service *s)
{
	int fds[2];
	struct transport *t;
	struct grpc_conn *server, *client;
	const struct grpc_client_conf conf = {.plain = true};
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		abort();
	must(transport_plain(w.base, fds[0], &t));
	must(grpc_server_accept(s->grpc, t, NULL, NULL, &server));
	must(transport_plain(w.base, fds[1], &t));
	must(grpc_client_new(t, &conf, NULL, NULL, &client));
	return client;
}

static void start(void)
{
	static struct agent_conf conf = {.device = (char *)(uintptr_t) "r1",
					 .sample_ns = 1000000000,
					 .rate = 1000000,
					 .spool_bytes = 48 << 20};
	char folder[] = "/tmp/gemel-fuzz-XXXXXX";
	w.base = child.base = event_base_new();
	w.child = &child;
	w.conf = child.conf = &conf;
	w.tree = tree_new();
	w.has_state = true;
	w.flush = evtimer_new(w.base, (event_callback_fn)abort, NULL);
	if (!mkdtemp(folder))
		abort();
	int dir = open(folder, O_RDONLY | O_DIRECTORY);
	must(twin_open(&w, dir));
	for (unsigned i = 0; i < SPOOL_SEGMENTS; i++) {
		char name[8];
		snprintf(name, sizeof name, "%02u", i);
		unlinkat(dir, name, 0);
	}
	unlinkat(dir, "acked", 0);
	rmdir(folder);
	close(dir);
	must(samples_start(&w));
	must(twin_start(&w));
	put("/interfaces/interface[name=eth0]/state/mtu", VALUE_UINT, 1500, 0);
	put("/interfaces/interface[name=eth0]/state/oper-status", VALUE_STRING, 0, 0);
	put("/interfaces/interface[name=eth0]/state/counters/in-octets", VALUE_UINT, 5,
	    TREE_VOLATILE);
	put("/acl/acl-sets/acl-set[name=a\\]b][type=ACL_IPV4]/state/name", VALUE_STRING, 0, 0);
	put("/gemel/agent/state/collectors", VALUE_JSON, 0, TREE_OWN);
	must(service_start(&w, &w.dial_in, false));
	must(service_start(&w, &w.tunnel, true));
}

static void turn(void)
{
	for (int i = 0; i < 8; i++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
}

static unsigned ended;
static void on_message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
}

static void on_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	*(struct grpc_call **)ctx = NULL;
	ended++;
}

static const struct grpc_handlers handlers = {.on_message = on_message, .on_end = on_end};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!w.base)
		start();
	if (n < 2)
		return 0;
	bool get = data[0] & 1;
	size_t first = n - 2 < data[1] ? n - 2 : data[1];
	struct grpc_call *call = NULL;
	struct grpc_conn *client = connect_to(data[0] & 2 ? &w.tunnel : &w.dial_in);
	must(grpc_call_start(client, get ? "/gnmi.gNMI/Get" : "/gnmi.gNMI/Subscribe",
			     get ? GRPC_UNARY : GRPC_BIDI, &handlers, &call, 0, &call));
	must(grpc_call_send(call, data + 2, first));
	turn();
	if (call && !get && first < n - 2)
		must(grpc_call_send(call, data + 2 + first, n - 2 - first));
	if (call)
		grpc_call_half_close(call);
	turn();
	tree_put(w.tree, "/interfaces/interface[name=eth0]/state/mtu",
		 &(struct batch_value){.type = VALUE_UINT, .u = ended}, 1, 0);
	wire_flush(&w); // a change meets whatever has been subscribed to
	if (call)
		grpc_call_cancel(call);
	turn();
	grpc_conn_close(client);
	turn();
	return 0;
}
