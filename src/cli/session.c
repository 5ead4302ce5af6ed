// SPDX-License-Identifier: Apache-2.0
// The log-in that is kept between commands: ~/.config/gemel/session.json, mode 0600, replaced in one
// step. It holds the token, the address that it is for and the authority that was believed then.
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { SMALL_FILE = 1 << 20, LINE_MAX_BYTES = 1024 };
static const char default_url[] = "https://127.0.0.1:8443";

// --- files

static struct err read_fd(int fd, const char *path, struct buf *out)
{
	uint8_t part[4096];
	for (;;) {
		ssize_t n = read(fd, part, sizeof part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("%s", path);
		if (n == 0)
			break;
		buf_append(out, part, (size_t)n);
	}
	secret_zero(part, sizeof part);
	return buf_check(out, path);
}

struct err file_read(const char *path, size_t most, struct buf *out)
{
	out->limit = most;
	if (strcmp(path, "-") == 0)
		return read_fd(STDIN_FILENO, "standard input", out);
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_system("%s", path);
	return read_fd(fd, path, out);
}

struct err file_replace(const char *path, const void *bytes, size_t n, bool secret)
{
	char temporary[4096];
	int len = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
	ENSURE(len < (int)sizeof temporary, ERR_USAGE, "%s: too long", path);
	scoped(fd) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 secret ? 0600 : 0644);
	if (fd < 0)
		return err_system("%s", temporary);
	for (size_t done = 0; done < n;) {
		ssize_t w = write(fd, (const char *)bytes + done, n - done);
		if (w < 0) {
			struct err e = err_system("%s", temporary);
			unlink(temporary);
			return e;
		}
		done += (size_t)w;
	}
	if (fsync(fd) != 0 || rename(temporary, path) != 0) {
		struct err e = err_system("%s", path);
		unlink(temporary);
		return e;
	}
	return OK;
}

static bool config_folder(char *out, size_t n, bool make)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int len;
	if (base && base[0] == '/') {
		len = snprintf(out, n, "%s", base);
	} else {
		if (!home || home[0] != '/')
			return false;
		len = snprintf(out, n, "%s/.config", home);
	}
	if (len < 0 || (size_t)len + 8 > n)
		return false;
	if (make)
		(void)!mkdir(out, 0700);
	snprintf(out + len, n - (size_t)len, "/gemel");
	return !make || mkdir(out, 0700) == 0 || errno == EEXIST;
}

char *session_path(struct cli *c, const char *name)
{
	char folder[4000];
	return config_folder(folder, sizeof folder, true) ? arena_printf(c->arena, "%s/%s", folder, name)
							  : NULL;
}

// --- load and save

static char *copy_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? strdup(s) : NULL;
}

static struct err load_kept(struct session_file *s)
{
	char path[4096];
	struct stat st;
	scoped(buf) struct buf text = {0};
	if (!config_folder(path, sizeof path - 16, false))
		return OK;
	memcpy(path + strlen(path), "/session.json", sizeof "/session.json");
	if (stat(path, &st) != 0)
		return OK;
	ENSURE(!(st.st_mode & 077), ERR_USAGE, "%s can be read by others; chmod 600 it, and log in again",
	       path);
	TRY(file_read(path, SMALL_FILE, &text));
	json_t *j = json_loadb(buf_text(&text), text.len, JSON_REJECT_DUPLICATES, NULL);
	secret_zero(text.data, text.len);
	ENSURE(json_is_object(j), ERR_USAGE, "%s is damaged; log in again", path);
	*s = (struct session_file){copy_of(j, "url"), copy_of(j, "token"), copy_of(j, "account"),
				   copy_of(j, "authority")};
	json_decref(j);
	return OK;
}

static void replace(char **to, const char *with)
{
	free(*to);
	*to = strdup(with);
}

// On the twin's own machine: its state folder has the authority and the addresses.
static struct err load_state(struct cli *c)
{
	scoped(buf) struct buf pem = {0};
	scoped(buf) struct buf text = {0};
	TRY(file_read(arena_printf(c->arena, "%s/authority.pem", c->o.state), SMALL_FILE, &pem));
	replace(&c->session.authority, buf_text(&pem));
	TRY(file_read(arena_printf(c->arena, "%s/console.json", c->o.state), SMALL_FILE, &text));
	json_t *j = json_loadb(buf_text(&text), text.len, 0, NULL);
	static const char *const keys[] = {"api", "api_url", "url"};
	const char *url = NULL;
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !url; i++)
		url = json_string_value(json_object_get(j, keys[i]));
	if (url && !c->o.url)
		c->o.url = arena_strdup(c->arena, url);
	json_decref(j);
	return OK;
}

struct err session_load(struct cli *c)
{
	TRY(load_kept(&c->session));
	if (c->o.state)
		TRY(load_state(c));
	if (c->o.authority) {
		scoped(buf) struct buf pem = {0};
		TRY(file_read(c->o.authority, SMALL_FILE, &pem));
		replace(&c->session.authority, buf_text(&pem));
	}
	return OK;
}

const char *gemel_url(const struct cli *c)
{
	const char *from_environment = getenv("GEMEL_URL");
	const char *url = c->o.url			       ? c->o.url
			  : from_environment && *from_environment ? from_environment
			  : c->session.url		       ? c->session.url
							       : default_url;
	size_t n = strlen(url);
	return n && url[n - 1] == '/' ? arena_strndup(c->arena, url, n - 1) : url;
}

struct err session_save(const struct session_file *s)
{
	char path[4096];
	ENSURE(config_folder(path, sizeof path - 16, true), ERR_USAGE,
	       "there is no folder for the session; set HOME or XDG_CONFIG_HOME");
	memcpy(path + strlen(path), "/session.json", sizeof "/session.json");
	json_t *j = json_pack("{s:s,s:s,s:s*,s:s*}", "url", s->url, "token", s->token, "account",
			      s->account, "authority", s->authority);
	char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	ENSURE(text, ERR_LIMIT, "out of memory");
	struct err e = file_replace(path, text, strlen(text), true);
	secret_zero(text, strlen(text));
	free(text);
	return e;
}

void session_forget(void)
{
	char path[4096];
	if (!config_folder(path, sizeof path - 16, false))
		return;
	memcpy(path + strlen(path), "/session.json", sizeof "/session.json");
	unlink(path);
}

void session_clear(struct session_file *s)
{
	if (s->token)
		secret_zero(s->token, strlen(s->token));
	free(s->url);
	free(s->token);
	free(s->account);
	free(s->authority);
	*s = (struct session_file){0};
}

// --- pass phrases

static struct err line_read(int fd, char *line, size_t n)
{
	size_t used = 0;
	char ch;
	while (read(fd, &ch, 1) == 1 && ch != '\n') {
		ENSURE(used + 1 < n, ERR_USAGE, "pass phrase: longer than %zu bytes", n - 1);
		line[used++] = ch;
	}
	if (used && line[used - 1] == '\r')
		used--;
	line[used] = 0;
	ENSURE(used, ERR_USAGE, "pass phrase: empty");
	return OK;
}

static struct err line_ask(const char *prompt, char *line, size_t n)
{
	struct termios old, quiet;
	scoped(fd) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	ENSURE(tty >= 0 && tcgetattr(tty, &old) == 0, ERR_USAGE,
	       "there is no terminal to ask on; use --password-stdin");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	dprintf(tty, "%s: ", prompt);
	tcsetattr(tty, TCSAFLUSH, &quiet);
	struct err e = line_read(tty, line, n);
	tcsetattr(tty, TCSAFLUSH, &old);
	dprintf(tty, "\n");
	return e;
}

struct err secret_ask(struct cli *c, const char *prompt, bool twice, char **out)
{
	char again[LINE_MAX_BYTES + 1];
	char *line = arena_alloc(c->arena, LINE_MAX_BYTES + 1);
	ENSURE(line, ERR_LIMIT, "out of memory");
	*out = line;
	if (c->o.password_stdin)
		return line_read(STDIN_FILENO, line, LINE_MAX_BYTES + 1);
	TRY(line_ask(prompt, line, LINE_MAX_BYTES + 1));
	if (!twice)
		return OK;
	TRY(line_ask("The same again", again, sizeof again));
	bool same = strcmp(line, again) == 0;
	secret_zero(again, sizeof again);
	ENSURE(same, ERR_USAGE, "pass phrase: the two are not the same");
	return OK;
}

// --- log-in, log-out

static int keep(struct cli *c, const json_t *answer)
{
	const char *token = json_string_value(json_object_get(answer, "token"));
	if (!token)
		return refuse_err(c, err_make(ERR_PEER, "the answer holds no token"));
	struct session_file s = {.url = strdup(gemel_url(c)), .token = strdup(token),
				 .authority = c->session.authority ? strdup(c->session.authority) : NULL};
	const char *account = json_string_value(json_object_get(answer, "account"));
	for (unsigned i = 0; i < c->n_values; i++)
		if (!account && strcmp(c->values[i].param->name, "account") == 0)
			account = c->values[i].text;
	s.account = strdup(account ? account : "");
	struct err e = s.url && s.token && s.account ? session_save(&s) : err_make(ERR_LIMIT, "memory");
	if (e.code == ERR_NONE && !c->o.json)
		fprintf(stderr, "logged in at %s as %s\n", s.url, s.account);
	session_clear(&s);
	return e.code ? refuse_err(c, e) : EXIT_DONE;
}

int run_login(struct cli *c)
{
	json_t *answer = NULL;
	int code = call_json(c, &answer);
	if (code == EXIT_DONE) {
		code = keep(c, answer);
		json_object_del(answer, "token");
		if (c->o.json) {
			scoped(buf) struct buf out = {0};
			text_value(answer, &out);
			buf_str(&out, "\n");
			cli_write(&out);
		}
	}
	json_decref(answer);
	return code;
}

int run_logout(struct cli *c)
{
	json_t *answer = NULL;
	if (!c->session.token) {
		fprintf(stderr, "not logged in\n");
		return EXIT_DONE;
	}
	int code = call_json(c, &answer);
	json_decref(answer);
	session_forget(); // whatever was said: here it is over
	return code == EXIT_NOT_PERMITTED ? EXIT_DONE : code;
}
