// SPDX-License-Identifier: Apache-2.0
#include "parent/netns.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MOST = 256 };

struct err netns_address(const char *text, uint16_t port, struct sockaddr_storage *out,
			 socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof *v4;
		return OK;
	}
	ENSURE(inet_pton(AF_INET6, text, &v6->sin6_addr) == 1, ERR_USAGE,
	       "\"%.64s\" is no numeric address", text);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	*len = sizeof *v6;
	return OK;
}

static struct err open_namespace(const char *netns, int *fd)
{
	char path[PATH_MOST];
	int n = snprintf(path, sizeof path, *netns == '/' ? "%s" : "/run/netns/%s", netns);
	ENSURE(n > 0 && n < PATH_MOST && (*netns == '/' || !strchr(netns, '/')), ERR_USAGE,
	       "netns: \"%.64s\" is neither a name nor a whole path", netns);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return err_system("network namespace %s", netns);
	return OK;
}

static struct err make_socket(int family, int *fd)
{
	*fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	return *fd < 0 ? err_system("socket") : OK;
}

struct err netns_socket(const char *netns, int family, int *fd)
{
	if (!netns || !*netns)
		return make_socket(family, fd);
	scoped(fd) int there = -1;
	scoped(fd) int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (here < 0)
		return err_system("our network namespace");
	TRY(open_namespace(netns, &there));
	if (setns(there, CLONE_NEWNET) < 0)
		return err_system("entering network namespace %s", netns);
	struct err e = make_socket(family, fd);
	if (setns(here, CLONE_NEWNET) < 0) { // everything later would be in the wrong network
		log_error("cannot leave network namespace %s", netns);
		abort();
	}
	return e;
}
