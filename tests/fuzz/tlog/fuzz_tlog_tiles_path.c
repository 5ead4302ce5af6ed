// SPDX-License-Identifier: Apache-2.0
// Paths of tiles from HTTP: whatever is accepted is a plain path below tile/, in its one spelling.

#include "lib/tlog/tiles.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char again[TILES_PATH_MAX], *path = strndup((const char *)data, size);
	struct tiles_name n;
	if (!path)
		abort();
	if (tiles_path_parse(path, &n)) {
		if (strcmp(tiles_path(&n, again), path) != 0 || strstr(path, "..") ||
		    strstr(path, "//") || strncmp(path, "tile/", 5) != 0 || n.width < 1 ||
		    n.width > TILES_WIDTH)
			abort();
	}
	free(path);
	return 0;
}
