// SPDX-License-Identifier: Apache-2.0
// cedar-check DIR...: runs every *.json below each DIR, a conformance test each
// (cedar-conformance/1), prints each disagreement, and last "N passed, N failed". Exit 1 when one
// failed, 2 on misuse.

#include "lib/cedar/check.h"

#include "lib/base/mem.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 << 20 };

static struct err read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rbe");
	if (!f)
		return err_system("%s", path);
	out->limit = FILE_MAX;
	for (;;) {
		uint8_t *room = buf_space(out, 65536);
		size_t n = room ? fread(room, 1, 65536, f) : 0;
		out->len -= room ? 65536 - n : 0;
		if (!n)
			break;
	}
	bool bad = ferror(f);
	fclose(f);
	return bad ? err_system("%s", path) : buf_check(out, path);
}

static bool run_file(const char *path)
{
	scoped(buf) struct buf text = {0};
	struct check_file f = {.name = path};
	struct err e = read_file(path, &text);
	if (!e.code)
		e = check_run(&f, (struct cedar_text){(const char *)text.data, text.len});
	if (e.code)
		printf("%s: %s\n", path, e.text);
	return !e.code && !f.disagreements;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

int main(int argc, char **argv)
{
	size_t passed = 0, failed = 0;
	if (argc < 2) {
		fprintf(stderr, "usage: %s DIR...\n", argv[0]);
		return 2;
	}
	FTS *walk = fts_open(argv + 1, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	if (!walk) {
		perror(argv[1]);
		return 2;
	}
	for (FTSENT *f; (f = fts_read(walk)) != NULL;) {
		if (f->fts_info == FTS_ERR || f->fts_info == FTS_DNR || f->fts_info == FTS_NS) {
			printf("%s: %s\n", f->fts_path, strerror(f->fts_errno));
			failed++;
		} else if (f->fts_info == FTS_F && f->fts_namelen > 5 &&
			   strcmp(f->fts_name + f->fts_namelen - 5, ".json") == 0) {
			if (run_file(f->fts_path))
				passed++;
			else
				failed++;
		}
	}
	fts_close(walk);
	printf("%zu passed, %zu failed\n", passed, failed);
	return failed || !passed;
}
