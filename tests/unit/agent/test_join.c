// SPDX-License-Identifier: Apache-2.0
// The whole agent against a small twin (twin.c) with a software TPM: joining, attestation, the
// signed stream, renewal of the certificate, loss of the connection and of the process. The tests
// are one story and run in order.

#include "twin.h"

#include <limits.h>

static struct swtpm tpm;
static char folder[PATH_MAX];
static pid_t agent;
static const char *const basics[] = {"/system/state", "/gemel", NULL};
static const char *const more[] = {"/system/state", "/gemel", "/interfaces", "/network-instances",
				   NULL};

// --- set-up

static void put_file(const char *name, const char *text)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static bool status_has(const char *words)
{
	char path[PATH_MAX + 64], text[4096];
	snprintf(path, sizeof path, "%s/state/status", folder);
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	text[n] = 0;
	if (f)
		fclose(f);
	return strstr(text, words) != NULL;
}

static void measure(void)
{
	char path[PATH_MAX];
	uint8_t both[64] = {0};
	struct hash *h = hash_new();
	static uint8_t bytes[1 << 16];
	snprintf(path, sizeof path, "%s", AGENT);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	hash_start(h);
	for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
		hash_add(h, bytes, n);
	fclose(f);
	hash_finish(h, both + 32);
	hash_free(h);
	hash_sha256(both, 64, twin.pcr17); // PCR 17 = SHA-256(zeros || SHA-256(executable))
	swtpm_run((const char *const[]){"swtpm_ioctl", "--unix", tpm.control, "-h", "-", NULL},
		  path);
}

static void start_agent(void)
{
	char config[PATH_MAX + 64], text[2 * PATH_MAX];
	snprintf(text, sizeof text,
		 "device: r1\ntwin:\n  address: 127.0.0.1\n  port: %u\n  enrolment_port: %u\n"
		 "token_file: token\nstate: state\ntpm: %s\n",
		 twin.port[1], twin.port[0], tpm.data);
	put_file("agent.yaml", text);
	snprintf(config, sizeof config, "%s/agent.yaml", folder);
	agent = fork();
	if (agent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(AGENT, "gemel-agent", "--config", config, (char *)NULL);
		_exit(127);
	}
	assert_true(agent > 0);
}

static int set_up(void **state)
{
	scoped(buf) struct buf pem = {0};
	strcpy(folder, "/tmp/gemel-join-XXXXXX");
	assert_non_null(mkdtemp(folder));
	chmod(folder, 0711);
	signal(SIGPIPE, SIG_IGN);
	twin_make();
	swtpm_make(&tpm);
	twin.makers = x509_trust_new();
	swtpm_text(&tpm, "issuercert.pem", &pem);
	assert_good(x509_trust_add_pem(twin.makers, (const char *)pem.data, pem.len));
	buf_reset(&pem);
	swtpm_text(&tpm, "swtpm-localca-rootca-cert.pem", &pem);
	assert_good(x509_trust_add_pem(twin.makers, (const char *)pem.data, pem.len));
	close(swtpm_connect(&tpm));
	measure();
	// Already a third through its life: it is renewed as soon as the device is in.
	twin.life_from_ns = clock_wall_ns() - 3 * 86400 * NS_PER_S;
	twin.life_until_ns = clock_wall_ns() + 4 * 86400 * NS_PER_S;
	start_agent();
	return 0;
}

static int tear_down(void **state)
{
	char command[PATH_MAX + 16];
	kill(agent, SIGTERM);
	waitpid(agent, NULL, 0);
	twin_clear();
	swtpm_drop(&tpm);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command);
}

// --- joining

static bool refused(void)
{
	return status_has("state: refused");
}

static void test_another_twin_is_not_spoken_to(void **state)
{
	char token[256];
	put_file("token", twin_token(token, sizeof token, "the authority of somebody else"));
	twin_until(refused, "a status of refused");
	assert_true(status_has("the authority that the token names"));
	assert_int_equal(twin.begins, 0);
}

static bool enrolled(void)
{
	return twin.completes == 1 && status_has("certificate: ");
}

static void test_joins(void **state)
{
	char token[256], path[PATH_MAX + 16];
	put_file("token", twin_token(token, sizeof token, NULL));
	twin_until(enrolled, "enrolment");
	snprintf(path, sizeof path, "%s/token", folder);
	for (int i = 0; i < 100 && access(path, F_OK) == 0; i++)
		nanosleep(&(struct timespec){0, 20000000}, NULL);
	assert_int_not_equal(access(path, F_OK), 0); // used, and gone
	assert_true(twin.begins >= 1);
}

static uint8_t first_spki[32];

static bool renewed(void)
{
	if (twin.renews == 0)
		memcpy(first_spki, twin.session_spki, 32);
	return twin.renews == 1 && twin.connections >= 2 && twin.peer;
}

static void test_renews_and_comes_back_with_the_new_key(void **state)
{
	twin_until(renewed, "renewal and a second connection");
	assert_memory_not_equal(first_spki, twin.session_spki, 32);
	assert_true(status_has("state: production"));
}

// --- the signed stream

static bool synced(void)
{
	return twin.synced;
}

static bool saw_version, saw_interface, saw_counter, saw_gone;

static void look(const char *path, bool gone, const struct batch_value *v)
{
	saw_version |= !gone && strcmp(path, "/gemel/agent/state/version") == 0;
	saw_interface |= strcmp(path, "/interfaces/interface[name=lo]/state/oper-status") == 0;
	saw_counter |= strstr(path, "/state/counters/") != NULL;
	saw_gone |= gone;
}

static void test_tells_its_state_signed(void **state)
{
	twin.on_record = look;
	twin.acks = true;
	twin_subscribe(basics);
	twin_until(synced, "sync_response");
	assert_true(saw_version);
	assert_false(saw_interface); // not subscribed to: not told
	assert_true(saw_gone);	     // what the twin may know of before is wiped first
	assert_true(twin.batches >= 1);
}

static void test_a_wider_subscription_goes_on_in_the_chain(void **state)
{
	uint64_t seq = twin.keys[twin.n_keys - 1].seq;
	twin_subscribe(more);
	twin_until(synced, "sync_response");
	assert_true(saw_interface && saw_counter);
	assert_true(twin.keys[twin.n_keys - 1].seq > seq);
}

static bool spool_is_empty(void)
{
	return status_has("spool: {batches: 0,");
}

static void test_what_is_acknowledged_is_dropped(void **state)
{
	twin_until(spool_is_empty, "an empty spool");
}

// --- loss

static bool registered(void)
{
	return twin.peer != NULL;
}

static uint64_t before;
static bool more_came(void)
{
	return twin.batches > before && twin.synced;
}

static void test_what_was_not_acknowledged_comes_again(void **state)
{
	struct twin_key *k = &twin.keys[twin.n_keys - 1];
	twin.acks = false;
	twin_subscribe(more);
	twin_until(synced, "sync_response");
	uint64_t seq = k->seq, acked = twin.acked_seq;
	assert_true(seq > acked);
	twin_hang_up();
	twin_until(registered, "a new connection");
	twin.repeat_ok = true;
	twin.acks = true;
	before = twin.batches;
	twin_subscribe(more);
	twin_until(more_came, "new batches behind the old ones");
	assert_int_equal(twin.first_seq, acked + 1);
	assert_true(k->seq > seq);
}

static uint8_t old_key[8];
static bool new_chain(void)
{
	return memcmp(twin.last_key, old_key, 8) != 0 && twin.synced;
}

static void test_a_dead_process_begins_a_new_chain(void **state)
{
	char pattern[PATH_MAX + 64], command[PATH_MAX + 96];
	memcpy(old_key, twin.last_key, 8);
	snprintf(pattern, sizeof pattern, "--process wire --config %s/agent.yaml", folder);
	snprintf(command, sizeof command, "kill -9 $(pgrep -f -- '%s$')", pattern);
	twin.outer = NULL; // it will end by itself
	twin.peer = NULL;
	twin.inner = NULL;
	twin.stream = NULL;
	assert_int_equal(system(command), 0);
	twin_until(registered, "a new connection");
	saw_gone = false;
	twin.repeat_ok = true;
	twin_subscribe(more);
	twin_until(new_chain, "a chain with a new key");
	assert_true(saw_gone); // it does not know what it told before
}

// --- refusal

static bool told_refused(void)
{
	return status_has("software-unknown: PCR 17");
}

static void test_a_refusal_is_told_to_people(void **state)
{
	twin.refuse = "software-unknown: PCR 17 is not a reference value";
	twin_hang_up();
	twin_until(told_refused, "the reason in the status file");
	assert_true(status_has("state: refused"));
	assert_null(twin.peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_twin_is_not_spoken_to),
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_renews_and_comes_back_with_the_new_key),
		cmocka_unit_test(test_tells_its_state_signed),
		cmocka_unit_test(test_a_wider_subscription_goes_on_in_the_chain),
		cmocka_unit_test(test_what_is_acknowledged_is_dropped),
		cmocka_unit_test(test_what_was_not_acknowledged_comes_again),
		cmocka_unit_test(test_a_dead_process_begins_a_new_chain),
		cmocka_unit_test(test_a_refusal_is_told_to_people),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
