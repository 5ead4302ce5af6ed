// SPDX-License-Identifier: Apache-2.0
// The complete check of a copy of the state folder, without a process around it: everything is
// opened as at a start, nothing is flushed or sent, and the verification runs to its end.
#include "repository/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct filter {
	verify_report_fn report;
	void *ctx;
	bool recovering;
	uint64_t told;
};

// What recovery stumbles over the verification finds again and names better, but for a record of
// the journal that opens and makes no sense.
static void pass(void *ctx, const struct verify_finding *f)
{
	struct filter *x = ctx;
	if (x->recovering && (strcmp(f->what, "unreadable") != 0 || !strcmp(f->record, "store")))
		return;
	x->told++;
	x->report(x->ctx, f);
}

static struct err run(struct repository *r, struct filter *x, struct verify_totals *totals)
{
	struct verification *v = NULL;
	x->recovering = true;
	TRY(repository_recover(r));
	x->recovering = false;
	TRY(verification_new(r, pass, x, &v));
	struct err e = OK;
	for (bool done = false; !done && e.code == ERR_NONE;)
		e = verification_step(v, 4096, &done);
	*totals = *verification_totals(v);
	totals->findings = x->told;
	verification_free(v);
	return e;
}

// A state folder of gemeld holds the repository's as one of several.
static struct err open_state(const char *folder, int *out)
{
	struct stat st;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_system("%s", folder);
	int inner = openat(fd, "repository", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inner >= 0) {
		close(fd);
		fd = inner;
	}
	if (fstatat(fd, "repository.db", &st, AT_SYMLINK_NOFOLLOW)) {
		struct err e = err_make(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
					"%s: there is no repository.db in it", folder);
		close(fd);
		return e;
	}
	*out = fd;
	return OK;
}

struct err repository_verify(const char *folder, verify_report_fn report, void *ctx,
			     struct verify_totals *totals)
{
	static const struct daemon_conf no_conf = {.witnesses_mode = 1};
	struct process p = {.id = PROCESS_REPOSITORY, .conf = &no_conf, .state_dir = -1};
	struct filter x = {report, ctx, false, 0};
	struct repository *r = NULL;
	*totals = (struct verify_totals){0};
	TRY(open_state(folder, &p.state_dir));
	struct err e = repository_open_offline(&p, pass, &x, &r);
	if (e.code == ERR_NONE)
		e = run(r, &x, totals);
	repository_close(r);
	close(p.state_dir);
	if (e.code == ERR_CORRUPT) { // not even its parts could be listed
		struct verify_finding f = {.what = "unreadable", .record = "store"};
		snprintf(f.text, sizeof f.text, "store unreadable: %s", e.text);
		report(ctx, &f);
		totals->findings = x.told + 1;
		e = OK;
	}
	return e;
}
