// SPDX-License-Identifier: Apache-2.0
// Bodies of add-checkpoint, in front of a witness that has cosigned nothing, for a log whose key is
// known: a 200 must be for the checkpoint that is signed, and leaves it remembered.

#include "lib/crypto/crypto.h"
#include "witness/keeper.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/gemel-fuzz-XXXXXX";

static int fd = -1;
static char name[] = "w.example", origin[] = "twin.example/log";
// The key of tests/fuzz/seeds/witness_judge: its seed is 32 bytes of 1.
static char vkey[] = "twin.example/log+e33b6869+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
static struct witness_log known = {origin, vkey};
static struct note_key key;
static struct witness_conf conf = {.name = name, .state = path, .logs = {&known, 1}, .keys = &key};
static struct keeper k;

static void begin(void)
{
	if (keeper_open(&k, fd, &conf, NULL, false).code)
		abort();
}

// A witness that has cosigned is not the one that the next input is for.
static void forget(void)
{
	keeper_close(&k);
	unlinkat(fd, "pins", 0);
	unlinkat(fd, "key.sealed", 0);
	unlinkat(fd, "seal.key", 0);
}

static void end(void)
{
	forget();
	rmdir(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keeper_answer a = {.body = {.limit = 1 << 16}};
	struct checkpoint seen;
	if (fd < 0) {
		if (crypto_start().code || note_key_parse(vkey, &key).code || !mkdtemp(path) ||
		    (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			abort();
		begin();
		atexit(end);
	}
	keeper_judge(&k, data, size, 1700000000, &a);
	bool kept = pins_find(k.pins, origin, &seen);
	if (kept != (a.status == 200) || a.body.failed || !a.type)
		abort();
	if (a.status != 200 && a.status != 400 && a.status != 403 && a.status != 404 &&
	    a.status != 409 && a.status != 422)
		abort();
	buf_clear(&a.body);
	if (kept) {
		forget();
		begin();
	}
	return 0;
}
