// SPDX-License-Identifier: Apache-2.0
// Addresses in numbers, and sockets in other network namespaces. Used by the parent only.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>
#include <sys/socket.h>

// ERR_USAGE unless `text` is a numeric IPv4 or IPv6 address.
MUST_USE struct err netns_address(const char *text, uint16_t port, struct sockaddr_storage *out,
				  socklen_t *len);
// A TCP socket, close-on-exec and non-blocking, in the namespace of that name (below /run/netns) or
// path; NULL or "": ours. Needs CAP_SYS_ADMIN for others. The parent has one thread, and is back in
// its own namespace when this returns: if it cannot go back it aborts.
MUST_USE struct err netns_socket(const char *netns, int family, int *fd);
