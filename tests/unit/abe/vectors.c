// SPDX-License-Identifier: Apache-2.0
// Prints tests/vectors/abe_fabeo.txt: keys and ciphertexts that follow from seeds alone. The file
// was made once, opened by tests/interop/abe with an independent pairing, and is frozen: a change
// that makes this program print anything else breaks every ciphertext there is.

#include "test_abe.h"

struct seeded {
	const char *policy, *attributes;
};

static const struct seeded cases[] = {
	{"role = traffic-model", "role=traffic-model"},
	{"role = traffic-model AND domain = core AND site = north",
	 "role=traffic-model,domain=core,site=north"},
	{"(a = 1 OR b = 1) AND (a = 1 OR c = 1) AND (a = 1 OR d = 1)", "a=1"},
	{"(a = 1 OR b = 1) AND (a = 1 OR c = 1)", "b=1,c=1"},
	{"(role = traffic-model AND domain = core) OR 2 OF (level:8 >= 100, site = a, site = b)",
	 "site=b,level:8=101"},
	{"3 OF (a = 1, b = 1, 2 OF (c = 1, d = 1, e = 1), f = 1 AND g = 1, h = 1)",
	 "b=1,c=1,e=1,f=1,g=1"},
	{"epoch:32 = 17 AND valid:date <= 2026-11-25 AND NOT zone{lab,core,edge} = lab",
	 "epoch:32=17,valid:date=2026-11-01,zone{core,edge,lab}=edge"},
	{"net/city = \"Z\xc3\xbcrich West\" OR city = Bern",
	 "net/city=\"Zu\xcc\x88rich West\",city=Basel"},
	{"counter:64 >= 9223372036854775809", "counter:64=18446744073709551615"},
};

static void print_hex(const char *name, const void *bytes, size_t n)
{
	char *hex = malloc(2 * n + 1);
	assert_non_null(hex);
	printf("%s %s\n", name, hash_hex(bytes, n, hex));
	free(hex);
}

static void print_scalar(const char *name, const blst_fr *a)
{
	uint8_t bytes[SCALAR_BYTES];
	scalar_write(bytes, a);
	print_hex(name, bytes, sizeof bytes);
}

static void print_case(size_t number, const struct seeded *s)
{
	char text[64];
	uint8_t m[32], shared[32], opened[32];
	struct abe_master *master;
	struct abe_public *public;
	struct abe_key *key;
	scoped(buf) struct buf c = {0};
	scoped(secret) struct secret *written = NULL;
	snprintf(text, sizeof text, "gemel abe vector %zu: alpha", number);
	blst_fr alpha = fr_seeded(text);
	snprintf(text, sizeof text, "gemel abe vector %zu: r", number);
	blst_fr r = fr_seeded(text);
	snprintf(text, sizeof text, "gemel abe vector %zu: m", number);
	hash_sha256(text, strlen(text), m);
	struct policy *p = policy_of(s->policy);
	struct attributes *a = attributes_of(s->attributes);
	assert_good(abe_setup_with(&alpha, &master));
	assert_good(abe_master_public(master, &public));
	assert_good(abe_keygen_with(master, a, &r, &key));
	assert_good(abe_encapsulate_with(public, p, m, &c, shared));
	assert_good(abe_decapsulate(key, public, c.data, c.len, opened));
	assert_memory_equal(opened, shared, 32);
	assert_good(abe_key_write(key, &written));
	print_scalar("alpha", &alpha);
	print_scalar("r", &r);
	print_hex("m", m, sizeof m);
	printf("policy %s\nattributes %s\n", policy_text(p), attributes_text(a));
	print_hex("public", abe_public_bytes(public), ABE_PUBLIC_BYTES);
	print_hex("key", secret_bytes(written), secret_size(written));
	print_hex("ciphertext", c.data, c.len);
	print_hex("shared", shared, sizeof shared);
	printf("\n");
	abe_key_free(key);
	abe_public_free(public);
	abe_master_free(master);
	attributes_free(a);
	policy_free(p);
}

int main(void)
{
	printf("# FABEO CP-ABE with the Fujisaki-Okamoto transform (src/lib/abe/abe.h), suite 1.\n"
	       "# Source: tests/unit/abe/vectors.c; opened by tests/interop/abe "
	       "(@noble/curves).\n");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		print_case(i, &cases[i]);
	return 0;
}
