// SPDX-License-Identifier: Apache-2.0
// The telemetry process with its neighbours played (tests/unit/telemetry/house.h), steered by
// lines, so that run.py can be a gNMI server that it collects from. Each answers in lines, then
// "done".
//     target DEVICE PORT SERVER-NAME AUTHORITY.pem | untarget DEVICE
//     grant DEVICE ID [~]PATH... | revoke DEVICE      "~": sampled each second
//     await RECORDS      runs until so many have been kept, and tells all
//     kept | told        what there is: tab-separated
//     run MS             lets time pass
#include "house.h"

#include "lib/base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 40 };

static void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	char block[4096];
	size_t n;
	if (!f)
		exit(1);
	while ((n = fread(block, 1, sizeof block, f)) > 0)
		buf_append(out, block, n);
	fclose(f);
}

static void print_kept(void)
{
	for (size_t i = 0; i < house.n_kept; i++) {
		const struct kept *k = &house.kept[i];
		printf("%s\t%s\t%s\t%d\t%llu\t%s\t%d\n", k->device,
		       k->op == BATCH_DELETE ? "delete" : "update", k->path, k->type,
		       (unsigned long long)k->number, k->text, k->flags);
	}
}

static void print_told(void)
{
	for (size_t i = 0; i < house.n_told; i++) {
		const struct told *t = &house.told[i];
		const char *type = t->type == IPC_ADMIT_REQUEST ? "admit"
				   : t->type == IPC_SESSION_END ? "end"
								: "observed";
		printf("%s\t%s\t%s\t%s\t%s\n", type, t->device, t->word, t->text, t->source);
	}
}

static size_t wanted;
static bool has_kept(void *ctx)
{
	return house.n_kept >= wanted;
}

static void run_for(int64_t ms)
{
	int64_t until = clock_mono_ns() + ms * NS_PER_MS;
	while (clock_mono_ns() < until)
		house_turn(1);
}

static void order(char **word, int n)
{
	scoped(buf) struct buf pem = {0};
	if (strcmp(word[0], "target") == 0 && n == 5) {
		read_file(word[4], &pem);
		house_target(word[1], atoi(word[2]), word[3], &pem, false);
	} else if (strcmp(word[0], "untarget") == 0 && n == 2) {
		house_target(word[1], 0, "", NULL, true);
	} else if (strcmp(word[0], "grant") == 0 && n > 3) {
		word[n] = NULL;
		house_grant(word[1], strtoull(word[2], NULL, 10), (const char *const *)(word + 3),
			    false, 10000, 50);
	} else if (strcmp(word[0], "revoke") == 0 && n == 2) {
		house_revoke_grant(word[1]);
	} else if (strcmp(word[0], "await") == 0 && n == 2) {
		wanted = strtoull(word[1], NULL, 10);
		house_until(has_kept, NULL, "records");
		print_kept();
	} else if (strcmp(word[0], "kept") == 0) {
		print_kept();
	} else if (strcmp(word[0], "told") == 0) {
		print_told();
	} else if (strcmp(word[0], "forget") == 0) {
		house_forget();
	} else if (strcmp(word[0], "run") == 0 && n == 2) {
		run_for(atoi(word[1]));
	} else {
		fprintf(stderr, "driver: what is \"%s\"?\n", word[0]);
		exit(2);
	}
}

static void read_line(void)
{
	char line[4096], *word[WORDS_MAX + 1], *rest = NULL;
	int n = 0;
	if (!fgets(line, sizeof line, stdin))
		exit(0);
	for (char *w = strtok_r(line, " \n", &rest); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " \n", &rest))
		word[n++] = w;
	if (n)
		order(word, n);
	printf("done\n");
	fflush(stdout);
}

int main(void)
{
	setvbuf(stdin, NULL, _IONBF, 0);
	house_open();
	for (;;) {
		struct pollfd input = {.events = POLLIN};
		if (poll(&input, 1, 0) > 0)
			read_line();
		house_turn(1);
	}
}
