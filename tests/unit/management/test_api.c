// SPDX-License-Identifier: Apache-2.0
// The operations of the API against the whole process: first start, accounts, sessions, back-off,
// inventory, refusals with policy and fix, and what survives a restart.
#include "drive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct drive d;

static int setup(void **state)
{
	drive_new(&d);
	drive_start(&d);
	drive_login_admin(&d);
	return 0;
}

static int teardown(void **state)
{
	drive_free(&d);
	return 0;
}

static off_t first_login_size(mode_t *mode)
{
	char path[128];
	struct stat st;
	snprintf(path, sizeof path, "%s/management/first-login.json", d.folder);
	if (stat(path, &st) != 0)
		return -1;
	*mode = st.st_mode & 0777;
	return st.st_size;
}

static void test_first_start(void **state)
{
	mode_t mode = 0;
	assert_true(first_login_size(&mode) > 0);
	assert_int_equal(mode, 0600);
	assert_true(drive_recorded(&d, "account.created", "admin", "first start"));
	assert_true(drive_recorded(&d, "account.login", "admin", "127.0.0.1"));
	Ipc__Publish *p = drive_last(&d, PROCESS_PARENT, IPC_PUBLISH, &ipc__publish__descriptor);
	assert_string_equal(p->name, "authority.pem");
	assert_non_null(strstr((char *)p->content.data, "BEGIN CERTIFICATE"));
	struct reply r = drive_call(&d, "session.get", "{}");
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_text(&r, "account"), "admin");
	assert_string_equal(reply_text(&r, "roles.0"), "administrator");
	reply_clear(&r);
	// Its pass phrase is changed: the file forgets it, and this session goes on.
	drive_expect(&d, 200, "accounts.update",
		     "{'name':'admin','password':'seven blue kettles sing'}");
	assert_int_equal(first_login_size(&mode), 0);
	drive_expect(&d, 200, "session.get", "{}");
	drive_restart(&d);
	assert_true(drive_ticket(&d)); // the session outlives the process
	drive_expect(&d, 200, "session.get", "{}");
	assert_int_equal(first_login_size(&mode), -1);
	drive_login(&d, "admin", "seven blue kettles sing");
}

static void test_policy_and_keys_are_given_out(void **state)
{
	static const enum process_id to[] = {PROCESS_REPOSITORY, PROCESS_NORTHBOUND,
					     PROCESS_TELEMETRY};
	const uint8_t *key = sign_key_public(d.keys.keys[PURPOSE_POLICY])->bytes;
	for (size_t i = 0; i < 3; i++) {
		struct access_policy *p;
		Ipc__Policy *m = drive_last(&d, to[i], IPC_POLICY, &ipc__policy__descriptor);
		assert_non_null(m);
		good(access_policy_load(m->snapshot.data, m->snapshot.len, key, &p));
		assert_int_equal(access_policy_version(p), 1);
		access_policy_free(p);
	}
	assert_int_equal(drive_count(&d, PROCESS_NORTHBOUND, IPC_KEY_PUBLIC), 1);
	drive_forget(&d);
	drive_tick(&d, 301); // confirmed again before it is stale
	assert_int_equal(drive_count(&d, PROCESS_REPOSITORY, IPC_POLICY), 1);
	assert_int_equal(drive_records(&d, "policy.changed"), 0);
}

static void test_accounts(void **state)
{
	drive_expect(&d, 400, "accounts.create",
		     "{'name':'ann','password':'Password2024!','roles':'viewer'}");
	drive_expect(&d, 400, "accounts.create",
		     "{'name':'ann','password':'short','roles':'viewer'}");
	drive_expect(&d, 400, "accounts.create",
		     "{'name':'ann','password':'nine small red boats','roles':'king'}");
	drive_expect(
		&d, 400, "accounts.create",
		"{'name':'ann','password':'nine small red boats','roles':'approver,operator'}");
	drive_expect(&d, 201, "accounts.create",
		     "{'name':'ann','password':'nine small red boats','roles':'viewer'}");
	drive_expect(&d, 409, "accounts.create",
		     "{'name':'ann','password':'nine small red boats','roles':'viewer'}");
	struct reply r = drive_call(&d, "accounts.list", "{}");
	assert_int_equal(json_array_size(json_object_get(r.body, "items")), 2);
	assert_string_equal(reply_text(&r, "items.0.name"), "admin");
	assert_string_equal(reply_text(&r, "items.1.name"), "ann");
	char *text = json_dumps(r.body, 0);
	assert_null(strstr(text, "argon2")); // no hash leaves
	free(text);
	reply_clear(&r);
	r = drive_call(&d, "accounts.list", "{'limit':1}");
	assert_string_equal(reply_text(&r, "next"), "admin");
	reply_clear(&r);
	r = drive_call(&d, "accounts.list", "{'cursor':'admin','fields':'name,roles'}");
	assert_string_equal(reply_text(&r, "items.0.name"), "ann");
	assert_null(
		json_object_get(json_array_get(json_object_get(r.body, "items"), 0), "created"));
	reply_clear(&r);
	// If-Match
	r = drive_call_with(&d, "accounts.update", "{'name':'ann','domain':'north'}", "\"7\"",
			    NULL);
	assert_int_equal(r.status, 409);
	reply_clear(&r);
	r = drive_call_with(&d, "accounts.update", "{'name':'ann','domain':'north'}", "\"1\"",
			    NULL);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.etag, "\"2\"");
	reply_clear(&r);
	drive_expect(&d, 409, "accounts.update", "{'name':'admin','disabled':true}");
	drive_expect(&d, 409, "accounts.delete", "{'name':'admin'}");
	drive_expect(&d, 404, "accounts.delete", "{'name':'eve'}");
	drive_expect(&d, 200, "accounts.delete", "{'name':'ann'}");
	assert_true(drive_recorded(&d, "account.removed", "ann", NULL));
}

static void test_separated_duties(void **state)
{
	drive_expect(&d, 201, "accounts.create",
		     "{'name':'vic','password':'nine small red boats','roles':'viewer'}");
	drive_login(&d, "vic", "nine small red boats");
	struct reply r = drive_call(&d, "devices.create", "{'id':'r1'}");
	assert_int_equal(r.status, 403);
	assert_string_equal(reply_text(&r, "decision.policy"), "default-deny");
	assert_true(*reply_text(&r, "fix"));
	reply_clear(&r);
	drive_expect(&d, 403, "accounts.list", "{}");
	drive_expect(&d, 403, "accounts.update", "{'name':'vic','roles':'administrator'}");
	drive_expect(&d, 403, "accounts.update",
		     "{'name':'admin','password':'nine small red boats'}");
	drive_expect(&d, 200, "accounts.update", "{'name':'vic','password':'ten small red boats'}");
	drive_expect(&d, 200, "devices.list", "{}");
	r = drive_call(&d, "access.decide", "{'action':'create','kind':'Device'}");
	assert_int_equal(r.status, 200);
	assert_true(json_is_false(json_object_get(r.body, "permit")));
	reply_clear(&r);
	drive_expect(&d, 403, "access.decide",
		     "{'account':'admin','action':'read','kind':'Device'}");
	// One record for the first refusal, one for all that follow in the minute.
	drive_forget(&d);
	for (int i = 0; i < 20; i++)
		drive_expect(&d, 403, "devices.create", "{'id':'r1'}");
	drive_tick(&d, 61);
	assert_int_equal(drive_records(&d, "access.denied"), 2); // and the second accounts.update
	assert_true(drive_recorded(&d, "access.denied", "vic", "\"more\":20"));
}

static void test_sessions(void **state)
{
	drive_expect(&d, 201, "accounts.create",
		     "{'name':'ann','password':'nine small red boats','roles':'viewer'}");
	char admin[512];
	uint8_t ticket[4096];
	size_t n = d.ticket_len;
	strcpy(admin, d.token);
	memcpy(ticket, d.ticket, n);
	drive_login(&d, "ann", "nine small red boats");
	struct reply r = drive_call(&d, "session.get", "{}");
	assert_string_equal(reply_text(&r, "account"), "ann");
	reply_clear(&r);
	drive_expect(&d, 200, "session.end", "{}");
	Ipc__Session *s =
		drive_last(&d, PROCESS_NORTHBOUND, IPC_SESSION, &ipc__session__descriptor);
	assert_true(s->ended);
	drive_expect(&d, 401, "session.get",
		     "{}"); // the ticket still has minutes, the session none
	assert_false(drive_ticket(&d));
	// Locked: its sessions end at once, and it cannot come back.
	drive_login(&d, "ann", "nine small red boats");
	char anns[512];
	strcpy(anns, d.token);
	strcpy(d.token, admin);
	memcpy(d.ticket, ticket, n);
	d.ticket_len = n;
	drive_expect(&d, 200, "accounts.update", "{'name':'ann','disabled':true}");
	s = drive_last(&d, PROCESS_NORTHBOUND, IPC_SESSION, &ipc__session__descriptor);
	assert_true(s->ended);
	strcpy(d.token, anns);
	assert_false(drive_ticket(&d));
	drive_expect(&d, 401, "session.login",
		     "{'account':'ann','password':'nine small red boats'}");
	// Five minutes, twelve hours.
	strcpy(d.token, admin);
	drive_tick(&d, 301);
	drive_expect(&d, 401, "session.get", "{}");
	assert_true(drive_ticket(&d));
	drive_expect(&d, 200, "session.get", "{}");
	drive_tick(&d, 3601); // idle for an hour
	assert_false(drive_ticket(&d));
}

static void test_back_off(void **state)
{
	drive_management(&d)->frozen_ns = clock_wall_ns(); // a second must not pass by itself
	for (int i = 0; i < 3; i++)
		drive_expect(&d, 401, "session.login",
			     "{'account':'admin','password':'wrong wrong wrong'}");
	drive_expect(&d, 429, "session.login",
		     "{'account':'admin','password':'wrong wrong wrong'}");
	struct reply r = drive_call(&d, "session.login",
				    "{'account':'nobody','password':'wrong wrong wrong'}");
	assert_int_equal(r.status, 401);
	assert_string_equal(reply_text(&r, "detail"), "account or pass phrase is wrong");
	reply_clear(&r);
	drive_tick(&d, 2);
	drive_expect(&d, 401, "session.login",
		     "{'account':'admin','password':'wrong wrong wrong'}");
	drive_tick(&d, 1);
	drive_expect(&d, 429, "session.login",
		     "{'account':'admin','password':'wrong wrong wrong'}");
	drive_tick(&d, 600);
	drive_login_admin(&d);
	assert_true(drive_recorded(&d, "account.login-refused", "admin", "wrong-password"));
	assert_int_equal(drive_records(&d, "account.login-refused") < 6, 1);
}

static void test_bad_tickets(void **state)
{
	d.ticket[20] ^= 1;
	drive_expect(&d, 401, "devices.list", "{}");
	d.ticket[20] ^= 1;
	d.ticket_len--;
	drive_expect(&d, 401, "devices.list", "{}");
	d.ticket_len = 0;
	drive_expect(&d, 401, "devices.list", "{}");
	drive_expect(&d, 404, "devices.paint", "{}");
}

static void test_inventory(void **state)
{
	drive_expect(&d, 400, "devices.create", "{'id':'-x'}");
	drive_expect(&d, 201, "devices.create",
		     "{'id':'r2','site':'hq','role':'router','domain':'core'}");
	drive_expect(&d, 409, "devices.create", "{'id':'r2'}");
	drive_expect(&d, 201, "devices.create", "{'id':'t1','kind':'gnmi'}");
	assert_true(drive_recorded(&d, "device.added", "r2", "router"));
	Ipc__DeviceState *s = drive_last(&d, PROCESS_REPOSITORY, IPC_DEVICE_STATE,
					 &ipc__device_state__descriptor);
	assert_string_equal(s->device, "t1");
	assert_string_equal(s->state, "unknown");
	assert_string_equal(s->kind, "target");
	drive_expect(&d, 400, "devices.enrol", "{'id':'t1'}");
	drive_expect(&d, 409, "devices.test", "{'id':'r2'}");
	drive_expect(&d, 409, "devices.quarantine", "{'id':'r2'}");
	drive_expect(&d, 404, "devices.get", "{'id':'r9'}");
	struct reply r = drive_call(&d, "devices.enrol", "{'id':'r2'}");
	assert_int_equal(r.status, 201);
	assert_int_equal(strncmp(reply_text(&r, "token"), "gemel1.r2.", 10), 0);
	assert_string_equal(reply_text(&r, "state"), "invited");
	char secret[80];
	sscanf(reply_text(&r, "token"), "gemel1.r2.%*[^.].%64[^.]", secret);
	reply_clear(&r);
	r = drive_call(&d, "devices.get", "{'id':'r2'}");
	assert_string_equal(reply_text(&r, "state"), "invited");
	assert_string_equal(reply_text(&r, "story.0.step"), "added");
	assert_string_equal(reply_text(&r, "story.1.step"), "invited");
	assert_true(*reply_text(&r, "as_of"));
	char *text = json_dumps(r.body, 0);
	assert_null(strstr(text, secret));
	free(text);
	reply_clear(&r);
	for (size_t i = 0; i < d.n_kept; i++) // told once, to northbound, and in no record or event
		if (d.kept[i].type == IPC_RECORD || d.kept[i].type == IPC_EVENT)
			assert_null(memmem(d.kept[i].bytes, d.kept[i].n, secret, strlen(secret)));
	drive_restart(&d);
	assert_true(drive_ticket(&d));
	r = drive_call(&d, "devices.list", "{'state':'invited'}");
	assert_string_equal(reply_text(&r, "items.0.id"), "r2");
	assert_int_equal(json_array_size(json_object_get(r.body, "items")), 1);
	reply_clear(&r);
	drive_expect(&d, 200, "devices.revoke", "{'id':'r2','reason':'sold'}");
	drive_expect(&d, 409, "devices.revoke", "{'id':'r2'}");
	assert_true(drive_recorded(&d, "device.revoked", "r2", "sold"));
	assert_non_null(
		drive_last(&d, PROCESS_TELEMETRY, IPC_DEVICE_DROP, &ipc__device_drop__descriptor));
}

static void test_time_travel(void **state)
{
	struct management *m = drive_management(&d);
	drive_expect(&d, 201, "devices.create", "{'id':'r1'}");
	drive_tick(&d, 100);
	drive_expect(&d, 201, "devices.enrol", "{'id':'r1'}");
	drive_tick(&d, 100);
	char params[128], at[CLOCK_TEXT_MAX];
	snprintf(params, sizeof params, "{'id':'r1','at':'%s'}",
		 clock_format(clock_wall_ns() + m->skew_ns - 150 * NS_PER_S, at));
	struct reply r = drive_call(&d, "devices.get", params);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_text(&r, "state"), "unknown");
	assert_int_equal(json_array_size(json_object_get(r.body, "story")), 1);
	reply_clear(&r);
	snprintf(params, sizeof params, "{'at':'%s'}",
		 clock_format(clock_wall_ns() + m->skew_ns - 3000 * NS_PER_S, at));
	r = drive_call(&d, "devices.list", params);
	assert_int_equal(json_array_size(json_object_get(r.body, "items")), 0);
	reply_clear(&r);
	drive_expect(&d, 400, "devices.list", "{'at':'yesterday'}");
	drive_expect(&d, 400, "devices.list", "{'at':'2199-01-01T00:00:00Z'}");
}

static void test_import(void **state)
{
	struct reply r = drive_call(
		&d, "devices.import",
		"{'format':'csv','text':'name,site,role,port,colour\\nr1,hq,router,,red\\n"
		"r2,b ad,router,,\\nr3,hq,router,70000,\\n,hq,,,\\nr1,hq,,,\\nr4,hq\\n'}");
	assert_int_equal(r.status, 200);
	assert_int_equal(json_integer_value(json_object_get(r.body, "created")), 1);
	assert_int_equal(json_integer_value(json_object_get(r.body, "refused")), 5);
	assert_string_equal(reply_text(&r, "ignored_columns.0"), "colour");
	assert_string_equal(reply_text(&r, "errors.0.field"), "site");
	reply_clear(&r);
	r = drive_call(&d, "devices.import", "{'format':'csv','text':'id,site\\nr1,branch\\n'}");
	assert_int_equal(json_integer_value(json_object_get(r.body, "changed")), 1);
	reply_clear(&r);
	drive_expect(&d, 400, "devices.import", "{'format':'csv','text':'colour\\nred\\n'}");
	drive_expect(&d, 400, "devices.import", "{'format':'netbox','text':'{]'}");
	r = drive_call(&d, "devices.get", "{'id':'r1'}");
	assert_string_equal(reply_text(&r, "site"), "branch");
	reply_clear(&r);
}

static void test_domain_limit(void **state)
{
	drive_expect(&d, 201, "devices.create", "{'id':'n1','domain':'north'}");
	drive_expect(&d, 201, "devices.create", "{'id':'s1','domain':'south'}");
	drive_expect(&d, 201, "accounts.create",
		     "{'name':'nora','password':'nine small red boats','roles':'administrator',"
		     "'domain':'north'}");
	drive_login(&d, "nora", "nine small red boats");
	struct reply r = drive_call(&d, "devices.list", "{}");
	assert_int_equal(json_array_size(json_object_get(r.body, "items")), 1);
	assert_string_equal(reply_text(&r, "items.0.id"), "n1");
	reply_clear(&r);
	r = drive_call(&d, "devices.get", "{'id':'s1'}");
	assert_int_equal(r.status, 403);
	assert_string_equal(reply_text(&r, "decision.policy"), "domain-boundary");
	reply_clear(&r);
	drive_expect(&d, 403, "accounts.create",
		     "{'name':'zoe','password':'nine small red boats','roles':'administrator'}");
	drive_expect(&d, 403, "accounts.update", "{'name':'admin','disabled':true}");
	r = drive_call(&d, "accounts.list", "{}");
	assert_int_equal(json_array_size(json_object_get(r.body, "items")), 1);
	reply_clear(&r);
}

static void test_idempotency(void **state)
{
	struct reply a = drive_call_with(&d, "devices.create", "{'id':'r1'}", NULL, "k1");
	struct reply b = drive_call_with(&d, "devices.create", "{'id':'r1'}", NULL, "k1");
	assert_int_equal(a.status, 201);
	assert_int_equal(b.status, 201);
	assert_true(json_equal(a.body, b.body));
	assert_string_equal(a.etag, b.etag);
	reply_clear(&a);
	reply_clear(&b);
	a = drive_call_with(&d, "devices.create", "{'id':'r2'}", NULL, "k1");
	assert_int_equal(a.status, 409);
	reply_clear(&a);
	a = drive_call_with(&d, "devices.enrol", "{'id':'r1'}", NULL, "k2");
	b = drive_call_with(&d, "devices.enrol", "{'id':'r1'}", NULL, "k2");
	assert_string_equal(reply_text(&a, "token"), reply_text(&b, "token"));
	reply_clear(&a);
	reply_clear(&b);
	drive_tick(&d, 601);
	assert_true(drive_ticket(&d));
	a = drive_call_with(&d, "devices.create", "{'id':'r1'}", NULL, "k1");
	assert_int_equal(a.status, 409); // forgotten: it is done again, and is there
	reply_clear(&a);
}

static void test_conformance(void **state)
{
	struct reply r = drive_call(&d, "conformance.list", "{}");
	size_t n = json_array_size(json_object_get(r.body, "items"));
	assert_true(n >= 80);
	assert_string_equal(reply_text(&r, "items.0.id"), "6-data");
	assert_string_equal(reply_text(&r, "items.0.verdict"), "none");
	reply_clear(&r);
	drive_expect(&d, 400, "conformance.submit", "{'run':'abc','results':'{}'}");
	drive_expect(
		&d, 400, "conformance.submit",
		"{'run':'abc','results':'[{\\'id\\':\\'6-data\\',\\'verdict\\':\\'maybe\\'}]'}");
	r = drive_call(&d, "conformance.submit",
		       "{'run':'abc','results':'[{\\'id\\':\\'6-data\\',\\'verdict\\':\\'pass\\',"
		       "\\'evidence\\':[{\\'index\\':4}]},{\\'id\\':\\'8.1.1-2\\',\\'verdict\\':\\'"
		       "fail\\',"
		       "\\'evidence\\':[]},{\\'id\\':\\'x\\',\\'verdict\\':\\'pass\\'}]'}");
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_text(&r, "unknown.0"), "x");
	reply_clear(&r);
	assert_true(drive_recorded(&d, "conformance.run", "abc", "\"fail\":1"));
	drive_restart(&d);
	assert_true(drive_ticket(&d));
	r = drive_call(&d, "conformance.list", "{'filter':'6-data'}");
	assert_string_equal(reply_text(&r, "items.0.verdict"), "pass");
	assert_string_equal(reply_text(&r, "items.0.run"), "abc");
	reply_clear(&r);
}

static void test_status_and_alerts(void **state)
{
	Ipc__ProcessInfo info = IPC__PROCESS_INFO__INIT, *list[] = {&info};
	Ipc__ProcessStatus s = IPC__PROCESS_STATUS__INIT;
	info.name = (char *)(uintptr_t) "models";
	info.pid = 7;
	info.running = true;
	info.sandbox = (char *)(uintptr_t) "uid 61204, seccomp";
	info.started_ns = clock_wall_ns();
	s.processes = list;
	s.n_processes = 1;
	drive_say(&d, PROCESS_PARENT, IPC_PROCESS_STATUS, &s.base);
	drive_settle(&d);
	struct reply r = drive_call(&d, "system.status", "{}");
	assert_string_equal(reply_text(&r, "status"), "ok");
	assert_string_equal(reply_text(&r, "processes.0.sandbox"), "uid 61204, seccomp");
	reply_clear(&r);
	info.restarts = 1;
	info.last_exit = (char *)(uintptr_t) "signal 9";
	drive_say(&d, PROCESS_PARENT, IPC_PROCESS_STATUS, &s.base);
	Ipc__Observed o = IPC__OBSERVED__INIT;
	o.device = (char *)(uintptr_t) "r\x01 1";
	o.kind = (char *)(uintptr_t) "path-not-granted";
	o.detail = (char *)(uintptr_t) "/acl \xff";
	o.count = 5;
	drive_say(&d, PROCESS_TELEMETRY, IPC_OBSERVED, &o.base);
	drive_say(&d, PROCESS_TELEMETRY, IPC_OBSERVED, &o.base);
	drive_settle(&d);
	r = drive_call(&d, "alerts.list", "{}");
	assert_int_equal(json_array_size(json_object_get(r.body, "items")), 2);
	reply_clear(&r);
	r = drive_call(&d, "alerts.list", "{'filter':'path-not-granted'}");
	assert_string_equal(reply_text(&r, "items.0.subject"), "r? 1");
	assert_string_equal(reply_text(&r, "items.0.detail"), "/acl ?");
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(json_object_get(r.body, "items"), 0), "count")),
			 10);
	reply_clear(&r);
	assert_true(drive_told(&d, "alert.raised", "models"));
	assert_int_equal(drive_records(&d, "alert.raised"), 2);
}

// The ledger is away: nothing is lost, nothing is told twice, and in the end nothing is changed.
static void test_records_wait(void **state)
{
	drive_down(&d, PROCESS_REPOSITORY);
	drive_expect(&d, 201, "devices.create", "{'id':'r1'}");
	assert_int_equal(drive_records(&d, "device.added"), 0);
	drive_restart(&d); // also over a restart
	assert_int_equal(drive_records(&d, "device.added"), 1);
	drive_forget(&d);
	drive_restart(&d);
	assert_int_equal(drive_records(&d, "device.added"), 0); // taken means gone
	assert_true(drive_ticket(&d));
	d.repository_silent = true;
	drive_expect(&d, 201, "devices.create", "{'id':'r2'}");
	d.repository_silent = false;
	drive_down(&d, PROCESS_REPOSITORY);
	drive_up(&d, PROCESS_REPOSITORY);
	drive_settle(&d);
	assert_int_equal(drive_records(&d, "device.added"), 2); // unanswered: sent again
	assert_int_equal(outbox_waiting(drive_management(&d)), 0);
}

static void test_keys_away(void **state)
{
	drive_down(&d, PROCESS_KEYS);
	assert_false(drive_ticket(&d));
	drive_expect(&d, 200, "devices.list", "{}"); // the ticket that is out still counts
	drive_up(&d, PROCESS_KEYS);
	drive_settle(&d);
	assert_true(drive_ticket(&d));
}

static void expect_certificate(enum process_id from, const char *role, bool given)
{
	struct sign_key *key;
	scoped(buf) struct buf csr = {0};
	Ipc__CertRequest r = IPC__CERT_REQUEST__INIT;
	good(sign_key_generate(SIGN_P256, &key));
	good(x509_csr_make(key, role, &csr));
	sign_key_free(key);
	r.id = 77;
	r.role = (char *)(uintptr_t)role;
	r.csr = (ProtobufCBinaryData){csr.len, csr.data};
	drive_say(&d, from, IPC_CERT_REQUEST, &r.base);
	drive_settle(&d);
	Ipc__CertIssued *c = drive_last(&d, from, IPC_CERT_ISSUED, &ipc__cert_issued__descriptor);
	assert_non_null(c);
	assert_int_equal(c->id, 77);
	assert_int_equal(*c->error == 0, given);
	assert_int_equal(c->n_chain, given ? 3 : 0);
	if (!given)
		return;
	struct x509_chain chain = {.n = 3};
	struct x509_identity who;
	struct x509_trust *t = x509_trust_new();
	for (size_t i = 0; i < 3; i++) {
		chain.der[i] = c->chain[i].data;
		chain.len[i] = c->chain[i].len;
	}
	good(x509_trust_add(t, d.keys.root.data, d.keys.root.len));
	good(x509_trust_set_crl(t, c->crl.data, c->crl.len));
	good(x509_verify(t, &chain, X509_USE_SERVER, clock_wall_ns(), &who, NULL));
	assert_string_equal(who.role, role);
	x509_trust_free(t);
}

static void test_listener_certificates(void **state)
{
	expect_certificate(PROCESS_NORTHBOUND, "northbound", true);
	expect_certificate(PROCESS_TELEMETRY, "telemetry", true);
	expect_certificate(PROCESS_TELEMETRY, "enrolment", true);
	expect_certificate(PROCESS_NORTHBOUND, "telemetry", false);
	expect_certificate(PROCESS_TELEMETRY, "control", false);
	expect_certificate(PROCESS_TELEMETRY, "keys", false);
}

// --- standard targets: telemetry dials them, TLS alone says who they are

static struct sign_key *target_ca, *target_key;
static struct buf target_root, target_leaf;

static void target_chain(const char *device, struct sign_key *ca, struct buf *root,
			 struct buf *leaf)
{
	int64_t now = clock_wall_ns();
	static const char *const hosts[] = {"10.0.0.30"};
	struct x509_issue want = {.profile = X509_ROOT,
				  .name = "target maker",
				  .key = sign_key_public(ca),
				  .from_ns = now - 3600 * NS_PER_S,
				  .until_ns = now + 86400 * NS_PER_S};
	buf_reset(root);
	buf_reset(leaf);
	good(x509_issue(&want, ca, root));
	want = (struct x509_issue){.profile = X509_SERVER,
				   .name = device,
				   .key = sign_key_public(target_key),
				   .hosts = hosts,
				   .n_hosts = 1,
				   .from_ns = want.from_ns,
				   .until_ns = want.until_ns,
				   .issuer = root->data,
				   .issuer_len = root->len};
	good(x509_issue(&want, ca, leaf));
}

static bool target_admitted(const char *device, const struct buf *leaf)
{
	Ipc__AdmitRequest r = IPC__ADMIT_REQUEST__INIT;
	ProtobufCBinaryData chain[] = {{leaf->len, leaf->data}};
	r.id = d.next_id++;
	r.session = (char *)(uintptr_t) "t1";
	r.source = (char *)(uintptr_t) "10.0.0.30:9339";
	r.channel = (char *)(uintptr_t) "dial-in";
	r.device = (char *)(uintptr_t)device;
	r.chain = chain;
	r.n_chain = 1;
	drive_say(&d, PROCESS_TELEMETRY, IPC_ADMIT_REQUEST, &r.base);
	drive_settle(&d);
	Ipc__AdmitAnswer *a =
		drive_last(&d, PROCESS_TELEMETRY, IPC_ADMIT_ANSWER, &ipc__admit_answer__descriptor);
	assert_int_equal(a->id, r.id);
	return a->admitted;
}

static void test_targets(void **state)
{
	struct conf_target target = {.device = (char *)"t1",
				     .address = (char *)"10.0.0.30",
				     .port = 9339,
				     .domain = (char *)"core",
				     .server_name = (char *)"t1.example"};
	scoped(buf) struct buf pem = {0}, other_root = {0}, other_leaf = {0};
	struct sign_key *other;
	good(sign_key_generate(SIGN_P256, &target_ca));
	good(sign_key_generate(SIGN_P256, &other));
	good(sign_key_generate(SIGN_P256, &target_key));
	target_chain("t1", target_ca, &target_root, &target_leaf);
	target_chain("t1", other, &other_root, &other_leaf);
	good(x509_to_pem(X509_CERTIFICATE, target_root.data, target_root.len, &pem));
	target.authority = (char *)(uintptr_t)buf_text(&pem);
	d.conf.targets = (struct conf_items){&target, 1};
	drive_restart(&d);
	assert_true(drive_ticket(&d));
	Ipc__Target *t = drive_last(&d, PROCESS_TELEMETRY, IPC_TARGET, &ipc__target__descriptor);
	assert_string_equal(t->device, "t1");
	assert_string_equal(t->server_name, "t1.example");
	assert_false(t->remove);
	struct reply r = drive_call(&d, "devices.get", "{'id':'t1'}");
	assert_string_equal(reply_text(&r, "state"), "quarantine");
	assert_string_equal(reply_text(&r, "kind"), "gnmi");
	reply_clear(&r);
	assert_false(target_admitted("t1", &other_leaf));
	assert_true(drive_recorded(&d, "device.refused", "t1", "certificate-unknown-authority"));
	assert_false(target_admitted("t9", &target_leaf));
	assert_true(target_admitted("t1", &target_leaf));
	Ipc__DeviceState *s = drive_last(&d, PROCESS_REPOSITORY, IPC_DEVICE_STATE,
					 &ipc__device_state__descriptor);
	assert_string_equal(s->state, "production");
	assert_string_equal(s->kind, "target");
	assert_int_equal(s->n_keys, 0);
	drive_tick(&d, 7200); // no quote is asked of what has no TPM
	drive_login_admin(&d);
	r = drive_call(&d, "devices.get", "{'id':'t1'}");
	assert_string_equal(reply_text(&r, "state"), "production");
	reply_clear(&r);
	drive_expect(&d, 200, "devices.revoke", "{'id':'t1'}");
	t = drive_last(&d, PROCESS_TELEMETRY, IPC_TARGET, &ipc__target__descriptor);
	assert_true(t->remove);
	assert_false(target_admitted("t1", &target_leaf));
	sign_key_free(target_ca);
	sign_key_free(target_key);
	sign_key_free(other);
	buf_clear(&target_root);
	buf_clear(&target_leaf);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_first_start),
		T(test_policy_and_keys_are_given_out),
		T(test_accounts),
		T(test_separated_duties),
		T(test_sessions),
		T(test_back_off),
		T(test_bad_tickets),
		T(test_inventory),
		T(test_time_travel),
		T(test_import),
		T(test_domain_limit),
		T(test_idempotency),
		T(test_conformance),
		T(test_status_and_alerts),
		T(test_records_wait),
		T(test_keys_away),
		T(test_listener_certificates),
		T(test_targets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
