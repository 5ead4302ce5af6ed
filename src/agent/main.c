// SPDX-License-Identifier: Apache-2.0
// gemel-agent: reads its configuration and becomes the parent (parent.c), or with --process one of
// its three children.

#include "agent/child.h"
#include "agent/parent.h"
#include "lib/base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"process", required_argument, NULL, 'p'},
	{"check-config", no_argument, NULL, 'k'},
	{"describe-config", no_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

static int usage(FILE *out, int status)
{
	fprintf(out, "usage: gemel-agent --config FILE [--check-config]\n"
		     "       gemel-agent --describe-config | --version | --help\n");
	return status;
}

static int describe(void)
{
	scoped(buf) struct buf b = {0};
	conf_describe(agent_conf_keys, &b);
	fputs(buf_text(&b), stdout);
	return 0;
}

static int run(const char *config, const char *process, bool only_check)
{
	static const struct child_part *const parts[] = {&wire_part, &apply_part, &keys_part};
	scoped(arena) struct arena *a = arena_new(1 << 20);
	static struct agent_conf conf;
	log_start("gemel-agent", LOG_NOTICE);
	struct err e = a ? agent_conf_load(config, &conf, a) : err_make(ERR_LIMIT, "out of memory");
	if (e.code != ERR_NONE) {
		fprintf(stderr, "gemel-agent: %s\n", e.text);
		return 2;
	}
	if (only_check)
		return 0;
	if (!process) {
		log_start("gemel-agent", (enum log_level)conf.log_level);
		return parent_main(config, &conf);
	}
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strcmp(link_process_name(parts[i]->self), process) == 0) {
			static char name[32];
			snprintf(name, sizeof name, "gemel-agent %s", process);
			log_start(name, (enum log_level)conf.log_level);
			return child_main(parts[i], &conf);
		}
	return usage(stderr, 2);
}

int main(int argc, char **argv)
{
	const char *config = NULL, *process = NULL;
	bool only_check = false;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			config = optarg;
			break;
		case 'p':
			process = optarg;
			break;
		case 'k':
			only_check = true;
			break;
		case 'd':
			return describe();
		case 'h':
			return usage(stdout, 0);
		case 'v':
			printf("gemel-agent %s\n", GEMEL_VERSION);
			return 0;
		default:
			return usage(stderr, 2);
		}
	}
	return config && optind == argc ? run(config, process, only_check) : usage(stderr, 2);
}
