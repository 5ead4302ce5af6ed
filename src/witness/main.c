// SPDX-License-Identifier: Apache-2.0
// gemel-witness: cosigns the checkpoints of logs that it knows, if they extend what it cosigned
// before. The socket and the state folder are opened, then the sandbox closes, then the key is read
// and the first foreign byte. X.2011 8.3.1-7, 8.3.3-9.

#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/sandbox.h"
#include "witness/server.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"vkey", no_argument, NULL, 'k'},
	{"check-config", no_argument, NULL, 't'},
	{"describe-config", no_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

static int usage(FILE *out, int status)
{
	fprintf(out, "usage: gemel-witness --config FILE [--vkey | --check-config]\n"
		     "       gemel-witness --describe-config | --version | --help\n");
	return status;
}

static int describe(void)
{
	scoped(buf) struct buf b = {0};
	conf_describe(witness_conf_keys, &b);
	fputs(buf_text(&b), stdout);
	return 0;
}

// --- the process

struct witness {
	const struct witness_conf *conf;
	struct secret *credential;
	struct event_base *base;
	struct event *stop[2];
	struct server *server;
	struct keeper keeper;
	int folder, listener;
};

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
	event_base_loopbreak(ctx);
}

static struct err make_loop(struct witness *w)
{
	static const int signals[] = {SIGTERM, SIGINT};
	w->base = event_base_new();
	ENSURE(w->base, ERR_LIMIT, "no event loop");
	for (size_t i = 0; i < 2; i++) {
		w->stop[i] = evsignal_new(w->base, signals[i], on_stop, w->base);
		ENSURE(w->stop[i] && evsignal_add(w->stop[i], NULL) == 0, ERR_LIMIT,
		       "no event loop");
	}
	return server_listen(&w->conf->listen, &w->listener);
}

static struct err close_sandbox(const struct witness *w)
{
	// Files are opened below the state folder only, which Landlock sees to.
	static const char *const calls[] = {"openat",	"newfstatat", "unlinkat",
					    "renameat", "renameat2",  "fsync",
					    "flock",	"accept4",    NULL};
	const char *folders[] = {w->conf->state, NULL}, *summary;
	int abi;
	const struct sandbox s = {
		.uid = (uid_t)w->conf->uid, .syscalls = calls, .folders = folders};
	TRY(sandbox_enter(&s, &summary, &abi));
	log_debug("sandbox: %s", summary);
	return OK;
}

static struct err start(struct witness *w, bool serve)
{
	TRY(crypto_start());
	TRY(keeper_credential(&w->credential));
	TRY(keeper_folder(w->conf, &w->folder));
	if (serve)
		TRY(make_loop(w));
	TRY(close_sandbox(w));
	TRY(keeper_open(&w->keeper, w->folder, w->conf, w->credential, serve));
	secret_free(w->credential);
	w->credential = NULL;
	return OK;
}

static void finish(struct witness *w)
{
	server_free(w->server);
	keeper_close(&w->keeper);
	secret_free(w->credential);
	for (size_t i = 0; i < 2; i++)
		if (w->stop[i])
			event_free(w->stop[i]);
	if (w->base)
		event_base_free(w->base);
	scoped_fd(&w->listener);
	scoped_fd(&w->folder);
}

static struct err serve_until_stopped(struct witness *w)
{
	scoped(buf) struct buf vkey = {0};
	int fd = w->listener;
	w->listener = -1;
	TRY(server_new(w->base, fd, &w->keeper, &w->server));
	note_key_format(&w->keeper.signer.key, &vkey);
	log_notice("witness %s on %s port %lld for %zu logs", buf_text(&vkey),
		   w->conf->listen.address, (long long)w->conf->listen.port, w->conf->logs.n);
	ENSURE(event_base_dispatch(w->base) >= 0, ERR_INTERNAL, "the event loop failed");
	return OK;
}

static struct err print_vkey(const struct witness *w)
{
	scoped(buf) struct buf vkey = {0};
	note_key_format(&w->keeper.signer.key, &vkey);
	ENSURE(printf("%s\n", buf_text(&vkey)) > 0 && fflush(stdout) == 0, ERR_IO,
	       "standard output");
	return OK;
}

static int run(const char *config, int what)
{
	scoped(arena) struct arena *a = arena_new(4 << 20);
	struct witness_conf conf;
	struct witness w = {.conf = &conf, .folder = -1, .listener = -1};
	log_start("gemel-witness", LOG_NOTICE);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	struct err e =
		a ? witness_conf_load(config, &conf, a) : err_make(ERR_LIMIT, "out of memory");
	if (e.code != ERR_NONE) {
		fprintf(stderr, "gemel-witness: %s\n", e.text);
		return EXIT_USAGE;
	}
	if (what == 't')
		return 0;
	log_start("gemel-witness", (enum log_level)conf.log_level);
	e = start(&w, what == 's');
	if (e.code == ERR_NONE)
		e = what == 's' ? serve_until_stopped(&w) : print_vkey(&w);
	if (e.code != ERR_NONE)
		log_error("%s", e.text);
	finish(&w);
	return e.code == ERR_NONE ? 0 : e.code == ERR_USAGE ? EXIT_USAGE : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const char *config = NULL;
	int what = 's'; // serve
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			config = optarg;
			break;
		case 'k':
		case 't':
			what = o;
			break;
		case 'd':
			return describe();
		case 'h':
			return usage(stdout, 0);
		case 'v':
			printf("gemel-witness %s\n", GEMEL_VERSION);
			return 0;
		default:
			return usage(stderr, EXIT_USAGE);
		}
	}
	return config && optind == argc ? run(config, what) : usage(stderr, EXIT_USAGE);
}
