// SPDX-License-Identifier: Apache-2.0
// The fast reader and writer, each against protobuf-c, and the extensions.

#include "lib/gnmi/gemel.pb-c.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must(struct err e)
{
	if (e.code != ERR_NONE)
		fail_msg("%s: %s", err_code_name(e.code), e.text);
}

static const uint8_t previous[32] = {1, 2, 3}, key_id[8] = {9}, signature[] = {7, 7, 7};

static struct gnmi_proof proof(void)
{
	return (struct gnmi_proof){.present = true,
				   .seq = 41,
				   .previous = previous,
				   .key_id = key_id,
				   .algorithm = 1,
				   .signature = signature,
				   .signature_len = sizeof signature,
				   .device = (const uint8_t *)"r1",
				   .device_len = 2,
				   .sync = true};
}

static const struct gnmi_value values[] = {
	{.type = GNMI_UINT, .u = 0},
	{.type = GNMI_UINT, .u = UINT64_MAX},
	{.type = GNMI_INT, .i = -5},
	{.type = GNMI_BOOL, .b = true},
	{.type = GNMI_DOUBLE, .d = -1.5},
	{.type = GNMI_STRING, .s = {(const uint8_t *)"UP", 2}},
	{.type = GNMI_BYTES, .s = {(const uint8_t *)"\0\1", 2}},
	{.type = GNMI_JSON, .s = {(const uint8_t *)"[1]", 3}},
	{.type = GNMI_NONE},
};
enum { VALUES = sizeof values / sizeof *values };

static void write_sample(struct buf *out)
{
	scoped(buf) struct buf prefix = {0};
	scoped(buf) struct buf path = {0};
	struct gnmi_writer w;
	struct gnmi_proof p = proof();
	struct gnmi_loss l = {.present = true, .count = 3, .from_seq = 5, .to_seq = 6};
	must(path_wire_of_text("/interfaces", NULL, &prefix));
	must(path_wire_of_text("/interface[name=eth0]/state/mtu", NULL, &path));
	gnmi_writer_start(&w, out, 1234567890123456789, prefix.data, prefix.len);
	for (unsigned i = 0; i < VALUES; i++)
		gnmi_write_update(&w, path.data, path.len, &values[i]);
	gnmi_write_delete(&w, path.data, path.len);
	gnmi_writer_finish(&w, &p, &l);
	must(buf_check(out, "sample"));
	assert_int_equal(w.count, VALUES + 1);
}

static void test_round(void **state)
{
	scoped(buf) struct buf b = {0};
	struct gnmi_response r;
	struct gnmi_notification n;
	struct gnmi_record rec;
	bool more;
	char text[PATH_TEXT_MAX + 1];
	write_sample(&b);
	must(gnmi_response_read(b.data, b.len, &r));
	assert_true(r.has_notification && !r.sync_response);
	assert_true(r.proof.present && r.proof.sync);
	assert_int_equal(r.proof.seq, 41);
	assert_memory_equal(r.proof.previous, previous, 32);
	assert_memory_equal(r.proof.key_id, key_id, 8);
	assert_int_equal(r.proof.signature_len, sizeof signature);
	assert_true(r.loss.present && r.loss.count == 3 && r.loss.from_seq == 5 &&
		    r.loss.to_seq == 6);
	must(gnmi_notification_read(r.notification, 100, &n));
	assert_int_equal(n.timestamp_ns, 1234567890123456789);
	assert_int_equal(n.updates, VALUES);
	assert_int_equal(n.deletes, 1);
	for (unsigned i = 0; i < VALUES; i++) {
		must(gnmi_next(&n, &rec, &more));
		assert_true(more && !rec.is_delete);
		assert_int_equal(rec.value.type, values[i].type);
		if (values[i].type >= GNMI_BYTES && values[i].type != GNMI_DOUBLE)
			assert_memory_equal(rec.value.s.bytes, values[i].s.bytes, values[i].s.len);
		else if (values[i].type == GNMI_UINT || values[i].type == GNMI_INT)
			assert_true(rec.value.u == values[i].u);
		must(path_text_of_wire(n.prefix, n.prefix_len, rec.path, rec.path_len, text, NULL));
		assert_string_equal(text, "/interfaces/interface[name=eth0]/state/mtu");
	}
	must(gnmi_next(&n, &rec, &more));
	assert_true(more && rec.is_delete);
	must(gnmi_next(&n, &rec, &more));
	assert_false(more);
	assert_int_equal(gnmi_notification_read(r.notification, VALUES, &n).code, ERR_LIMIT);
}

// protobuf-c reads what we wrote, also the padded length.
static void test_written_for_others(void **state)
{
	scoped(buf) struct buf b = {0};
	write_sample(&b);
	Gnmi__SubscribeResponse *r = gnmi__subscribe_response__unpack(NULL, b.len, b.data);
	assert_non_null(r);
	assert_int_equal(r->response_case, GNMI__SUBSCRIBE_RESPONSE__RESPONSE_UPDATE);
	assert_int_equal(r->update->n_update, VALUES);
	assert_int_equal(r->update->n_delete_, 1);
	assert_true(r->update->update[1]->val->uint_val == UINT64_MAX);
	assert_true(r->update->update[2]->val->int_val == -5);
	assert_int_equal(r->update->update[4]->val->value_case,
			 GNMI__TYPED_VALUE__VALUE_DOUBLE_VAL);
	assert_true(r->update->update[4]->val->double_val == -1.5);
	assert_int_equal(r->update->update[7]->val->value_case,
			 GNMI__TYPED_VALUE__VALUE_JSON_IETF_VAL);
	assert_int_equal(r->n_extension, 2);
	GnmiExt__RegisteredExtension *x = r->extension[0]->registered_ext;
	assert_int_equal(x->id, 999);
	Gemel__Enrolment__V1__GnmiPayload *p =
		gemel__enrolment__v1__gnmi_payload__unpack(NULL, x->msg.len, x->msg.data);
	assert_non_null(p);
	assert_int_equal(p->proof->seq, 41);
	assert_string_equal(p->proof->device, "r1");
	gemel__enrolment__v1__gnmi_payload__free_unpacked(p, NULL);
	gnmi__subscribe_response__free_unpacked(r, NULL);
}

// What a third-party target sends: other value kinds, made by protobuf-c.
static void test_foreign_values(void **state)
{
	Gnmi__Decimal64 decimal = GNMI__DECIMAL64__INIT;
	Gnmi__TypedValue v = GNMI__TYPED_VALUE__INIT;
	struct gnmi_value out;
	uint8_t bytes[256];
	decimal.digits = -314;
	decimal.precision = 2;
	v.value_case = GNMI__TYPED_VALUE__VALUE_DECIMAL_VAL;
	v.decimal_val = &decimal;
	must(gnmi_value_read(cursor_over(bytes, gnmi__typed_value__pack(&v, bytes)), &out));
	assert_int_equal(out.type, GNMI_DOUBLE);
	assert_true(out.d == -3.14);
	decimal.precision = 19;
	assert_int_equal(
		gnmi_value_read(cursor_over(bytes, gnmi__typed_value__pack(&v, bytes)), &out).code,
		ERR_PEER);
	v.value_case = GNMI__TYPED_VALUE__VALUE_FLOAT_VAL;
	v.float_val = 0.25f;
	must(gnmi_value_read(cursor_over(bytes, gnmi__typed_value__pack(&v, bytes)), &out));
	assert_true(out.type == GNMI_DOUBLE && out.d == 0.25);
	v.value_case = GNMI__TYPED_VALUE__VALUE_ASCII_VAL;
	v.ascii_val = (char *)"x";
	must(gnmi_value_read(cursor_over(bytes, gnmi__typed_value__pack(&v, bytes)), &out));
	assert_int_equal(out.type, GNMI_STRING);
}

static void test_leaflist(void **state)
{
	Gnmi__TypedValue a = GNMI__TYPED_VALUE__INIT, b = a, c = a, *list[] = {&a, &b, &c};
	Gnmi__ScalarArray array = GNMI__SCALAR_ARRAY__INIT;
	scoped(buf) struct buf out = {0};
	uint8_t bytes[256];
	a.value_case = GNMI__TYPED_VALUE__VALUE_STRING_VAL;
	a.string_val = (char *)"q\"\\\n";
	b.value_case = GNMI__TYPED_VALUE__VALUE_UINT_VAL;
	b.uint_val = UINT64_MAX;
	c.value_case = GNMI__TYPED_VALUE__VALUE_BOOL_VAL;
	c.bool_val = 1;
	array.n_element = 3;
	array.element = list;
	must(gnmi_leaflist_json(bytes, gnmi__scalar_array__pack(&array, bytes), &out));
	assert_string_equal(buf_text(&out), "[\"q\\\"\\\\\\u000a\",\"18446744073709551615\",true]");
}

static void test_ack(void **state)
{
	scoped(buf) struct buf b = {0};
	bool is_ack;
	uint64_t seq;
	const uint8_t *key;
	gnmi_write_ack(&b, 77, key_id);
	must(gnmi_ack_read(b.data, b.len, &is_ack, &seq, &key));
	assert_true(is_ack && seq == 77);
	assert_memory_equal(key, key_id, 8);
	Gnmi__SubscribeRequest *r = gnmi__subscribe_request__unpack(NULL, b.len, b.data);
	assert_non_null(r); // and it is a SubscribeRequest without a request
	assert_int_equal(r->request_case, GNMI__SUBSCRIBE_REQUEST__REQUEST__NOT_SET);
	gnmi__subscribe_request__free_unpacked(r, NULL);
	must(gnmi_ack_read((const uint8_t *)"\x1a\x00", 2, &is_ack, &seq, &key));
	assert_false(is_ack); // a poll
}

static void test_sync(void **state)
{
	scoped(buf) struct buf b = {0};
	struct gnmi_response r;
	gnmi_write_sync(&b);
	must(gnmi_response_read(b.data, b.len, &r));
	assert_true(r.sync_response && !r.has_notification && !r.proof.present);
}

// Every truncation either fails or says less; none reads past the end (seen by the sanitizer).
static void test_cut(void **state)
{
	scoped(buf) struct buf b = {0};
	write_sample(&b);
	unsigned refused = 0;
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, b.data, n);
		struct gnmi_response r;
		refused += gnmi_response_read(exact, n, &r).code != ERR_NONE;
		free(exact);
	}
	// at the bounds of whole fields alone (start, notification, proof) a prefix is a message
	assert_int_equal(refused, b.len - 3);
}

static void test_bad_proof(void **state)
{
	struct gnmi_response r;
	scoped(buf) struct buf b = {0};
	struct gnmi_writer w;
	struct gnmi_proof p = proof();
	p.signature_len = 0;
	gnmi_writer_start(&w, &b, 1, NULL, 0);
	gnmi_writer_finish(&w, &p, NULL);
	assert_int_equal(gnmi_response_read(b.data, b.len, &r).code, ERR_PEER);
	buf_reset(&b);
	p = proof();
	p.device_len = 0;
	gnmi_writer_start(&w, &b, 1, NULL, 0);
	gnmi_writer_finish(&w, &p, NULL);
	assert_int_equal(gnmi_response_read(b.data, b.len, &r).code, ERR_PEER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_written_for_others),
		cmocka_unit_test(test_foreign_values),
		cmocka_unit_test(test_leaflist),
		cmocka_unit_test(test_ack),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bad_proof),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
