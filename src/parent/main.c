// SPDX-License-Identifier: Apache-2.0
// gemeld: reads its configuration and becomes the parent (parent.c), or with --process one of the
// processes, which are listed here.
#include "lib/base/log.h"
#include "parent/parent.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { CONF_MAX = 16 << 20 };

extern const struct process_part telemetry_part, control_part, repository_part, models_part,
	management_part, northbound_part, keys_part;

static const struct process_part *const parts[] = {
	&keys_part,	 &repository_part, &management_part, &models_part,
	&telemetry_part, &control_part,	   &northbound_part,
};
enum { PARTS = sizeof parts / sizeof *parts };
_Static_assert(PARTS == PROCESS_COUNT - 1, "all but the parent");

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check-config", required_argument, NULL, 'k'},
	{"describe-config", no_argument, NULL, 'd'},
	{"process", required_argument, NULL, 'p'},
	{"verify-store", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

static int usage(FILE *out, int status)
{
	fprintf(out,
		"usage: gemeld --config FILE        run\n"
		"       gemeld --check-config FILE  say whether it is good, and what is not\n"
		"       gemeld --describe-config    print every key with its meaning and default\n"
		"       gemeld --verify-store DIR   check a copy of a state folder, completely\n"
		"       gemeld --version | --help\n");
	return status;
}

static int describe(void)
{
	scoped(buf) struct buf b = {0};
	conf_describe(daemon_conf_keys, &b);
	fputs(buf_text(&b), stdout);
	return 0;
}

static int run(const char *path, bool only_check)
{
	static struct daemon_conf conf;
	scoped(arena) struct arena *a = arena_new(CONF_MAX);
	scoped(buf) struct buf text = {0};
	struct err e = a ? daemon_conf_load(path, &conf, a) : err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE)
		e = daemon_conf_write(&conf, &text); // it may be too large for its processes
	if (e.code != ERR_NONE) {
		fprintf(stderr, "gemeld: %s\n", e.text);
		return 2;
	}
	if (!only_check)
		return parent_main(&conf, parts, PARTS);
	printf("%s: good\n", path);
	return 0;
}

static int process(const char *name)
{
	for (size_t i = 0; i < PARTS; i++)
		if (strcmp(process_name(parts[i]->id), name) == 0)
			return process_main(parts[i]);
	fprintf(stderr, "gemeld: there is no process \"%s\"\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	const char *config = NULL, *check = NULL, *name = NULL;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			config = optarg;
			break;
		case 'k':
			check = optarg;
			break;
		case 'p':
			name = optarg;
			break;
		case 's':
			return optind == argc ? store_verify(optarg) : usage(stderr, 2);
		case 'd':
			return describe();
		case 'h':
			return usage(stdout, 0);
		case 'v':
			printf("gemeld %s\n", GEMEL_VERSION);
			return 0;
		default:
			return usage(stderr, 2);
		}
	}
	if (optind != argc || !config + !check + !name != 2)
		return usage(stderr, 2);
	if (name)
		return process(name);
	return run(config ? config : check, check != NULL);
}
