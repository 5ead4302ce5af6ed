// SPDX-License-Identifier: Apache-2.0
// The token file may come at any time: it is looked for each second until there is one. It goes to
// keys, and is removed when it has been used.

#include "agent/parent_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_MAX = 1024, LOOK_S = 1 };

static struct err send_token(struct parent *p, const char *path)
{
	struct stat s;
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? OK : err_system("%s", path);
	if (fstat(fd, &s) < 0)
		return err_system("%s", path);
	int64_t changed = s.st_mtim.tv_sec * NS_PER_S + s.st_mtim.tv_nsec;
	if (changed == p->token_changed_ns || !p->children[LINK_KEYS].link)
		return OK;
	scoped(secret) struct secret *token = secret_new(TOKEN_MAX);
	ENSURE(token, ERR_LIMIT, "out of memory");
	ssize_t n = read(fd, secret_bytes(token), TOKEN_MAX);
	if (n < 0)
		return err_system("%s", path);
	const char *text = (const char *)secret_bytes(token);
	size_t len = 0;
	while (len < (size_t)n && text[len] > 0x20 && text[len] < 0x7f)
		len++;
	if (len == 0)
		return OK; // still being written
	p->token_changed_ns = changed;
	scoped(buf) struct buf b = {0};
	link_put(&b, text, len);
	struct err e = link_send_buf(p->children[LINK_KEYS].link, LINK_TOKEN, &b);
	if (b.data)
		secret_zero(b.data, b.len);
	return e;
}

static void look(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	struct err e = send_token(p, p->conf->token_file);
	if (e.code != ERR_NONE)
		log_warning("token: %s", e.text);
}

struct err parent_token_start(struct parent *p)
{
	if (!p->conf->token_file)
		return OK;
	struct timeval t = {LOOK_S, 0};
	p->token_timer = event_new(p->base, -1, EV_PERSIST, look, p);
	ENSURE(p->token_timer && event_add(p->token_timer, &t) == 0, ERR_LIMIT, "out of memory");
	return OK;
}

void parent_token_again(struct parent *p)
{
	p->token_changed_ns = 0;
	if (p->token_timer)
		look(-1, 0, p);
}

void parent_token_used(struct parent *p)
{
	if (p->conf->token_file && unlink(p->conf->token_file) < 0 && errno != ENOENT)
		log_warning("%s was used and could not be removed: %s", p->conf->token_file,
			    strerror(errno));
}
