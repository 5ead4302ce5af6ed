// SPDX-License-Identifier: Apache-2.0
// A queue of bytes in one block. A drained one above QUEUE_KEEP gives its memory back: a thousand
// idle calls must not hold much.
#pragma once

#include "lib/gnmi/grpc_internal.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_KEEP = 16 << 10, QUEUE_FIRST = 4 << 10 };

static inline bool queue_reserve(struct grpc_queue *q, size_t n)
{
	if (q->head && q->head + q->len + n > q->cap) {
		memmove(q->data, q->data + q->head, q->len);
		q->head = 0;
	}
	if (q->len + n <= q->cap)
		return true;
	size_t cap = q->cap ? q->cap : QUEUE_FIRST;
	while (cap < q->len + n)
		cap *= 2;
	uint8_t *data = realloc(q->data, cap);
	if (!data)
		return false;
	q->data = data;
	q->cap = cap;
	return true;
}

static inline bool queue_put(struct grpc_queue *q, const void *bytes, size_t n)
{
	if (!queue_reserve(q, n))
		return false;
	if (n)
		memcpy(q->data + q->head + q->len, bytes, n);
	q->len += n;
	return true;
}

static inline void queue_drop(struct grpc_queue *q, size_t n)
{
	q->head += n;
	q->len -= n;
	if (q->len)
		return;
	q->head = 0;
	if (q->cap > QUEUE_KEEP) {
		free(q->data);
		*q = (struct grpc_queue){0};
	}
}

static inline void queue_clear(struct grpc_queue *q)
{
	free(q->data);
	*q = (struct grpc_queue){0};
}
