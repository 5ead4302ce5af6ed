// SPDX-License-Identifier: Apache-2.0
// Joining, with real software TPMs on the device's side: from token to production, and each way to
// be refused or to fall back, with its own reason, story step, record, event and alert.
// X.2011 8.1.1-1, 8.1.1-2, 8.2.1-4, 8.3.3-6.
#include "agent.h"

#include "lib/crypto/hash.h"

static struct drive d;
static struct agent r1, thief; // two machines
static struct conf_reference reference;
static char *ek_roots[2];

static int group_setup(void **state)
{
	static struct drive none;
	agent_new(&r1, &none, "r1");
	agent_new(&thief, &none, "r1");
	agent_trust(&r1, &reference, &ek_roots[0]);
	struct conf_reference unwanted;
	agent_trust(&thief, &unwanted, &ek_roots[1]);
	return 0;
}

static int group_teardown(void **state)
{
	agent_free(&r1);
	agent_free(&thief);
	free(ek_roots[0]);
	free(ek_roots[1]);
	return 0;
}

// The same machines each time, without what they had from the twin of before.
static void agent_reset(struct agent *a)
{
	a->d = &d;
	a->chain_len[0] = a->chain_len[1] = 0;
	a->claims = NULL;
	a->quotes = NULL;
	a->wrong_secret = a->wrong_nonce = a->no_batch_key = false;
	a->session[0] = 0;
	strcpy(a->source, a == &r1 ? "10.0.0.11:4000" : "10.0.0.66:4000");
}

static int setup(void **state)
{
	static char hex[HASH_HEX];
	drive_new(&d);
	snprintf(hex, sizeof hex, "%s", reference.pcr17);
	d.conf.ek_roots = (struct conf_list){ek_roots, 2};
	d.conf.references = (struct conf_items){&reference, 1};
	agent_reset(&r1);
	agent_reset(&thief);
	drive_start(&d);
	drive_login_admin(&d);
	drive_expect(&d, 201, "devices.create", "{'id':'r1','role':'router'}");
	drive_expect(&d, 201, "devices.create", "{'id':'r2'}");
	return 0;
}

static int teardown(void **state)
{
	drive_free(&d);
	return 0;
}

// The clock is moved a lot here: sessions end.
static void session_fresh(void)
{
	if (!drive_ticket(&d))
		drive_login_admin(&d);
}

static const char *token_for(const char *device)
{
	static char token[TOKEN_TEXT_MAX];
	char params[80];
	snprintf(params, sizeof params, "{'id':'%s'}", device);
	session_fresh();
	struct reply r = drive_call(&d, "devices.enrol", params);
	assert_int_equal(r.status, 201);
	snprintf(token, sizeof token, "%s", reply_text(&r, "token"));
	reply_clear(&r);
	return token;
}

static const char *state_of(const char *device)
{
	const struct device *found = devices_find(drive_management(&d)->devices, device);
	return found ? device_state_name(found->state) : "none";
}

static void to_production(void)
{
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "");
	assert_string_equal(agent_admit(&r1, "s1"), "");
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "production");
}

// A refusal leaves its record, its event and its alert, all with the same word.
static void refused(const char *subject, const char *word)
{
	char kind[80];
	snprintf(kind, sizeof kind, "\"reason\":\"%s\"", word);
	assert_true(drive_recorded(&d, "device.refused", subject, kind));
	assert_true(drive_told(&d, "device.refused", subject));
	session_fresh();
	snprintf(kind, sizeof kind, "{'filter':'device.%s'}", word);
	struct reply r = drive_call(&d, "alerts.list", kind);
	assert_true(json_array_size(json_object_get(r.body, "items")) >= 1);
	assert_true(*reply_text(&r, "items.0.fix"));
	reply_clear(&r);
}

static void test_to_production(void **state)
{
	static const char *const steps[] = {"added",  "invited",  "enrolled",  "appraised",
					    "tested", "attested", "production"};
	to_production();
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		char kind[64];
		snprintf(kind, sizeof kind, "device.%s", steps[i]);
		assert_true(drive_recorded(&d, kind, "r1", NULL));
	}
	struct reply r = drive_call(&d, "devices.get", "{'id':'r1'}");
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		char path[32];
		snprintf(path, sizeof path, "story.%zu.step", i);
		assert_string_equal(reply_text(&r, path), steps[i]);
	}
	assert_string_equal(reply_text(&r, "evidence.software"), "agent-1.0");
	assert_string_equal(reply_text(&r, "checks.0.verdict"), "pass");
	reply_clear(&r);
	// The repository has the key, by the id that it checks.
	Ipc__DeviceState *s = drive_last(&d, PROCESS_REPOSITORY, IPC_DEVICE_STATE,
					 &ipc__device_state__descriptor);
	const struct sign_public *batch = sign_key_public(r1.batch);
	assert_string_equal(s->state, "production");
	assert_string_equal(s->role, "router");
	assert_int_equal(s->n_keys, 1);
	assert_int_equal(s->keys[0]->public_key.len, batch->len);
	assert_memory_equal(s->keys[0]->public_key.data, batch->bytes, batch->len);
	assert_memory_equal(s->keys[0]->key_id.data, batch->id, SIGN_KEY_ID);
	// All of it outlives the process; telemetry asks again about who is still there.
	drive_restart(&d);
	assert_string_equal(state_of("r1"), "production");
	assert_string_equal(agent_admit(&r1, "s1"), "");
	drive_tick(&d, 61); // no new quote is due yet
	assert_string_equal(state_of("r1"), "production");
	const char *word;
	assert_true(agent_admitted(&r1, &word));
	// Asked before keys is there: it is answered when it has come, and not with a "no".
	drive_stop(&d);
	drive_forget(&d);
	drive_start_without(&d, PROCESS_KEYS);
	agent_admit_ask(&r1, "s1");
	assert_int_equal(drive_count(&d, PROCESS_TELEMETRY, IPC_ADMIT_ANSWER), 0);
	drive_up(&d, PROCESS_KEYS);
	drive_settle(&d);
	assert_true(agent_admitted(&r1, &word));
}

static void test_tokens(void **state)
{
	char token[TOKEN_TEXT_MAX], other[TOKEN_TEXT_MAX];
	Gemel__Enrolment__V1__BeginAnswer *b;
	strcpy(token, token_for("r1"));
	strcpy(other, token_for("r2"));
	assert_string_equal(agent_begin(&r1, other, &b), "token-other-device");
	refused("r1", "token-other-device");
	char forged[TOKEN_TEXT_MAX];
	strcpy(forged, token);
	forged[strlen("gemel1.r1.") + 20] ^= 1; // within the secret
	assert_string_equal(agent_begin(&r1, forged, &b), "token-unknown");
	assert_string_equal(agent_begin(&r1, "gemel1.r1.00ff.aabbccdd.00", &b), "token-unknown");
	refused("r1", "token-unknown");
	assert_string_equal(agent_enrol(&r1, token), "");
	assert_string_equal(agent_begin(&r1, token, &b), "token-used");
	refused("r1", "token-used");
	drive_restart(&d);
	assert_string_equal(agent_begin(&r1, token, &b), "token-used");
	strcpy(token, token_for("r2"));
	assert_string_equal(agent_begin(&thief, other, &b),
			    "token-unknown"); // the newer one counts
	thief.claims = "r2";
	drive_tick(&d, 3601);
	assert_string_equal(agent_begin(&thief, token, &b), "token-expired");
	refused("r2", "token-expired");
	r1.claims = "r9";
	assert_string_equal(agent_begin(&r1, token, &b),
			    "token-expired"); // what is known of it comes first
}

static void test_tpm_is_bound(void **state)
{
	Gemel__Enrolment__V1__BeginAnswer *b;
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "");
	r1.claims = "r2"; // one TPM, two devices
	assert_string_equal(agent_begin(&r1, token_for("r2"), &b), "ek-mismatch");
	refused("r2", "ek-mismatch");
	// one device, another TPM
	assert_string_equal(agent_begin(&thief, token_for("r1"), &b), "ek-mismatch");
	refused("r1", "ek-mismatch");
	// after it was revoked another TPM may come
	session_fresh();
	drive_expect(&d, 200, "devices.revoke", "{'id':'r1'}");
	assert_string_equal(agent_enrol(&thief, token_for("r1")), "");
}

static void test_manufacturer(void **state)
{
	Gemel__Enrolment__V1__BeginAnswer *b;
	d.conf.ek_roots.n = 1; // the thief's is not among them
	drive_restart(&d);
	assert_string_equal(agent_begin(&thief, token_for("r1"), &b), "ek-unknown-authority");
	refused("r1", "ek-unknown-authority");
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "");
}

static void test_complete_refusals(void **state)
{
	r1.wrong_secret = true;
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "credential-not-activated");
	refused("r1", "credential-not-activated");
	r1.wrong_secret = false;
	r1.wrong_nonce = true;
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "quote-bad");
	r1.wrong_nonce = false;
	r1.quotes = &thief;
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "quote-bad");
	refused("r1", "quote-bad");
	r1.quotes = NULL;
	r1.no_batch_key = true;
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "batch-key-bad");
	r1.no_batch_key = false;
	reference.pcr17[0] ^= 1; // what runs there is not what shall run
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "software-unknown");
	reference.pcr17[0] ^= 1;
	refused("r1", "software-unknown");
	assert_string_equal(state_of("r1"), "invited");
	assert_string_equal(agent_enrol(&r1, token_for("r1")), ""); // the token was still good
	assert_string_equal(state_of("r1"), "quarantine");
}

// Somebody's own authority, with our device's name in it.
static void forge(struct agent *a, int64_t from_ns, int64_t until_ns)
{
	struct sign_key *ca;
	scoped(buf) struct buf root = {0}, leaf = {0};
	good(sign_key_generate(SIGN_P256, &ca));
	struct x509_issue want = {.profile = X509_ROOT,
				  .name = "test root",
				  .key = sign_key_public(ca),
				  .from_ns = from_ns,
				  .until_ns = until_ns};
	good(x509_issue(&want, ca, &root));
	want = (struct x509_issue){.profile = X509_DEVICE,
				   .name = "r1",
				   .key = sign_key_public(a->tls),
				   .from_ns = from_ns,
				   .until_ns = until_ns,
				   .issuer = root.data,
				   .issuer_len = root.len};
	good(x509_issue(&want, ca, &leaf));
	sign_key_free(ca);
	memcpy(a->chain[0], leaf.data, leaf.len);
	memcpy(a->chain[1], root.data, root.len);
	a->chain_len[0] = leaf.len;
	a->chain_len[1] = root.len;
}

static void copy_certificate(struct agent *to, const struct agent *from)
{
	memcpy(to->chain, from->chain, sizeof to->chain);
	memcpy(to->chain_len, from->chain_len, sizeof to->chain_len);
}

static void test_admission_refusals(void **state)
{
	int64_t now = clock_wall_ns();
	assert_string_equal(agent_admit(&thief, "t0"), "certificate-missing");
	forge(&thief, now - 3600 * NS_PER_S, now + 86400 * NS_PER_S);
	assert_string_equal(agent_admit(&thief, "t1"), "certificate-unknown-authority");
	refused("r1", "certificate-unknown-authority");
	// A forger writes nothing into the story of the device whose name he took.
	struct reply r = drive_call(&d, "devices.get", "{'id':'r1'}");
	assert_int_equal(json_array_size(json_object_get(r.body, "story")), 1);
	reply_clear(&r);
	to_production();
	r1.claims = "r2"; // a good certificate, another's name
	assert_string_equal(agent_admit(&r1, "s2"), "name-stolen");
	refused("r1", "name-stolen");
	r1.claims = NULL;
	drive_tick(&d, 8 * 86400);
	assert_string_equal(agent_admit(&r1, "s3"), "certificate-expired");
	refused("r1", "certificate-expired");
}

static void test_revoked(void **state)
{
	to_production();
	session_fresh();
	drive_expect(&d, 200, "devices.revoke", "{'id':'r1','reason':'stolen'}");
	Ipc__DeviceDrop *drop =
		drive_last(&d, PROCESS_TELEMETRY, IPC_DEVICE_DROP, &ipc__device_drop__descriptor);
	assert_string_equal(drop->device, "r1");
	Ipc__DeviceState *s = drive_last(&d, PROCESS_REPOSITORY, IPC_DEVICE_STATE,
					 &ipc__device_state__descriptor);
	assert_string_equal(s->state, "revoked");
	assert_int_equal(s->n_keys, 0);
	assert_string_equal(agent_admit(&r1, "s2"), "certificate-revoked");
	refused("r1", "certificate-revoked");
	// telemetry has the list, signed by our authority
	struct x509_trust *t = x509_trust_new();
	struct x509_chain chain = {
		{r1.chain[0], r1.chain[1]}, {r1.chain_len[0], r1.chain_len[1]}, 2};
	enum x509_refusal why;
	Ipc__CertIssued *c =
		drive_last(&d, PROCESS_TELEMETRY, IPC_CERT_ISSUED, &ipc__cert_issued__descriptor);
	good(x509_trust_add(t, d.keys.root.data, d.keys.root.len));
	good(x509_verify(t, &chain, X509_USE_CLIENT, clock_wall_ns(), NULL, &why));
	good(x509_trust_set_crl(t, c->crl.data, c->crl.len));
	assert_int_equal(x509_verify(t, &chain, X509_USE_CLIENT, clock_wall_ns(), NULL, &why).code,
			 ERR_AUTH);
	assert_int_equal(why, X509_IS_REVOKED);
	x509_trust_free(t);
	drive_restart(&d); // revoked stays revoked
	assert_string_equal(agent_admit(&r1, "s2"), "certificate-revoked");
}

// Certificate and TLS key were copied to another machine: it can connect, and cannot attest.
static void test_copied_certificate(void **state)
{
	const char *word;
	to_production();
	struct sign_key *own = thief.tls;
	copy_certificate(&thief, &r1);
	thief.tls = r1.tls;
	assert_string_equal(agent_admit(&thief, "t1"), "");
	assert_string_equal(agent_attest(&thief), "key-mismatch");
	assert_false(agent_admitted(&thief, &word)); // only this connection ends
	assert_string_equal(word, "key-mismatch");
	refused("r1", "key-mismatch");
	assert_string_equal(state_of("r1"), "production");
	assert_string_equal(agent_attest(&r1), "");			// the device itself goes on
	assert_string_equal(agent_admit(&thief, "t2"), "key-mismatch"); // and he is not heard again
	strcpy(thief.source, "10.0.0.67:1"); // from elsewhere: he has a minute, and no TPM
	assert_string_equal(agent_admit(&thief, "t3"), "");
	drive_tick(&d, 61);
	assert_false(agent_admitted(&thief, &word));
	assert_string_equal(word, "attestation-overdue");
	assert_string_equal(state_of("r1"), "production");
	thief.tls = own;
	// The certificate alone, over another key: what TLS would not even let him do.
	forge(&thief, clock_wall_ns() - NS_PER_S, clock_wall_ns() + 86400 * NS_PER_S);
	assert_string_equal(agent_admit(&thief, "t4"), "certificate-unknown-authority");
}

static void test_altered_software(void **state)
{
	to_production();
	reference.pcr17[0] ^= 1;
	assert_string_equal(agent_attest(&r1), "software-unknown");
	reference.pcr17[0] ^= 1;
	assert_string_equal(state_of("r1"), "quarantine");
	refused("r1", "software-unknown");
	assert_true(drive_told(&d, "alert.raised", "r1"));
	Ipc__DeviceState *s = drive_last(&d, PROCESS_REPOSITORY, IPC_DEVICE_STATE,
					 &ipc__device_state__descriptor);
	assert_string_equal(s->state, "quarantine");
	struct reply r = drive_call(&d, "devices.get", "{'id':'r1'}");
	assert_string_equal(reply_text(&r, "reason"), "software-unknown");
	assert_true(*reply_text(&r, "fix"));
	reply_clear(&r);
	assert_string_equal(agent_attest(&r1), ""); // mended: it rises again by itself
	assert_string_equal(state_of("r1"), "production");
}

static void test_overdue(void **state)
{
	to_production();
	drive_tick(&d, 3000);
	assert_string_equal(agent_attest(&r1), "");
	for (int i = 0; i < 10; i++)
		drive_tick(&d, 60);
	assert_string_equal(state_of("r1"), "production");
	for (int i = 0; i < 24; i++)
		drive_tick(&d, 300);
	assert_string_equal(state_of("r1"), "quarantine");
	assert_true(drive_recorded(&d, "device.quarantined", "r1", "attestation-overdue"));
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "production");
	agent_leave(&r1); // who is away is not to blame
	for (int i = 0; i < 30; i++)
		drive_tick(&d, 300);
	assert_string_equal(state_of("r1"), "production");
}

static void test_replayed_evidence(void **state)
{
	to_production();
	assert_string_equal(agent_attest_again(&r1), "nonce-unknown");
	refused("r1", "nonce-unknown");
	assert_string_equal(state_of("r1"), "production");
	// a nonce is for one connection
	assert_string_equal(agent_attest(&r1), "");
	uint8_t nonce[EVIDENCE_NONCE];
	memcpy(nonce, r1.nonce, sizeof nonce);
	assert_string_equal(agent_admit(&r1, "s2"), "");
	memcpy(r1.nonce, nonce, sizeof nonce);
	assert_string_equal(agent_attest_again(&r1), "nonce-unknown");
}

static void test_held(void **state)
{
	to_production();
	session_fresh();
	drive_expect(&d, 200, "devices.quarantine", "{'id':'r1','reason':'looks odd'}");
	assert_string_equal(state_of("r1"), "quarantine");
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "quarantine"); // not by itself
	session_fresh();
	struct reply r = drive_call(&d, "devices.test", "{'id':'r1'}");
	assert_int_equal(r.status, 200);
	assert_true(json_is_true(json_object_get(r.body, "passed")));
	assert_string_equal(reply_text(&r, "state"), "production");
	reply_clear(&r);
	agent_leave(&r1);
	r = drive_call(&d, "devices.test", "{'id':'r1'}"); // nothing can be tested of who is away
	assert_true(json_is_false(json_object_get(r.body, "passed")));
	assert_string_equal(reply_text(&r, "failed"), "session");
	assert_string_equal(reply_text(&r, "state"), "quarantine");
	reply_clear(&r);
}

static void test_misbehaviour_keeps_out(void **state)
{
	Ipc__Observed o = IPC__OBSERVED__INIT;
	assert_string_equal(agent_enrol(&r1, token_for("r1")), "");
	o.device = (char *)(uintptr_t) "r1";
	o.kind = (char *)(uintptr_t) "rate";
	o.count = 1;
	drive_say(&d, PROCESS_TELEMETRY, IPC_OBSERVED, &o.base);
	assert_string_equal(agent_admit(&r1, "s1"), "");
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "quarantine");
	assert_true(drive_recorded(&d, "device.test-failed", "r1", "behaviour"));
	drive_tick(&d, 601);
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "production");
}

static void test_renewal(void **state)
{
	to_production();
	uint8_t old[4096];
	size_t old_len = r1.chain_len[0];
	memcpy(old, r1.chain[0], old_len);
	drive_tick(&d, 3 * 86400);
	assert_string_equal(agent_renew(&r1), "");
	assert_true(drive_recorded(&d, "device.renewed", "r1", NULL));
	assert_string_equal(agent_admit(&r1, "s2"), "");
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "production");
	uint8_t new[4096];
	size_t new_len = r1.chain_len[0];
	memcpy(new, r1.chain[0], new_len);
	memcpy(r1.chain[0], old, old_len);
	r1.chain_len[0] = old_len;
	assert_string_equal(agent_admit(&r1, "s3"),
			    "key-mismatch"); // the new key is in use: no way back
	memcpy(r1.chain[0], new, new_len);
	r1.chain_len[0] = new_len;
	// A weekend without the twin: expired, and renewed over the enrolment port.
	agent_leave(&r1);
	drive_tick(&d, 10 * 86400);
	assert_string_equal(agent_admit(&r1, "s4"), "certificate-expired");
	r1.session[0] = 0;
	assert_string_equal(agent_renew(&r1), "");
	assert_string_equal(agent_admit(&r1, "s5"), "");
	assert_string_equal(agent_attest(&r1), "");
	assert_string_equal(state_of("r1"), "production");
	// Another TPM renews nothing.
	r1.quotes = &thief;
	assert_string_equal(agent_renew(&r1), "key-mismatch");
	r1.quotes = NULL;
	drive_tick(&d, 60 * 86400);
	r1.session[0] = 0;
	assert_string_equal(agent_renew(&r1), "certificate-expired"); // too long ago
}

static void test_garbage(void **state)
{
	static const char *const methods[] = {"Begin", "Complete", "Renew", "Challenge", "Attest"};
	for (size_t i = 0; i < 5; i++) {
		Ipc__EnrolRequest r = IPC__ENROL_REQUEST__INIT;
		r.id = d.next_id++;
		r.method = (char *)(uintptr_t)methods[i];
		r.source = (char *)(uintptr_t) "10.0.0.9:1";
		r.message = (ProtobufCBinaryData){
			7, (uint8_t *)(uintptr_t) "\xff\xff\xff\xff\xff\xff\xff"};
		drive_say(&d, PROCESS_TELEMETRY, IPC_ENROL_REQUEST, &r.base);
		drive_settle(&d);
		Ipc__EnrolAnswer *a = drive_last(&d, PROCESS_TELEMETRY, IPC_ENROL_ANSWER,
						 &ipc__enrol_answer__descriptor);
		assert_int_equal(a->id, r.id);
		assert_int_equal(a->grpc_status, 3);
		assert_int_equal(strncmp(a->reason, "request-malformed", 17), 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_to_production),
		T(test_tokens),
		T(test_tpm_is_bound),
		T(test_manufacturer),
		T(test_complete_refusals),
		T(test_admission_refusals),
		T(test_revoked),
		T(test_copied_certificate),
		T(test_altered_software),
		T(test_overdue),
		T(test_replayed_evidence),
		T(test_held),
		T(test_misbehaviour_keeps_out),
		T(test_renewal),
		T(test_garbage),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
