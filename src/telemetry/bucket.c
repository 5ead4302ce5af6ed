// SPDX-License-Identifier: Apache-2.0
#include "telemetry/bucket.h"

#include "lib/base/clock.h"

static const int64_t MOST_NS = 3600 * NS_PER_S;

static int64_t worth(const struct rate *r, uint64_t tokens)
{
	double ns = (double)tokens * (double)NS_PER_S / (double)r->per_s;
	return ns < (double)MOST_NS ? (int64_t)ns : MOST_NS;
}

bool bucket_take(struct bucket *b, const struct rate *r, int64_t now_ns, uint64_t cost)
{
	if (r->per_s == 0)
		return false;
	int64_t from = b->full_ns > now_ns ? b->full_ns : now_ns;
	int64_t full_ns = from + worth(r, cost);
	if (full_ns - now_ns > worth(r, r->burst))
		return false;
	b->full_ns = full_ns;
	return true;
}

int64_t bucket_spend(struct bucket *b, const struct rate *r, int64_t now_ns, uint64_t cost)
{
	if (r->per_s == 0)
		return MOST_NS;
	int64_t from = b->full_ns > now_ns ? b->full_ns : now_ns;
	b->full_ns = from + worth(r, cost);
	if (b->full_ns > now_ns + MOST_NS)
		b->full_ns = now_ns + MOST_NS;
	int64_t wait = b->full_ns - now_ns - worth(r, r->burst);
	return wait > 0 ? wait : 0;
}
