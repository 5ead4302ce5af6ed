// SPDX-License-Identifier: Apache-2.0
// What a plan may say, how it travels in a gNMI Set, and the digest of what it touches.
#include "lib/gnmi/gnmi.pb-c.h"
#include "world.h"

static Gemel__Control__V1__AclEntry *acl(struct world *w)
{
	return w->plan.changes[0]->acl;
}
static char long_name[] = "an-interface-too-long", slash[] = "a/b", nothing[] = "", two[] = "a b",
	    line[] = "two\nlines", latin[] = "caf\xe9";
static struct {
	Gemel__Control__V1__StaticRoute route;
	Gemel__Control__V1__NextHop hop;
	Gemel__Control__V1__InterfaceChange interface;
	Gemel__Control__V1__PortRange ports;
} parts;

static Gemel__Control__V1__StaticRoute *route(struct world *w)
{
	static uint8_t via[] = {10, 0, 0, 1};
	static Gemel__Control__V1__NextHop *hops[] = {&parts.hop};
	gemel__control__v1__static_route__init(&parts.route);
	gemel__control__v1__next_hop__init(&parts.hop);
	parts.hop.address = (ProtobufCBinaryData){4, via};
	parts.route.prefix = acl(w)->destination;
	parts.route.n_next_hops = 1;
	parts.route.next_hops = hops;
	w->plan.changes[0]->change_case = GEMEL__CONTROL__V1__CHANGE__CHANGE_ROUTE;
	w->plan.changes[0]->route = &parts.route;
	return &parts.route;
}

static Gemel__Control__V1__InterfaceChange *interface(struct world *w)
{
	static char name[] = "eth0";
	gemel__control__v1__interface_change__init(&parts.interface);
	parts.interface.name = name;
	parts.interface.admin = GEMEL__CONTROL__V1__ADMIN_STATE__ADMIN_DOWN;
	w->plan.changes[0]->change_case = GEMEL__CONTROL__V1__CHANGE__CHANGE_INTERFACE;
	w->plan.changes[0]->interface = &parts.interface;
	return &parts.interface;
}

static void ports(struct world *w, uint32_t protocol, uint32_t low, uint32_t high)
{
	gemel__control__v1__port_range__init(&parts.ports);
	parts.ports.low = low;
	parts.ports.high = high;
	acl(w)->protocol = protocol;
	acl(w)->destination_port = &parts.ports;
}

static void twice(struct world *w)
{
	void *same = w->plan.changes[0];
	w->plan.changes = WORLD_LIST(w, same, same);
	w->plan.n_changes = 2;
}

static void f_acl(struct world *w)
{
}
static void f_ports(struct world *w)
{
	ports(w, 6, 22, 22);
}
static void f_route(struct world *w)
{
	route(w);
}
static void f_discard(struct world *w)
{
	route(w)->n_next_hops = 0;
	parts.route.discard = true;
}
static void f_route_gone(struct world *w)
{
	route(w)->n_next_hops = 0;
	w->plan.changes[0]->remove = true;
}
static void f_interface(struct world *w)
{
	interface(w);
}
static void f_describe(struct world *w)
{
	interface(w)->admin = 0;
	parts.interface.describe = true;
}
static void f_withdraw(struct world *w)
{
	static char other[] = "p-1";
	w->plan.n_changes = 0;
	w->plan.withdraws = other;
}

static void (*const fine[])(struct world *) = {f_acl,	     f_ports,	  f_route,    f_discard,
					       f_route_gone, f_interface, f_describe, f_withdraw};

static void b_id(struct world *w)
{
	w->plan.id = two;
}
static void b_device(struct world *w)
{
	w->plan.device = nothing;
}
static void b_requester(struct world *w)
{
	w->plan.requester = nothing;
}
static void b_class(struct world *w)
{
	w->plan.class_ = nothing;
}
static void b_reason(struct world *w)
{
	w->plan.reason = line;
}
static void b_latin(struct world *w)
{
	w->plan.reason = latin;
}
static void b_forever(struct world *w)
{
	w->plan.expires_ns = w->plan.created_ns + INSTRUCTION_PLAN_LIFE_NS + 1;
}
static void b_before(struct world *w)
{
	w->plan.expires_ns = w->plan.created_ns;
}
static void b_unconfirmed(struct world *w)
{
	w->plan.confirm_s = 0;
}
static void b_nothing(struct world *w)
{
	w->plan.n_changes = 0;
}
static void b_both(struct world *w)
{
	w->plan.withdraws = w->plan.device;
}
static void b_itself(struct world *w)
{
	w->plan.n_changes = 0;
	w->plan.withdraws = w->plan.id;
}
static void b_twice(struct world *w)
{
	twice(w);
}
static void b_route_twice(struct world *w)
{
	route(w);
	twice(w);
}
static void b_sequence(struct world *w)
{
	acl(w)->sequence_id = 0;
}
static void b_hook(struct world *w)
{
	acl(w)->hook = 9;
}
static void b_action(struct world *w)
{
	acl(w)->action = 0;
}
static void b_host_bits(struct world *w)
{
	acl(w)->source->length = 12;
}
static void b_length(struct world *w)
{
	acl(w)->source->length = 33;
}
static void b_family(struct world *w)
{
	static uint8_t v6[16] = {0xfd};
	acl(w)->destination->address = (ProtobufCBinaryData){16, v6};
}
static void b_ports_any(struct world *w)
{
	ports(w, 0, 22, 22);
}
static void b_ports_order(struct world *w)
{
	ports(w, 6, 23, 22);
}
static void b_ports_high(struct world *w)
{
	ports(w, 17, 1, 65536);
}
static void b_long_name(struct world *w)
{
	acl(w)->input_interface = long_name;
}
static void b_slash(struct world *w)
{
	acl(w)->output_interface = slash;
}
static void b_empty_change(struct world *w)
{
	w->plan.changes[0]->change_case = GEMEL__CONTROL__V1__CHANGE__CHANGE__NOT_SET;
}
static void b_no_prefix(struct world *w)
{
	route(w)->prefix = NULL;
}
static void b_no_hop(struct world *w)
{
	route(w)->n_next_hops = 0;
}
static void b_empty_hop(struct world *w)
{
	route(w);
	parts.hop.address.len = 0;
}
static void b_interface_gone(struct world *w)
{
	interface(w);
	w->plan.changes[0]->remove = true;
}
static void b_interface_same(struct world *w)
{
	interface(w)->admin = 0;
}

static const struct {
	void (*edit)(struct world *w);
	const char *words;
} faults[] = {
	{b_id, "id"},
	{b_device, "device"},
	{b_requester, "requester"},
	{b_class, "class"},
	{b_reason, "reason"},
	{b_latin, "reason"},
	{b_forever, "7 days"},
	{b_before, "7 days"},
	{b_unconfirmed, "confirm_s"},
	{b_nothing, "either"},
	{b_both, "either"},
	{b_itself, "another plan"},
	{b_twice, "same thing"},
	{b_route_twice, "same thing"},
	{b_sequence, "sequence_id"},
	{b_hook, "hook"},
	{b_action, "action"},
	{b_host_bits, "bits beyond"},
	{b_length, "wrong length"},
	{b_family, "families"},
	{b_ports_any, "TCP"},
	{b_ports_order, "low to high"},
	{b_ports_high, "low to high"},
	{b_long_name, "interface"},
	{b_slash, "interface"},
	{b_empty_change, "nothing"},
	{b_no_prefix, "prefix"},
	{b_no_hop, "next hops"},
	{b_empty_hop, "neither"},
	{b_interface_gone, "removed"},
	{b_interface_same, "nothing changes"},
};

static void test_fine(void **state)
{
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		struct world w;
		Gemel__Control__V1__Plan *p;
		world_start(&w);
		fine[i](&w);
		assert_good(instruction_plan_write(&w.plan, &w.plan_bytes));
		assert_good(
			instruction_plan_read(w.plan_bytes.data, w.plan_bytes.len, w.arena, &p));
		assert_string_equal(p->reason, w.plan.reason);
		world_end(&w);
	}
}

static void test_faults(void **state)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct world w;
		Gemel__Control__V1__Plan *p;
		world_start(&w);
		faults[i].edit(&w);
		scoped(buf) struct buf b = {0};
		assert_bad(ERR_USAGE, faults[i].words, instruction_plan_write(&w.plan, &b));
		assert_int_equal(b.len, 0);
		size_t n = gemel__control__v1__plan__get_packed_size(&w.plan);
		gemel__control__v1__plan__pack(&w.plan, buf_space(&b, n));
		assert_bad(ERR_PEER, faults[i].words,
			   instruction_plan_read(b.data, b.len, w.arena, &p));
		world_end(&w);
	}
}

// --- the Set

static struct err open_request(struct world *w, const uint8_t *bytes, size_t n)
{
	scoped(arena) struct arena *a = arena_new(INSTRUCTION_ARENA);
	const uint8_t *plan, *envelope;
	size_t plan_len, envelope_len;
	TRY(instruction_request_open(bytes, n, a, &plan, &plan_len, &envelope, &envelope_len));
	return world_verify_bytes(w, envelope, envelope_len, plan, plan_len);
}

static void test_request(void **state)
{
	struct world w;
	world_start(&w);
	world_compose(&w);
	scoped(buf) struct buf set = {0}, other = {0};
	assert_good(instruction_request_write(w.plan.id, w.plan_bytes.data, w.plan_bytes.len,
					      w.envelope.data, w.envelope.len, &set));
	assert_good(open_request(&w, set.data, set.len));
	for (size_t i = 0; i < set.len; i++) {
		set.data[i] ^= 0x01;
		if (open_request(&w, set.data, set.len).code == ERR_NONE)
			fail_msg("byte %zu of the request does not count", i);
		set.data[i] ^= 0x01;
	}
	assert_good(instruction_request_write("p-2", w.plan_bytes.data, w.plan_bytes.len,
					      w.envelope.data, w.envelope.len, &other));
	assert_bad(ERR_PEER, "path must be", open_request(&w, other.data, other.len));
	world_end(&w);
}

// Whatever rides along with a good instruction takes it down.
static void test_request_with_more(void **state)
{
	struct world w;
	world_start(&w);
	world_compose(&w);
	scoped(buf) struct buf set = {0};
	assert_good(instruction_request_write(w.plan.id, w.plan_bytes.data, w.plan_bytes.len,
					      w.envelope.data, w.envelope.len, &set));
	for (unsigned more = 0; more < 6; more++) {
		Gnmi__SetRequest *s = gnmi__set_request__unpack(NULL, set.len, set.data);
		Gnmi__Path path = GNMI__PATH__INIT, *paths[] = {&path};
		Gnmi__Update *updates[] = {s->update[0], s->update[0]};
		GnmiExt__Extension *extensions[] = {s->extension[0], s->extension[0]};
		Gnmi__SetRequest t = *s;
		if (more == 1)
			t.prefix = &path;
		if (more == 2) {
			t.n_delete_ = 1;
			t.delete_ = paths;
		}
		if (more == 3) {
			t.n_update = 2;
			t.update = updates;
		}
		if (more == 4) {
			t.n_extension = 2;
			t.extension = extensions;
		}
		if (more == 5) {
			t.n_replace = 1;
			t.replace = updates;
		}
		scoped(buf) struct buf b = {0};
		gnmi__set_request__pack(&t, buf_space(&b, gnmi__set_request__get_packed_size(&t)));
		struct err e = open_request(&w, b.data, b.len);
		assert_int_equal(e.code, more == 0 ? ERR_NONE : ERR_PEER);
		gnmi__set_request__free_unpacked(s, NULL);
	}
	world_end(&w);
}

static void test_precondition(void **state)
{
	uint8_t a[HASH_SIZE], b[HASH_SIZE];
	struct instruction_leaf leaves[] = {{"/a", "1", 1}, {"/b", "22", 2}};
	assert_good(instruction_precondition(leaves, 2, a));
	leaves[0].value = "12"; // the same bytes, parted otherwise
	leaves[0].len = 2;
	leaves[1].value = "2";
	leaves[1].len = 1;
	assert_good(instruction_precondition(leaves, 2, b));
	assert_memory_not_equal(a, b, HASH_SIZE);
	leaves[1].path = "/a";
	assert_bad(ERR_USAGE, "ascend", instruction_precondition(leaves, 2, b));
	assert_good(instruction_precondition(NULL, 0, b));
	// As drawn: both sides must come to the same bytes.
	static const char drawn[] = "gemel precondition v1\n"
				    "\0\0\0\2/a\0\0\0\1\x31\0\0\0\2/b\0\0\0\2\x32\x32";
	uint8_t want[HASH_SIZE];
	hash_sha256(drawn, sizeof drawn - 1, want);
	assert_memory_equal(a, want, HASH_SIZE);
}

// With INSTRUCTION_SEEDS=tests/fuzz/seeds the seeds of the fuzz targets are written anew.
static void write_seed(const char *folder, const char *name, const struct buf *b)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
	assert_int_equal(fclose(f), 0);
}

static void write_seeds(const char *folder)
{
	struct world w;
	scoped(buf) struct buf bundle = {0}, envelope = {0}, set = {0};
	world_start(&w);
	w.device.remembered = NULL;
	w.log_part.floor_size = SEEN;
	w.log_part.floor_root = (ProtobufCBinaryData){MERKLE_HASH, w.seen.root.bytes};
	assert_good(world_bundle(&w));
	world_compose(&w);
	assert_good(world_verify(&w));
	assert_good(instruction_bundle_write(&w.trust, &bundle));
	buf_be16(&envelope, (uint16_t)bundle.len);
	buf_append(&envelope, bundle.data, bundle.len);
	buf_be16(&envelope, (uint16_t)w.plan_bytes.len);
	buf_append(&envelope, w.plan_bytes.data, w.plan_bytes.len);
	buf_append(&envelope, w.envelope.data, w.envelope.len);
	assert_good(instruction_request_write(w.plan.id, w.plan_bytes.data, w.plan_bytes.len,
					      w.envelope.data, w.envelope.len, &set));
	write_seed(folder, "instruction_bundle/campus", &bundle);
	write_seed(folder, "instruction_envelope/good", &envelope);
	write_seed(folder, "instruction_request/good", &set);
	world_end(&w);
}

int main(void)
{
	const char *seeds = getenv("INSTRUCTION_SEEDS");
	if (seeds)
		write_seeds(seeds);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fine),	     cmocka_unit_test(test_faults),
		cmocka_unit_test(test_request),	     cmocka_unit_test(test_request_with_more),
		cmocka_unit_test(test_precondition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
