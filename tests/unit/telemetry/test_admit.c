// SPDX-License-Identifier: Apache-2.0
// Who may come in: certificates, management's answer, names, enrolment, floods; each refusal with
// its own reason. The whole process over TLS, with its neighbours played (house.h).
#include "element.h"
#include "lib/base/clock.h"
#include "telemetry/telemetry.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SERVICE "/gemel.enrolment.v1.Enrolment/"

static struct house_certificate r1, r2;

static bool was_told(void *ctx)
{
	const struct told *want = ctx;
	return house_told(want->type, want->device[0] ? want->device : NULL,
			  want->word[0] ? want->word : NULL);
}

static const struct told *wait_told(enum ipc_type type, const char *device, const char *word)
{
	struct told want = {.type = type};
	strncpy(want.device, device ? device : "", sizeof want.device - 1);
	strncpy(want.word, word ? word : "", sizeof want.word - 1);
	house_until(was_told, &want, word && *word ? word : ipc_type_name(type));
	return house_told(type, device, word);
}

static int setup(void **state)
{
	house_forget();
	house.hold_admission = house.hold_enrolment = false;
	house.refuse = NULL;
	house.enrol_status = 0;
	return 0;
}

static bool no_sessions(void *ctx)
{
	const struct telemetry *t = house.p.self;
	return t->n_sessions == 0 && t->n_handshakes == 0;
}

static int teardown(void **state)
{
	house_until(no_sessions, NULL, "the end of all sessions");
	return 0;
}

// --- good

static void test_admitted(void **state)
{
	struct element e;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	const struct told *t = wait_told(IPC_ADMIT_REQUEST, "r1", NULL);
	assert_string_equal(t->word, "");
	assert_string_equal(t->text, "tunnel");
	assert_int_equal(t->chain, 1);
	assert_int_equal(strlen(t->session), 32);
	assert_memory_equal(t->source, "127.0.0.1:", 10);
	element_register(&e, "r1");
	for (int i = 0; i < 500 && !e.registered; i++)
		house_turn(1);
	assert_true(e.registered);
	element_clear(&e);
	t = wait_told(IPC_SESSION_END, "r1", NULL);
}

// While management has not answered, nothing of the peer is read.
static void test_waits_for_answer(void **state)
{
	struct element e;
	house.hold_admission = true;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	uint64_t id = wait_told(IPC_ADMIT_REQUEST, "r1", NULL)->id;
	element_register(&e, "r1");
	element_call(&e, SERVICE "Challenge", "x", 1);
	house_turn(50);
	assert_false(e.registered);
	assert_int_equal(e.answers, 0);
	assert_int_equal(house_count(IPC_ENROL_REQUEST, NULL, NULL), 0);
	Ipc__AdmitAnswer m = IPC__ADMIT_ANSWER__INIT;
	m.id = id;
	m.admitted = true;
	m.device = (char *)(uintptr_t) "r1";
	must(ipc_send_pb(house.others[PROCESS_MANAGEMENT], IPC_ADMIT_ANSWER, &m.base), "answer");
	house_until(element_has_answer, &e, "the answer to Challenge");
	assert_int_equal(e.status, GRPC_OK);
	for (int i = 0; i < 500 && !e.registered; i++)
		house_turn(1);
	assert_true(e.registered);
	element_clear(&e);
}

static void test_no_answer(void **state)
{
	struct element e;
	house.hold_admission = true;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	element_register(&e, "r1");
	house_until(element_is_refused, &e, "the refusal"); // answer_s
	assert_non_null(strstr(e.refused, "management does not answer"));
	house_until(element_is_over, &e, "the end"); // refuse_ms
	element_clear(&e);
}

// --- refused by management

static void test_refused(void **state)
{
	struct element e;
	house.refuse = "certificate copied: key-mismatch";
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	element_register(&e, "r1");
	element_call(&e, SERVICE "Challenge", "x", 1);
	house_until(element_is_refused, &e, "the refusal");
	assert_non_null(strstr(e.refused, "key-mismatch"));
	house_until(element_has_answer, &e, "the answer to Challenge");
	assert_int_equal(e.status, GRPC_PERMISSION_DENIED);
	assert_non_null(strstr(e.status_text, "key-mismatch"));
	assert_int_equal(house_count(IPC_ENROL_REQUEST, NULL, NULL), 0);
	house_until(element_is_over, &e, "the end");
	element_clear(&e);
}

// Management names another device than the certificate does: that is no admission.
static void test_other_device(void **state)
{
	struct element e;
	house.hold_admission = true;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	Ipc__AdmitAnswer m = IPC__ADMIT_ANSWER__INIT;
	m.id = wait_told(IPC_ADMIT_REQUEST, "r1", NULL)->id;
	m.admitted = true;
	m.device = (char *)(uintptr_t) "r2";
	must(ipc_send_pb(house.others[PROCESS_MANAGEMENT], IPC_ADMIT_ANSWER, &m.base), "answer");
	element_register(&e, "r1");
	house_until(element_is_refused, &e, "the refusal");
	element_clear(&e);
}

static void test_dropped(void **state)
{
	struct element e;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	element_register(&e, "r1");
	for (int i = 0; i < 500 && !e.registered; i++)
		house_turn(1);
	house_drop("r1", "suspended");
	house_until(element_is_over, &e, "the end");
	assert_string_equal(wait_told(IPC_SESSION_END, "r1", NULL)->text, "suspended");
	element_clear(&e);
}

// A name that the certificate does not give: refused, and told to management for its record.
static void test_name_stolen(void **state)
{
	struct element e;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	wait_told(IPC_ADMIT_REQUEST, "r1", NULL);
	element_register(&e, "r2");
	house_until(element_is_refused, &e, "the refusal");
	assert_non_null(strstr(e.refused, "only target r1"));
	assert_int_equal(wait_told(IPC_ADMIT_REQUEST, "r2", NULL)->chain, 1);
	element_clear(&e);
}

// A device is collected over one connection: the newest that registered.
static void test_second_session(void **state)
{
	struct element a, b;
	element_open(&a, "r1", &r1);
	element_open(&b, "r1", &r1);
	element_dial(&a, house.tunnel_port);
	element_register(&a, "r1");
	for (int i = 0; i < 500 && !a.registered; i++)
		house_turn(1);
	element_dial(&b, house.tunnel_port);
	element_register(&b, "r1");
	house_until(element_is_over, &a, "the end of the first");
	assert_non_null(strstr(wait_told(IPC_SESSION_END, "r1", NULL)->text, "again"));
	for (int i = 0; i < 500 && !b.registered; i++)
		house_turn(1);
	assert_true(b.registered);
	element_clear(&a);
	element_clear(&b);
}

// A copied certificate without the TPM: it is let in to attest, and neither registers nor disturbs
// the device itself (X.2011 8.1.1-1).
static void test_copied(void **state)
{
	struct element device, thief;
	element_open(&device, "r1", &r1);
	element_open(&thief, "r1", &r1);
	element_dial(&device, house.tunnel_port);
	element_register(&device, "r1");
	for (int i = 0; i < 500 && !device.registered; i++)
		house_turn(1);
	element_dial(&thief, house.tunnel_port);
	house_until(element_is_open, &thief, "TLS");
	element_register_only(&thief, "r1");
	house_until(element_is_refused, &thief, "the refusal");
	assert_non_null(strstr(thief.refused, "not attested"));
	house.attest_no = true;
	thief.refused[0] = 0;
	element_register(&thief, "r1"); // with a quote that management does not accept
	house_until(element_is_refused, &thief, "the refusal");
	assert_non_null(strstr(thief.refused, "not attested"));
	house.attest_no = false;
	assert_false(device.conn_over);
	assert_true(device.registered);
	house_drop("r1", "key-mismatch"); // management ends all that it has
	house_until(element_is_over, &thief, "the end");
	house_until(element_is_over, &device, "the end");
	element_clear(&thief);
	element_clear(&device);
}

// --- refused handshakes, each with its own reason

static void refused_handshake(struct house_certificate *c, const char *device, const char *word)
{
	struct element e;
	element_open(&e, "r1", c);
	element_dial(&e, house.tunnel_port);
	const struct told *t = wait_told(IPC_ADMIT_REQUEST, device, word);
	assert_int_equal(t->chain, c ? 1 : 0);
	house_until(element_is_over, &e, "the end");
	assert_false(e.registered);
	element_clear(&e);
}

static void test_handshakes(void **state)
{
	struct house_certificate expired, early, foreign;
	struct sign_key *other = NULL;
	scoped(buf) struct buf other_root = {0};
	must(sign_key_generate(SIGN_P256, &other), "key");
	struct x509_issue root = {.profile = X509_ROOT,
				  .name = "other",
				  .key = sign_key_public(other),
				  .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 3600 * NS_PER_S};
	must(x509_issue(&root, other, &other_root), "authority");
	house_issue("r1", -3600, -60, NULL, NULL, &expired);
	house_issue("r1", 600, 1800, NULL, NULL, &early);
	house_issue("r1", -60, 1800, other, &other_root, &foreign);
	refused_handshake(&expired, "r1", "certificate-expired");
	refused_handshake(&early, "r1", "certificate-not-yet-valid");
	refused_handshake(&foreign, "r1", "certificate-unknown-authority");
	refused_handshake(NULL, "", "certificate-missing");
	house_certificate_clear(&expired);
	house_certificate_clear(&early);
	house_certificate_clear(&foreign);
	sign_key_free(other);
}

// Good until it is revoked; then refused, though it has not expired.
static void test_revoked(void **state)
{
	struct house_certificate c;
	struct element e;
	house_issue("r3", -60, 1800, NULL, NULL, &c);
	element_open(&e, "r3", &c);
	element_dial(&e, house.tunnel_port);
	wait_told(IPC_ADMIT_REQUEST, "r3", "");
	element_clear(&e);
	house_revoke(&c);
	house_turn(5);
	refused_handshake(&c, "r3", "certificate-revoked");
	house_certificate_clear(&c);
}

// Our authority's certificate, but a role's and no device's.
static void test_role(void **state)
{
	struct house_certificate c = {0};
	must(sign_key_generate(SIGN_P256, &c.key), "key");
	struct x509_issue want = {.profile = X509_PEER,
				  .name = "northbound",
				  .key = sign_key_public(c.key),
				  .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 60 * NS_PER_S,
				  .issuer = house.root.data,
				  .issuer_len = house.root.len};
	must(x509_issue(&want, house.authority, &c.der), "certificate");
	refused_handshake(&c, "", "certificate-malformed");
	house_certificate_clear(&c);
}

// --- management away

static void test_management_away(void **state)
{
	struct element e, late;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	element_register(&e, "r1");
	for (int i = 0; i < 500 && !e.registered; i++)
		house_turn(1);
	house_down(PROCESS_MANAGEMENT);
	element_call(&e, SERVICE "Challenge", "x", 1);
	house_until(element_has_answer, &e, "the answer");
	assert_int_equal(e.status, GRPC_UNAVAILABLE);
	assert_false(e.conn_over); // who is here stays
	element_open(&late, "r2", &r2);
	element_dial(&late, house.tunnel_port);
	house_until(element_is_open, &late, "TLS");
	house_turn(10);
	house_forget();
	house_up(PROCESS_MANAGEMENT); // it is asked about both
	wait_told(IPC_ADMIT_REQUEST, "r1", "");
	wait_told(IPC_ADMIT_REQUEST, "r2", "");
	element_register(&late, "r2");
	for (int i = 0; i < 500 && !late.registered; i++)
		house_turn(1);
	assert_true(late.registered);
	assert_false(e.conn_over);
	element_clear(&e);
	element_clear(&late);
}

// --- enrolment

static void test_enrolment(void **state)
{
	static const char *const allowed[] = {SERVICE "Begin", SERVICE "Complete", SERVICE "Renew",
					      SERVICE "Challenge"};
	struct element e;
	element_open(&e, "new", NULL);
	element_dial(&e, house.enrolment_port);
	for (int i = 0; i < 4; i++) {
		element_call(&e, allowed[i], "hello", 5);
		house_until(element_has_answer, &e, allowed[i]);
		assert_int_equal(e.status, GRPC_OK);
		assert_int_equal(e.answer_len, 5);
		const struct told *t =
			house_told(IPC_ENROL_REQUEST, NULL, allowed[i] + strlen(SERVICE));
		assert_non_null(t);
		assert_int_equal(t->chain, 0); // no certificate
		assert_string_equal(t->session, "");
		assert_memory_equal(t->text, "127.0.0.1:", 10);
	}
	element_call(&e, SERVICE "Attest", "x", 1); // under a certificate only
	house_until(element_has_answer, &e, "Attest");
	assert_int_equal(e.status, GRPC_UNIMPLEMENTED);
	element_call(&e, "/gnmi.gNMI/Get", "x", 1);
	house_until(element_has_answer, &e, "Get");
	assert_int_equal(e.status, GRPC_UNIMPLEMENTED);
	house.enrol_status = GRPC_PERMISSION_DENIED;
	element_call(&e, SERVICE "Begin", "x", 1);
	house_until(element_has_answer, &e, "Begin");
	assert_int_equal(e.status, GRPC_PERMISSION_DENIED);
	assert_string_equal(e.status_text, "token-used");
	element_clear(&e);
}

static void test_enrolment_bounds(void **state)
{
	static const uint8_t large[(48 << 10) + 1];
	struct element e;
	element_open(&e, "new", NULL);
	element_dial(&e, house.enrolment_port);
	element_call(&e, SERVICE "Begin", large, sizeof large - 1);
	house_until(element_has_answer, &e, "Begin");
	assert_string_equal(e.status_text, "");
	assert_int_equal(e.status, GRPC_OK);
	element_call(&e, SERVICE "Begin", large, sizeof large);
	house_until(element_has_answer, &e, "Begin");
	assert_int_equal(e.status, GRPC_RESOURCE_EXHAUSTED);
	unsigned limited = 0;
	for (int i = 0; i < 40; i++) {
		element_call(&e, SERVICE "Begin", "x", 1);
		house_until(element_has_answer, &e, "Begin");
		limited += e.status == GRPC_RESOURCE_EXHAUSTED;
	}
	assert_true(limited > 0); // above two a second
	element_clear(&e);
}

static void test_enrolment_late(void **state)
{
	struct element e;
	house.hold_enrolment = true;
	element_open(&e, "new", NULL);
	element_dial(&e, house.enrolment_port);
	element_call(&e, SERVICE "Begin", "x", 1);
	house_until(element_has_answer, &e, "the end of patience");
	assert_int_equal(e.status, GRPC_DEADLINE_EXCEEDED);
	element_call(&e, SERVICE "Begin", "x", 1);
	house_turn(10);
	house_down(PROCESS_MANAGEMENT);
	house_until(element_has_answer, &e, "the word that management is away");
	assert_int_equal(e.status, GRPC_UNAVAILABLE);
	house_up(PROCESS_MANAGEMENT);
	house_until(element_is_over, &e, "the end of a long visit"); // enrolment_s
	element_clear(&e);
}

static void test_attest_on_tunnel(void **state)
{
	struct element e;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	element_call(&e, SERVICE "Attest", "quote", 5);
	house_until(element_has_answer, &e, "Attest");
	assert_int_equal(e.status, GRPC_OK);
	const struct told *t = house_told(IPC_ENROL_REQUEST, NULL, "Attest");
	assert_int_equal(t->chain, r1.der.len); // its certificate goes along
	assert_string_equal(t->session, house_told(IPC_ADMIT_REQUEST, "r1", "")->session);
	element_call(&e, SERVICE "Begin", "x", 1); // without a certificate only
	house_until(element_has_answer, &e, "Begin");
	assert_int_equal(e.status, GRPC_UNIMPLEMENTED);
	element_clear(&e);
}

// --- floods

static void test_handshake_flood(void **state)
{
	struct element e[12];
	const struct telemetry *t = house.p.self;
	uint64_t limited = t->count.handshakes_limited;
	struct rate before = telemetry_limits.source_handshakes;
	telemetry_limits.source_handshakes = (struct rate){.per_s = 1, .burst = 1};
	for (int i = 0; i < 12; i++) {
		element_open(&e[i], "r1", &r1);
		element_dial(&e[i], house.tunnel_port);
	}
	for (int i = 0; i < 500 && t->count.handshakes_limited < limited + 8; i++)
		house_turn(1);
	assert_true(t->count.handshakes_limited >= limited + 8);
	const struct told *o = wait_told(IPC_OBSERVED, NULL, "handshake-flood");
	assert_string_equal(o->source, "127.0.0.1");
	assert_true(house_count(IPC_OBSERVED, NULL, "handshake-flood") <
		    3); // counted, not repeated
	telemetry_limits.source_handshakes = before;
	for (int i = 0; i < 12; i++)
		element_clear(&e[i]);
}

static void failed(const char *what)
{
	fail_msg("never came: %s", what);
}

static int open_house(void **state)
{
	house_failed = failed;
	telemetry_limits.source_handshakes = (struct rate){.per_s = 100000, .burst = 100000};
	telemetry_limits.answer_s = 2;
	telemetry_limits.enrolment_s = 8;
	telemetry_limits.refuse_ms = 1000;
	house_open();
	house_issue("r1", -60, 1800, NULL, NULL, &r1);
	house_issue("r2", -60, 1800, NULL, NULL, &r2);
	return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_admitted),	 T(test_waits_for_answer), T(test_no_answer),
		T(test_refused),	 T(test_other_device),	   T(test_dropped),
		T(test_name_stolen),	 T(test_second_session),   T(test_copied),
		T(test_handshakes),	 T(test_revoked),	   T(test_role),
		T(test_management_away), T(test_enrolment),	   T(test_enrolment_bounds),
		T(test_enrolment_late),	 T(test_attest_on_tunnel), T(test_handshake_flood),
	};
	return cmocka_run_group_tests(tests, open_house, NULL);
}
