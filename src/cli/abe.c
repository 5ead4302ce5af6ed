// SPDX-License-Identifier: Apache-2.0
// gemel abe: attribute-based encryption of files and pipes. Needs no twin, no session, no network.
// What is wrong with a ciphertext, a key or an entitlement is never told: one line, "cannot
// decrypt".
#include "cli/abe_files.h"
#include "cli/cli.h"

#include "lib/crypto/crypto.h"
#include "lib/crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int done(struct err e)
{
	if (e.code == ERR_NONE)
		return EXIT_DONE;
	scoped(buf) struct buf out = {0};
	text_safe(e.text, &out);
	fprintf(stderr, e.code == ERR_CORRUPT ? "%s\n" : "gemel: %s\n", buf_text(&out));
	return e.code == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
}

static struct err need(const char *value, const char *what)
{
	ENSURE(value, ERR_USAGE, "%s is missing; gemel abe --help", what);
	return OK;
}

// A key given by file whose content is not a good one.
static struct err within(const char *path, struct err e)
{
	return e.code == ERR_NONE ? OK : err_within(e, "%s", path);
}

static struct err public_load(const char *path, struct abe_public **out)
{
	scoped(secret) struct secret *bytes = NULL;
	TRY(need(path, "--public FILE"));
	TRY(abe_file_read(path, ABE_PUBLIC_BYTES, &bytes));
	return within(path, abe_public_read(secret_bytes(bytes), secret_size(bytes), out));
}

static struct err key_load(const char *path, struct abe_key **out)
{
	scoped(secret) struct secret *bytes = NULL;
	TRY(abe_file_read(path, ABE_KEY_MOST, &bytes));
	return within(path, abe_key_read(secret_bytes(bytes), secret_size(bytes), out));
}

// The input of a command: its argument `n`, or standard input.
static struct err input_open(const struct cli *c, unsigned n, struct payload_end *in)
{
	*in = (struct payload_end){STDIN_FILENO, "standard input"};
	if (c->n_args <= n || strcmp(c->args[n], "-") == 0)
		return OK;
	*in = (struct payload_end){open(c->args[n], O_RDONLY | O_CLOEXEC | O_NOCTTY), c->args[n]};
	return in->fd >= 0 ? OK : err_system("%s", in->name);
}

static void fingerprint(const uint8_t *hash, char out[2 * ABE_HASH + 1])
{
	hash_hex(hash, ABE_HASH, out);
}

// --- setup DIR

static struct err setup(const struct cli *c)
{
	struct abe_master *m = NULL;
	struct abe_public *p = NULL;
	scoped(secret) struct secret *bytes = NULL;
	char hex[2 * ABE_HASH + 1];
	TRY(need(c->n_args ? c->args[0] : NULL, "the folder"));
	const char *master = arena_printf(c->arena, "%s/master.key", c->args[0]);
	const char *public = arena_printf(c->arena, "%s/public.key", c->args[0]);
	ENSURE(master && public, ERR_LIMIT, "out of memory");
	if (mkdir(c->args[0], 0700) != 0 && errno != EEXIST)
		return err_system("%s", c->args[0]);
	ENSURE(access(public, F_OK) != 0, ERR_CONFLICT, "%s: exists, and is left as it is", public);
	struct err e = abe_setup(&m);
	if (e.code == ERR_NONE)
		e = abe_master_public(m, &p);
	if (e.code == ERR_NONE)
		e = abe_master_write(m, &bytes);
	if (e.code == ERR_NONE)
		e = abe_file_create(master, secret_bytes(bytes), secret_size(bytes), true);
	if (e.code == ERR_NONE)
		e = abe_file_create(public, abe_public_bytes(p), ABE_PUBLIC_BYTES, false);
	if (e.code == ERR_NONE) {
		fingerprint(abe_public_hash(p), hex);
		printf("%s\n%s\nfingerprint %s\n", public, master, hex);
	}
	abe_public_free(p);
	abe_master_free(m);
	return e;
}

int run_abe_setup(struct cli *c)
{
	return done(setup(c));
}

// --- keygen

static struct err key_write(const struct abe_key *k, const char *path)
{
	struct abe_output o;
	scoped(secret) struct secret *bytes = NULL;
	TRY(abe_key_write(k, &bytes));
	TRY(abe_output_open(&o, path, true));
	const uint8_t *at = secret_bytes(bytes);
	size_t left = secret_size(bytes);
	struct err e = OK;
	while (left && e.code == ERR_NONE) {
		ssize_t n = write(o.end.fd, at, left);
		if (n < 0 && errno != EINTR)
			e = err_system("%s", o.end.name);
		at += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	return abe_output_close(&o, e);
}

static struct err keygen(const struct cli *c)
{
	struct attributes *a = NULL;
	struct abe_master *m = NULL;
	struct abe_key *k = NULL;
	scoped(secret) struct secret *bytes = NULL;
	TRY(need(c->o.master, "--master FILE"));
	TRY(need(c->o.attributes, "--attributes LIST"));
	TRY(need(c->o.output, "-o KEY"));
	TRY(attributes_parse(c->o.attributes, strlen(c->o.attributes), &a));
	struct err e = abe_file_read(c->o.master, ABE_MASTER_BYTES, &bytes);
	if (e.code == ERR_NONE)
		e = within(c->o.master,
			   abe_master_read(secret_bytes(bytes), secret_size(bytes), &m));
	if (e.code == ERR_NONE)
		e = abe_keygen(m, a, &k);
	if (e.code == ERR_NONE)
		e = key_write(k, c->o.output);
	abe_key_free(k);
	abe_master_free(m);
	attributes_free(a);
	return e;
}

int run_abe_keygen(struct cli *c)
{
	return done(keygen(c));
}

// --- check KEY

static struct err check(const struct cli *c)
{
	struct abe_public *p = NULL;
	struct abe_key *k = NULL;
	TRY(need(c->n_args ? c->args[0] : NULL, "the key"));
	TRY(public_load(c->o.public, &p));
	struct err e = key_load(c->args[0], &k);
	if (e.code == ERR_NONE)
		e = within(c->args[0], abe_key_check(k, p));
	if (e.code == ERR_NONE) {
		scoped(buf) struct buf out = {0};
		buf_str(&out, "good: ");
		text_safe(attributes_text(abe_key_attributes(k)), &out);
		buf_str(&out, "\n");
		cli_write(&out);
	}
	abe_key_free(k);
	abe_public_free(p);
	return e;
}

int run_abe_check(struct cli *c)
{
	return done(check(c));
}

// --- encrypt, decrypt

static struct err encrypt(const struct cli *c)
{
	struct policy *policy = NULL;
	struct abe_public *p = NULL;
	struct payload_end in = {.fd = -1};
	struct abe_output out = {.end.fd = -1};
	TRY(need(c->o.policy, "--policy TEXT"));
	TRY(policy_parse(c->o.policy, strlen(c->o.policy), &policy));
	struct err e = public_load(c->o.public, &p);
	if (e.code == ERR_NONE)
		e = input_open(c, 0, &in);
	if (e.code == ERR_NONE)
		e = abe_output_open(&out, c->o.output, false);
	if (e.code == ERR_NONE && out.stream && out.end.fd == STDOUT_FILENO &&
	    isatty(STDOUT_FILENO))
		e = err_make(ERR_USAGE, "not to a terminal: -o FILE, or a pipe");
	if (e.code == ERR_NONE)
		e = payload_seal(p, policy, in, out.end);
	e = abe_output_close(&out, e);
	if (in.fd > STDIN_FILENO)
		close(in.fd);
	abe_public_free(p);
	policy_free(policy);
	return e;
}

int run_abe_encrypt(struct cli *c)
{
	return done(encrypt(c));
}

// To a stream nothing may go before the whole is known to be good: a copy that nobody else can
// change is checked first, then opened a second time. The copy is of the ciphertext.
static struct err decrypt_stream(const struct abe_key *k, struct abe_public *p,
				 struct payload_end in, struct payload_end out)
{
	struct payload_end copy = {.fd = -1};
	struct err e = abe_spool(in, &copy);
	if (e.code == ERR_NONE)
		e = payload_open(k, p, copy, (struct payload_end){-1, ""});
	if (e.code == ERR_NONE && lseek(copy.fd, 0, SEEK_SET) != 0)
		e = err_system("%s", copy.name);
	if (e.code == ERR_NONE)
		e = payload_open(k, p, copy, out);
	if (copy.fd >= 0)
		close(copy.fd);
	return e;
}

static struct err decrypt(const struct cli *c)
{
	struct abe_public *p = NULL;
	struct abe_key *k = NULL;
	struct payload_end in = {.fd = -1};
	struct abe_output out = {.end.fd = -1};
	TRY(need(c->o.key, "--key FILE"));
	struct err e = public_load(c->o.public, &p);
	if (e.code == ERR_NONE)
		e = key_load(c->o.key, &k);
	if (e.code == ERR_NONE)
		e = input_open(c, 0, &in);
	if (e.code == ERR_NONE)
		e = abe_output_open(&out, c->o.output, true);
	if (e.code == ERR_NONE)
		e = out.stream ? decrypt_stream(k, p, in, out.end)
			       : payload_open(k, p, in, out.end);
	e = abe_output_close(&out, e);
	if (in.fd > STDIN_FILENO)
		close(in.fd);
	abe_key_free(k);
	abe_public_free(p);
	// What a file holds is not told; what the operating system says of a file is.
	if (e.code != ERR_NONE && e.code != ERR_IO && e.code != ERR_USAGE && e.code != ERR_CONFLICT)
		return err_make(ERR_CORRUPT, "cannot decrypt");
	return e;
}

int run_abe_decrypt(struct cli *c)
{
	return done(decrypt(c));
}
