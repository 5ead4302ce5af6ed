// SPDX-License-Identifier: Apache-2.0
// gemel abe inspect and policy: what an object says of itself, never a secret.
#include "cli/abe_files.h"
#include "cli/cli.h"

#include "lib/crypto/hash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS_SHOWN = 40 };

// Prints the members of a flat object as lines, or as JSON.
static int print(const struct cli *c, json_t *about, struct err e)
{
	scoped(buf) struct buf out = {.limit = 1 << 20};
	const char *key;
	json_t *value;
	if (e.code != ERR_NONE) {
		json_decref(about);
		scoped(buf) struct buf text = {0};
		text_safe(e.text, &text);
		fprintf(stderr, "gemel: %s\n", buf_text(&text));
		return e.code == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
	}
	if (c->o.json) {
		text_value(about, &out);
		buf_str(&out, "\n");
	} else {
		json_object_foreach(about, key, value)
		{
			scoped(buf) struct buf cell = {.limit = 1 << 20};
			text_value(value, &cell);
			buf_printf(&out, "%-16s ", key);
			text_safe(buf_text(&cell), &out);
			buf_str(&out, "\n");
		}
	}
	json_decref(about);
	cli_write(&out);
	return EXIT_DONE;
}

static void put_policy(json_t *about, const struct policy *p)
{
	json_object_set_new(about, "policy", json_string(policy_text(p)));
	json_object_set_new(about, "rows", json_integer((json_int_t)policy_rows(p)));
}

static void put_number(json_t *about, const char *key, uint64_t v)
{
	json_object_set_new(about, key, json_integer((json_int_t)v));
}

static void put_hash(json_t *about, const char *key, const uint8_t *hash)
{
	char hex[2 * ABE_HASH + 1];
	json_object_set_new(about, key, json_string(hash_hex(hash, ABE_HASH, hex)));
}

// --- inspect FILE

static struct err about_sealed(json_t *about, const uint8_t *bytes, size_t n, uint64_t size)
{
	struct payload_about a;
	uint64_t plain;
	TRY(payload_about(bytes, n, &a));
	put_policy(about, a.policy);
	put_number(about, "head_bytes", a.head);
	policy_free(a.policy);
	if (size == 0) // not a regular file
		return OK;
	ENSURE(size >= a.head && payload_size(size - a.head, &plain), ERR_PEER,
	       "sealed file: its length is not that of a whole one");
	put_number(about, "payload_bytes", plain);
	return OK;
}

static struct err about_key(json_t *about, const uint8_t *bytes, size_t n)
{
	struct abe_key *k;
	TRY(abe_key_read(bytes, n, &k));
	json_object_set_new(about, "attributes",
			    json_string(attributes_text(abe_key_attributes(k))));
	put_number(about, "parts", attributes_count(abe_key_attributes(k)));
	put_hash(about, "public_key", abe_key_public_hash(k));
	abe_key_free(k);
	return OK;
}

static struct err about_public(json_t *about, const uint8_t *bytes, size_t n)
{
	struct abe_public *p;
	TRY(abe_public_read(bytes, n, &p));
	put_hash(about, "fingerprint", abe_public_hash(p));
	abe_public_free(p);
	return OK;
}

static struct err about_master(json_t *about, const uint8_t *bytes, size_t n)
{
	struct abe_master *m;
	struct abe_public *p;
	TRY(abe_master_read(bytes, n, &m));
	struct err e = abe_master_public(m, &p);
	abe_master_free(m);
	TRY(e);
	put_hash(about, "public_key", abe_public_hash(p));
	abe_public_free(p);
	return OK;
}

static struct err about_ciphertext(json_t *about, const uint8_t *bytes, size_t n)
{
	struct policy *p;
	TRY(abe_ciphertext_policy(bytes, n, &p));
	put_policy(about, p);
	policy_free(p);
	return OK;
}

// The first bytes of the file: of a sealed one its head, of the others all.
static struct err first_bytes(const char *path, struct secret **out, size_t *n, uint64_t *size)
{
	struct stat st;
	scoped(fd) int fd = -1;
	bool in = strcmp(path, "-") == 0;
	if (!in)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int from = in ? STDIN_FILENO : fd;
	if (from < 0 || fstat(from, &st) != 0)
		return err_system("%s", path);
	*size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	*out = secret_new(PAYLOAD_HEAD_MOST);
	ENSURE(*out, ERR_LIMIT, "out of memory");
	for (*n = 0; *n < PAYLOAD_HEAD_MOST;) {
		ssize_t r = read(from, secret_bytes(*out) + *n, PAYLOAD_HEAD_MOST - *n);
		if (r < 0)
			return err_system("%s", path);
		if (r == 0)
			break;
		*n += (size_t)r;
	}
	return OK;
}

static struct err inspect(const struct cli *c, json_t *about)
{
	static const char *const kinds[] = {[ABE_PUBLIC] = "public key",
					    [ABE_MASTER] = "master key",
					    [ABE_KEY] = "attribute key",
					    [ABE_CIPHERTEXT] = "encapsulated key",
					    [ABE_SEALED] = "encrypted file"};
	scoped(secret) struct secret *room = NULL;
	size_t n = 0;
	uint64_t size = 0;
	unsigned suite;
	ENSURE(c->n_args, ERR_USAGE, "the file is missing; gemel abe --help");
	TRY(first_bytes(c->args[0], &room, &n, &size));
	const uint8_t *bytes = secret_bytes(room);
	enum abe_kind kind = abe_kind_of(bytes, n, &suite);
	ENSURE(kind, ERR_PEER, "%s: not of gemel abe, or of a suite that is not known", c->args[0]);
	json_object_set_new(about, "kind", json_string(kinds[kind]));
	json_object_set_new(about, "suite", json_string("1 FABEO CP-ABE, BLS12-381, AES-256-GCM"));
	struct err e = kind == ABE_SEALED   ? about_sealed(about, bytes, n, size)
		       : kind == ABE_KEY    ? about_key(about, bytes, n)
		       : kind == ABE_PUBLIC ? about_public(about, bytes, n)
		       : kind == ABE_MASTER ? about_master(about, bytes, n)
					    : about_ciphertext(about, bytes, n);
	return e.code == ERR_NONE ? OK : err_within(e, "%s", c->args[0]);
}

int run_abe_inspect(struct cli *c)
{
	json_t *about = json_object();
	return print(c, about, inspect(c, about));
}

// --- policy TEXT

static void put_rows(json_t *about, const struct policy *p, bool all)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < policy_rows(p) && (all || i < ROWS_SHOWN); i++)
		json_array_append_new(rows, json_string(policy_attribute(p, i)->label));
	json_object_set_new(about, "attributes", rows);
}

static struct err policy(const struct cli *c, json_t *about)
{
	struct policy *p;
	const char *text = c->n_args ? c->args[0] : c->o.policy;
	ENSURE(text, ERR_USAGE, "the policy is missing; gemel abe --help");
	TRY(policy_parse(text, strlen(text), &p));
	put_policy(about, p);
	put_number(about, "columns", policy_columns(p));
	put_number(about, "repeat", policy_repeat(p));
	put_number(about, "ciphertext_bytes", abe_ciphertext_bytes(p));
	put_number(about, "multiplications", 2 * policy_rows(p) + policy_repeat(p) + 2);
	put_number(about, "pairings_at_most", policy_repeat(p) + 2);
	put_rows(about, p, c->o.json);
	policy_free(p);
	return OK;
}

int run_abe_policy(struct cli *c)
{
	json_t *about = json_object();
	return print(c, about, policy(c, about));
}
