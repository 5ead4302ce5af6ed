// SPDX-License-Identifier: Apache-2.0
// The file of pins; its digest is put right first, so that the lines are reached.

#include "lib/crypto/hash.h"
#include "lib/tlog/pins.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_with(int folder, const uint8_t *data, size_t size, bool digest)
{
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX], last[HASH_HEX + 16];
	struct pins *p = NULL;
	int fd = openat(folder, "pins", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	hash_sha256(data, size, hash);
	int n = snprintf(last, sizeof last, "sha256 %s\n", hash_hex(hash, sizeof hash, hex));
	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    (digest && write(fd, last, (size_t)n) != n))
		abort();
	close(fd);
	struct err e = pins_open(folder, "pins", &p);
	if (e.code != ERR_NONE && e.code != ERR_CORRUPT)
		abort();
	pins_close(p);
}

static char path[] = "/tmp/gemel-fuzz-XXXXXX";

static void remove_folder(void)
{
	rmdir(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int folder = -1;
	if (folder < 0) {
		if (!mkdtemp(path) || (folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			abort();
		atexit(remove_folder);
	}
	open_with(folder, data, size, true);
	open_with(folder, data, size, false);
	unlinkat(folder, "pins", 0);
	return 0;
}
