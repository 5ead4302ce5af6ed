// SPDX-License-Identifier: Apache-2.0
// What goes into the spool is verified as the repository would: its canonical form made anew from
// the message (lib/batch), its place in the chain, its signature.
#include "agent/chain.h"
#include "lib/crypto/sign.h"
#include "lib/gnmi/gnmi_fast.h"
#include "test_agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static char folder[64];
static int dir;
static struct spool *spool;
static struct chain *chain;
static struct tree *tree;
static struct sign_key *key;
static uint8_t key_id[8];
static uint64_t synced;
static bool hold; // keys does not answer

struct asked {
	uint32_t id;
	uint8_t hash[32];
};
static struct asked held[CHAIN_PENDING];
static unsigned n_held;

static void answer(const struct asked *a)
{
	struct sign_signature s;
	uint64_t now = 0;
	assert_good(sign_make(key, a->hash, 32, &s));
	assert_good(chain_signed(chain, a->id, cursor_over(s.bytes, s.len), &now));
	if (now)
		synced = now;
}

static struct err on_sign(const struct link_message *m)
{
	struct cursor c = cursor_over(m->bytes, m->len);
	struct asked a = {.id = cursor_be32(&c)};
	assert_memory_equal(cursor_take(&c, 8), key_id, 8);
	cursor_copy(&c, a.hash, 32);
	assert_good(cursor_finish(&c, "SIGN"));
	if (hold)
		held[n_held++] = a;
	else
		answer(&a);
	return OK;
}

static void new_key(void)
{
	sign_key_free(key);
	assert_good(sign_key_generate(SIGN_ED25519, &key));
	memcpy(key_id, sign_key_public(key)->id, 8);
	assert_good(chain_key(chain, key_id, SIGN_ED25519, cursor_over("certified", 9)));
}

static int make(void **state)
{
	strcpy(folder, "/tmp/gemel-chain-XXXXXX");
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert_good(spool_open(dir, 48 << 20, &spool));
	assert_good(chain_new("r1", spool, &chain));
	tree = tree_new();
	ends_make(LINK_WIRE, LINK_KEYS, NULL);
	ends.on_b = on_sign;
	synced = 0;
	n_held = 0;
	hold = false;
	assert_false(chain_ready(chain));
	new_key();
	return 0;
}

static int clear(void **state)
{
	ends_clear();
	chain_free(chain);
	spool_close(spool);
	tree_free(tree);
	sign_key_free(key);
	key = NULL;
	DIR *d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dir, e->d_name, 0);
	closedir(d);
	close(dir);
	return rmdir(folder);
}

// --- the repository's side

struct verifier {
	uint64_t seq;
	uint8_t previous[32];
	unsigned batches, updates, deletes, keys;
	bool sync;
};

static void value_of(const struct gnmi_value *g, struct batch_value *v)
{
	*v = (struct batch_value){.type = g->type == GNMI_UINT	 ? VALUE_UINT
					  : g->type == GNMI_JSON ? VALUE_JSON
								 : VALUE_STRING};
	if (v->type == VALUE_UINT) {
		v->u = g->u;
	} else {
		v->s.bytes = g->s.bytes;
		v->s.len = g->s.len;
	}
}

static void verify(struct verifier *v, const uint8_t *message, size_t n)
{
	struct gnmi_response r;
	struct gnmi_notification note;
	struct gnmi_record rec;
	struct verify_key *public = NULL;
	struct batch_canonical *c = batch_canonical_new();
	uint8_t hash[32];
	assert_good(gnmi_response_read(message, n, &r));
	assert_true(r.proof.present && r.proof.seq == v->seq + 1);
	assert_memory_equal(r.proof.previous, v->previous, 32);
	assert_good(gnmi_notification_read(r.notification, BATCH_COUNT_MAX, &note));
	batch_canonical_start(c, "r1", r.proof.seq, r.proof.previous, note.updates + note.deletes);
	for (bool more = true;;) {
		char path[PATH_TEXT_MAX + 1];
		size_t len;
		struct batch_value value = {0};
		assert_good(gnmi_next(&note, &rec, &more));
		if (!more)
			break;
		assert_good(path_text_of_wire(note.prefix, note.prefix_len, rec.path, rec.path_len,
					      path, &len));
		if (!rec.is_delete)
			value_of(&rec.value, &value);
		batch_canonical_add(c, rec.is_delete ? BATCH_DELETE : BATCH_UPDATE,
				    note.timestamp_ns, path, len, &value);
	}
	batch_canonical_finish(c, hash);
	batch_canonical_free(c);
	const struct sign_public *p = sign_key_public(key);
	assert_good(verify_key_new(p->algorithm, p->bytes, p->len, &public));
	assert_good(verify_check(public, hash, 32, r.proof.signature, r.proof.signature_len));
	verify_key_free(public);
	memcpy(v->previous, hash, 32);
	v->seq = r.proof.seq;
	v->batches++;
	v->updates += note.updates;
	v->deletes += note.deletes;
	v->sync = r.proof.sync;
}

static void verify_spool(struct verifier *v, struct spool_place *at)
{
	scoped(buf) struct buf bytes = {0};
	struct spool_record r;
	for (bool more = true;;) {
		assert_good(spool_next(spool, at, &bytes, &r, &more));
		if (!more)
			return;
		if (r.kind == SPOOL_BATCH)
			verify(v, r.bytes, r.len);
		else
			v->keys++;
	}
}

// --- tests

static void leaf(unsigned i)
{
	char path[128];
	snprintf(path, sizeof path, "/interfaces/interface[name=eth%u]/state/ifindex", i);
	put_uint(tree, path, i, 0);
	chain_update(chain, tree_first(tree, path));
}

static void test_batches_are_chained_and_signed(void **state)
{
	struct verifier v = {0};
	struct spool_place at = spool_unacked(spool);
	chain_start(chain, 1000);
	chain_delete(chain, "/interfaces");
	leaf(1);
	put_string(tree, "/system/state/hostname", "r1");
	chain_update(chain, tree_first(tree, "/system"));
	assert_good(chain_finish(chain, false, ends.a));
	chain_start(chain, 2000);
	leaf(2);
	assert_good(chain_finish(chain, true, ends.a));
	ends_turn();
	verify_spool(&v, &at);
	assert_int_equal(v.batches, 2);
	assert_int_equal(v.updates, 3);
	assert_int_equal(v.deletes, 1);
	assert_int_equal(v.keys, 1); // before the first batch
	assert_true(v.sync);
	assert_int_equal(synced, 2);
	assert_true(chain_idle(chain));
}

static void test_the_target_goes_along(void **state)
{
	struct verifier v = {0};
	struct spool_place at = spool_unacked(spool);
	scoped(buf) struct buf prefix = {0};
	assert_good(path_wire_of_text("/", "r1", &prefix));
	chain_prefix(chain, prefix.data, prefix.len);
	chain_start(chain, 1);
	leaf(1);
	assert_good(chain_finish(chain, false, ends.a));
	ends_turn();
	verify_spool(&v, &at); // a target is no part of a path's text
	assert_int_equal(v.batches, 1);
}

static void test_a_large_group_becomes_several(void **state)
{
	struct verifier v = {0};
	struct spool_place at = spool_unacked(spool);
	chain_start(chain, 1);
	for (unsigned i = 0; i < CHAIN_RECORDS + 100; i++)
		leaf(i);
	assert_good(chain_finish(chain, true, ends.a));
	ends_turn();
	verify_spool(&v, &at);
	assert_true(v.batches >= 2);
	assert_int_equal(v.updates, CHAIN_RECORDS + 100);
	assert_true(v.sync);
	assert_int_equal(synced, v.batches); // the last one, and no other
}

static void test_a_new_key_begins_a_new_chain(void **state)
{
	struct verifier v = {0};
	struct spool_place at = spool_unacked(spool);
	chain_start(chain, 1);
	leaf(1);
	assert_good(chain_finish(chain, false, ends.a));
	ends_turn();
	verify_spool(&v, &at);
	hold = true;
	chain_start(chain, 2);
	leaf(2);
	assert_good(chain_finish(chain, false, ends.a));
	ends_turn();
	assert_false(chain_idle(chain));
	new_key();
	hold = false;
	assert_true(chain_idle(chain));
	for (unsigned i = 0; i < n_held; i++)
		answer(&held[i]); // late, of the chain that has ended
	v = (struct verifier){0};
	chain_start(chain, 3);
	leaf(3);
	assert_good(chain_finish(chain, false, ends.a));
	ends_turn();
	verify_spool(&v, &at); // from seq 1 again, with zeros before it
	assert_int_equal(v.batches, 1);
	assert_int_equal(v.keys, 1);
}

static void test_signatures_that_are_late_hold_it_back(void **state)
{
	struct err e = OK;
	unsigned n = 0;
	hold = true;
	while (e.code == ERR_NONE && n <= CHAIN_PENDING) {
		if (n == CHAIN_PENDING / 2)
			assert_true(chain_full(chain));
		chain_start(chain, n);
		leaf(n);
		e = chain_finish(chain, false, ends.a);
		n += e.code == ERR_NONE;
	}
	assert_int_equal(e.code, ERR_BUSY);
	assert_int_equal(n, CHAIN_PENDING);
	ends_turn();
	for (unsigned i = 0; i < n_held; i++)
		answer(&held[i]);
	struct verifier v = {0};
	struct spool_place at = spool_unacked(spool);
	verify_spool(&v, &at);
	assert_int_equal(v.batches, CHAIN_PENDING);
}

static void test_keys_may_refuse(void **state)
{
	uint64_t now;
	hold = true;
	chain_start(chain, 1);
	leaf(1);
	assert_good(chain_finish(chain, false, ends.a));
	ends_turn();
	assert_bad(ERR_CONFLICT, "no such batch key",
		   chain_signed(chain, held[0].id, cursor_over(NULL, 0), &now));
	chain_stop(chain);
	assert_false(chain_ready(chain));
	assert_bad(ERR_BUSY, NULL,
		   (chain_start(chain, 1), leaf(2), chain_finish(chain, false, NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_batches_are_chained_and_signed, make, clear),
		cmocka_unit_test_setup_teardown(test_the_target_goes_along, make, clear),
		cmocka_unit_test_setup_teardown(test_a_large_group_becomes_several, make, clear),
		cmocka_unit_test_setup_teardown(test_a_new_key_begins_a_new_chain, make, clear),
		cmocka_unit_test_setup_teardown(test_signatures_that_are_late_hold_it_back, make,
						clear),
		cmocka_unit_test_setup_teardown(test_keys_may_refuse, make, clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
