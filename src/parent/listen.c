// SPDX-License-Identifier: Apache-2.0
// Listening sockets are opened once and kept: a process that is started again goes on with the same
// socket, and who connects in between waits in its backlog instead of being refused.
#include "parent/netns.h"
#include "parent/parent.h"

#include <netinet/in.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static struct err open_one(const struct conf_listen *c, const char *name, int *out)
{
	struct sockaddr_storage address;
	socklen_t len;
	int one = 1;
	scoped(fd) int fd = -1;
	struct err e = netns_address(c->address, (uint16_t)c->port, &address, &len);
	if (e.code == ERR_NONE)
		e = netns_socket(c->netns, address.ss_family, &fd);
	if (e.code == ERR_NONE && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
		e = err_system("SO_REUSEADDR");
	if (e.code == ERR_NONE && bind(fd, (struct sockaddr *)&address, len) < 0)
		e = err_system("bind");
	if (e.code == ERR_NONE && listen(fd, BACKLOG) < 0)
		e = err_system("listen");
	if (e.code != ERR_NONE)
		return err_within(e, "%s: %s port %d%s%s", name, c->address, (int)c->port,
				  c->netns ? " in " : "", c->netns ? c->netns : "");
	*out = fd;
	fd = -1;
	return OK;
}

struct err listeners_open(struct parent *p)
{
	const struct daemon_conf *c = p->conf;
	const struct {
		const char *name;
		enum process_id owner;
		const struct conf_listen *listen;
	} all[LISTENERS] = {
		{"telemetry", PROCESS_TELEMETRY, &c->telemetry},
		{"enrolment", PROCESS_TELEMETRY, &c->enrolment},
		{"control", PROCESS_CONTROL, &c->control},
		{"api", PROCESS_NORTHBOUND, &c->api},
		{"console", PROCESS_NORTHBOUND, &c->console},
	};
	for (int i = 0; i < LISTENERS; i++) {
		p->listeners[i] = (struct listening){all[i].name, all[i].owner, -1};
		if (p->units[all[i].owner])
			TRY(open_one(all[i].listen, all[i].name, &p->listeners[i].fd));
	}
	return OK;
}
