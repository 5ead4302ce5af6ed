// SPDX-License-Identifier: Apache-2.0
// messages.def itself, and the check of every frame against it.

#include "ends.h"

static void test_list_is_sound(void **state)
{
	size_t n;
	const struct ipc_rule *r = ipc_rules(&n);
	assert_true(n > 50);
	for (size_t i = 0; i < n; i++) {
		assert_in_range(r[i].type, 1, IPC_TYPES - 1);
		assert_int_not_equal(r[i].from, r[i].to);
		assert_in_range(r[i].most, 64, 8 << 20);
		for (size_t k = 0; k < i; k++) { // one rule for each (type, from, to)
			bool same = r[i].type == r[k].type && r[i].from == r[k].from &&
				    r[i].to == r[k].to;
			assert_false(same);
		}
	}
	for (unsigned type = 1; type < IPC_TYPES; type++)
		assert_string_not_equal(ipc_type_name((enum ipc_type)type), "unknown");
	assert_string_equal(ipc_type_name(IPC_TYPES), "unknown");
}

// X.2011 figure 2: the picture in words. Whoever is not here does not talk.
static void test_who_is_joined(void **state)
{
	static const enum process_id joined[][2] = {
		{PROCESS_KEYS, PROCESS_MANAGEMENT},	  {PROCESS_KEYS, PROCESS_MODELS},
		{PROCESS_KEYS, PROCESS_REPOSITORY},	  {PROCESS_TELEMETRY, PROCESS_MANAGEMENT},
		{PROCESS_NORTHBOUND, PROCESS_MANAGEMENT}, {PROCESS_CONTROL, PROCESS_MANAGEMENT},
		{PROCESS_MANAGEMENT, PROCESS_REPOSITORY}, {PROCESS_TELEMETRY, PROCESS_REPOSITORY},
		{PROCESS_REPOSITORY, PROCESS_MODELS},	  {PROCESS_REPOSITORY, PROCESS_NORTHBOUND},
		{PROCESS_MODELS, PROCESS_NORTHBOUND},
	};
	for (int a = 1; a < PROCESS_COUNT; a++) {
		assert_true(ipc_joined(PROCESS_PARENT, (enum process_id)a));
		for (int b = 1; b < PROCESS_COUNT; b++) {
			bool want = false;
			for (size_t i = 0; i < sizeof joined / sizeof *joined; i++)
				want |= ((int)joined[i][0] == a && (int)joined[i][1] == b) ||
					((int)joined[i][0] == b && (int)joined[i][1] == a);
			assert_int_equal(ipc_joined((enum process_id)a, (enum process_id)b), want);
		}
	}
}

static void test_names(void **state)
{
	enum process_id id;
	for (int i = 0; i < PROCESS_COUNT; i++) {
		assert_true(process_by_name(process_name((enum process_id)i), &id));
		assert_int_equal(id, i);
	}
	assert_false(process_by_name("kdc", &id));
	assert_string_equal(process_name(PROCESS_COUNT), "unknown");
}

// Every type, both states, with and without a descriptor, for every pair: allowed exactly when a
// rule says so.
static void test_every_frame(void **state)
{
	size_t n;
	const struct ipc_rule *rules = ipc_rules(&n);
	for (int from = 0; from < PROCESS_COUNT; from++)
		for (int to = 0; to < PROCESS_COUNT; to++) {
			struct ipc_table t;
			ipc_table_fill(&t, (enum process_id)from, (enum process_id)to);
			for (unsigned type = 0; type < IPC_TYPES + 2; type++)
				for (int bits = 0; bits < 4; bits++) {
					bool running = bits & 1, fd = bits & 2, want = false;
					uint32_t most = 0;
					for (size_t i = 0; i < n; i++) {
						const struct ipc_rule *r = &rules[i];
						bool f = r->from == from ||
							 (r->from == PROCESS_EACH && from);
						bool g = r->to == to ||
							 (r->to == PROCESS_EACH && to);
						if (r->type != type || !f || !g)
							continue;
						most = r->most;
						want = (r->states & (running ? 2 : 1)) &&
						       (r->fd == FD_MAYBE ||
							(r->fd == FD_ONE) == fd);
					}
					struct err e = ipc_frame_check(&t, running, type, most, fd);
					assert_int_equal(e.code, want ? ERR_NONE : ERR_PEER);
					e = ipc_frame_check(&t, running, type, (size_t)most + 1,
							    fd);
					assert_int_equal(e.code, ERR_PEER);
				}
		}
}

static void test_head(void **state)
{
	struct ipc_table t;
	struct ipc_frame f;
	uint8_t head[IPC_HEAD];
	ipc_table_fill(&t, PROCESS_TELEMETRY, PROCESS_REPOSITORY);
	ipc_frame_write(head, IPC_BATCH, 0x123456, false);
	assert_memory_equal(head, "\x00\x12\x34\x56", 4);
	assert_int_equal(ipc_frame_read(&t, true, head, &f).code, ERR_NONE);
	assert_int_equal(f.type, IPC_BATCH);
	assert_int_equal(f.len, 0x123456);
	assert_false(f.fd);
	head[6] = 0x80; // a flag that nobody has defined
	assert_int_equal(ipc_frame_read(&t, true, head, &f).code, ERR_PEER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_is_sound), cmocka_unit_test(test_who_is_joined),
		cmocka_unit_test(test_names),	      cmocka_unit_test(test_every_frame),
		cmocka_unit_test(test_head),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
