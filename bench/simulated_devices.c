// SPDX-License-Identifier: Apache-2.0
// Simulated devices that really join a gemeld.
//     simulated_devices --authority FILE --address A [--port N] [--enrolment-port N] --pcr17 HEX
//                       [--interfaces N] [--at-once N] [--netns FILE]
// Writes the certificate of its TPMs' manufacturer to FILE (one of gemeld's ek_roots), says `ready`,
// reads enrolment tokens, one a line, until the end of its input, joins with each, and then samples
// until SIGTERM. Once a second it prints one line of `name value` pairs. PCR 17 is what gemeld's
// configuration has among its reference values.
#include "simulated_devices.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/hash.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PCR = 17, TELEMETRY_PORT = 9339, ENROLMENT_PORT = 9340 };

static void must(struct err e, const char *what)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "simulated_devices: %s: %s\n", what, e.text);
	exit(1);
}

// --- what the others call

uint32_t simulated_draw(struct simulated_device *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 17;
	d->random ^= d->random << 5;
	return d->random;
}

void simulated_trouble(struct simulated_device *d, const char *where, const char *text)
{
	d->s->troubles++;
	snprintf(d->s->trouble, sizeof d->s->trouble, "%s: %s: %s", d->name, where, text);
}

void simulated_after(struct simulated_device *d, int64_t ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	event_add(d->timer, &tv);
}

void simulated_next(struct simulation *s)
{
	while (s->next < s->n && s->enrolling < s->at_once)
		join_begin(s->devices[s->next++]);
}

// --- tokens: gemel1.DEVICE.ID.SECRET.HASH; a name may hold dots, so from the right

static bool take_last(char *text, char *out, size_t size)
{
	char *dot = strrchr(text, '.');
	if (!dot || strlen(dot + 1) >= size || !dot[1])
		return false;
	strcpy(out, dot + 1);
	*dot = 0;
	return true;
}

static struct err read_token(struct simulation *s, char *line, struct simulated_device *d)
{
	static const char *const alpn[] = {"h2", NULL};
	char hash[HASH_HEX];
	uint8_t pin[HASH_SIZE];
	line[strcspn(line, "\r\n")] = 0;
	ENSURE(strncmp(line, "gemel1.", 7) == 0 && take_last(line, hash, sizeof hash) &&
		       take_last(line, d->secret, sizeof d->secret) &&
		       take_last(line, d->token_id, sizeof d->token_id) &&
		       strlen(line + 7) < sizeof d->name && hash_unhex(hash, pin, sizeof pin),
	       ERR_USAGE, "a line that is not a token");
	strcpy(d->name, line + 7);
	if (!s->pinned) {
		const struct tls_conf conf = {.side = TLS_CLIENT, .pin = pin, .alpn = alpn};
		memcpy(s->pin, pin, sizeof pin);
		TRY(tls_context_new(&conf, &s->pinned));
	}
	ENSURE(memcmp(s->pin, pin, sizeof pin) == 0, ERR_USAGE, "tokens of different twins");
	return OK;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct simulated_device *d = ctx;
	if (d->stage < STAGE_ATTESTED)
		join_begin(d);
	else
		sample_due(d);
}

static struct err add_device(struct simulation *s, char *line)
{
	ENSURE(s->n < SIMULATED_MAX, ERR_LIMIT, "at most %d devices", SIMULATED_MAX);
	struct simulated_device *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "out of memory");
	d->s = s;
	d->number = s->n;
	d->random = s->n * 2654435761u + 1;
	TRY(read_token(s, line, d));
	d->timer = evtimer_new(s->base, on_timer, d);
	d->value = calloc(s->n_paths, sizeof *d->value);
	ENSURE(d->timer && d->value, ERR_LIMIT, "out of memory");
	TRY(join_prepare(d));
	s->devices[s->n++] = d;
	return OK;
}

static void read_tokens(struct simulation *s)
{
	char line[TOKEN_MAX];
	s->devices = calloc(SIMULATED_MAX, sizeof(struct simulated_device *));
	must(s->devices ? OK : err_make(ERR_LIMIT, "out of memory"), "devices");
	while (fgets(line, sizeof line, stdin))
		must(add_device(s, line), "a token");
	memset(line, 0, sizeof line);
	if (s->n == 0)
		must(err_make(ERR_USAGE, "no token came"), "devices");
}

// --- the report

static void on_second(evutil_socket_t fd, short what, void *ctx)
{
	const struct simulation *s = ctx;
	printf("devices %u enrolled %u registered %u streaming %u sent %llu acked %llu left_out %llu "
	       "troubles %llu\n",
	       s->n, s->enrolled, s->registered, s->streaming, (unsigned long long)s->sent,
	       (unsigned long long)s->acked, (unsigned long long)s->left_out,
	       (unsigned long long)s->troubles);
	if (fflush(stdout) != 0)
		event_base_loopbreak(s->base); // nobody listens any more
}

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
	struct simulation *s = ctx;
	event_base_loopbreak(s->base);
}

// --- options

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
		must(err_system("%s", netns), "network namespace");
	close(fd);
}

static void usage(void)
{
	fprintf(stderr, "usage: simulated_devices --authority FILE --address A --pcr17 HEX [--port N] "
			"[--enrolment-port N] [--interfaces N] [--at-once N] [--netns FILE]\n");
	exit(2);
}

static unsigned number(const char *text, unsigned most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	if (*end || n == 0 || n > most)
		usage();
	return (unsigned)n;
}

static const char *options(int argc, char **argv, struct simulation *s)
{
	static const struct option names[] = {
		{"authority", required_argument, NULL, 'a'}, {"address", required_argument, NULL, 'd'},
		{"port", required_argument, NULL, 'p'},	     {"enrolment-port", required_argument, NULL, 'e'},
		{"pcr17", required_argument, NULL, 'r'},     {"interfaces", required_argument, NULL, 'i'},
		{"at-once", required_argument, NULL, 'o'},   {"netns", required_argument, NULL, 'n'},
		{0}};
	const char *authority = NULL;
	unsigned port = TELEMETRY_PORT, enrolment_port = ENROLMENT_PORT;
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		if (c == 'a')
			authority = optarg;
		else if (c == 'd' && inet_pton(AF_INET, optarg, &s->telemetry.sin_addr) == 1)
			s->telemetry.sin_family = AF_INET;
		else if (c == 'p')
			port = number(optarg, 65535);
		else if (c == 'e')
			enrolment_port = number(optarg, 65535);
		else if (c == 'r' && hash_unhex(optarg, s->pcrs.value[PCR], 32))
			s->pcrs.mask = 1u << PCR;
		else if (c == 'i')
			s->interfaces = number(optarg, 4000);
		else if (c == 'o')
			s->at_once = number(optarg, 200);
		else if (c == 'n')
			enter(optarg);
		else
			usage();
	}
	if (!authority || !s->telemetry.sin_family || !s->pcrs.mask || optind != argc)
		usage();
	s->enrolment = s->telemetry;
	s->telemetry.sin_port = htons((uint16_t)port);
	s->enrolment.sin_port = htons((uint16_t)enrolment_port);
	return authority;
}

static void many_descriptors(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void device_free(struct simulated_device *d)
{
	join_clear(d);
	for (int i = 0; i < SIMULATED_WINDOW; i++)
		buf_clear(&d->window[i].message);
	event_free(d->timer);
	free(d->value);
	free(d);
}

int main(int argc, char **argv)
{
	static struct simulation s = {.interfaces = 50, .at_once = 32};
	struct event *second, *term;
	log_start("simulated_devices", LOG_WARNING);
	prctl(PR_SET_DUMPABLE, 0); // keys are here, if only for a bench
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_ARENA_MAX, 1);
	many_descriptors();
	const char *authority = options(argc, argv, &s);
	must(crypto_start(), "OpenSSL");
	s.base = event_base_new();
	s.trust = x509_trust_new();
	must(s.base && s.trust ? OK : err_make(ERR_LIMIT, "out of memory"), "start");
	must(sample_start(&s), "paths");
	must(soft_maker_init(&s.maker, "Simulated TPM manufacturer"), "authority");
	must(soft_maker_write(&s.maker, authority), "authority");
	puts("ready");
	fflush(stdout);
	read_tokens(&s);
	second = event_new(s.base, -1, EV_PERSIST, on_second, &s);
	term = evsignal_new(s.base, SIGTERM, on_signal, &s);
	must(second && term ? OK : err_make(ERR_LIMIT, "out of memory"), "start");
	event_add(second, &(struct timeval){.tv_sec = 1});
	event_add(term, NULL);
	simulated_next(&s);
	event_base_dispatch(s.base);
	if (s.troubles)
		fprintf(stderr, "simulated_devices: %llu troubles, the last: %s\n",
			(unsigned long long)s.troubles, s.trouble);
	for (unsigned i = 0; i < s.n; i++)
		device_free(s.devices[i]);
	free(s.devices);
	sample_stop(&s);
	tls_context_free(s.pinned);
	tls_context_free(s.client);
	x509_trust_free(s.trust);
	soft_maker_clear(&s.maker);
	event_free(second);
	event_free(term);
	event_base_free(s.base);
	return 0;
}
