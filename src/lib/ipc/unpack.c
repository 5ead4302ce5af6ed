// SPDX-License-Identifier: Apache-2.0
// Protobuf into an arena: a message of many small fields costs no malloc, and is freed as one.
#include "lib/ipc/ipc.h"

static void *give(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void keep(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

ProtobufCAllocator ipc_arena_allocator(struct arena *a)
{
	return (ProtobufCAllocator){give, keep, a};
}

void *ipc_unpack(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t len,
		 struct arena *a, struct err *e)
{
	ProtobufCAllocator allocator = ipc_arena_allocator(a);
	// No bytes are a message of defaults; the library wants an address all the same.
	void *m =
		protobuf_c_message_unpack(d, &allocator, len, bytes ? bytes : (const uint8_t *)"");
	if (!m)
		*e = err_make(ERR_PEER, "%s of %zu bytes: malformed, or too many parts",
			      d->short_name, len);
	return m;
}
