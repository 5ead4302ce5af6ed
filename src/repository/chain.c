// SPDX-License-Identifier: Apache-2.0
#include "repository/chain.h"

#include "lib/base/clock.h"
#include "lib/crypto/sign.h"

#include <stdlib.h>
#include <string.h>

struct chain *chain_find(struct device *d, const uint8_t key_id[BATCH_KEY_ID])
{
	for (unsigned i = 0; i < d->n_chains; i++)
		if (!memcmp(d->chains[i].key_id, key_id, BATCH_KEY_ID))
			return &d->chains[i];
	return NULL;
}

struct err chain_room(struct device *d, unsigned n)
{
	if (n <= d->cap_chains)
		return OK;
	unsigned cap = n < DEVICE_KEYS_MAX / 2 ? n + 2 : DEVICE_KEYS_MAX;
	struct chain *chains = realloc(d->chains, cap * sizeof *chains);
	ENSURE(chains, ERR_LIMIT, "no memory for the keys of %s", d->name);
	d->chains = chains;
	d->cap_chains = cap;
	return OK;
}

struct err chain_add(struct device *d, const uint8_t key_id[BATCH_KEY_ID], struct chain **out)
{
	*out = chain_find(d, key_id);
	if (*out)
		return OK;
	ENSURE(d->n_chains < DEVICE_KEYS_MAX, ERR_LIMIT, "%s has %d batch keys already", d->name,
	       DEVICE_KEYS_MAX);
	TRY(chain_room(d, d->n_chains + 1));
	*out = &d->chains[d->n_chains++];
	**out = (struct chain){0};
	memcpy((*out)->key_id, key_id, BATCH_KEY_ID);
	return OK;
}

void chain_prune(struct device *d, int64_t now_ns)
{
	for (unsigned i = 0; i < d->n_chains;) {
		struct chain *c = &d->chains[i];
		if (c->listed || !c->until_ns || c->until_ns + 86400 * NS_PER_S > now_ns) {
			i++;
			continue;
		}
		verify_key_free(c->verify);
		*c = d->chains[--d->n_chains];
	}
}

const char *chain_place(const struct chain *c, const struct batch_head *head, int64_t now_ns,
			uint64_t *expected)
{
	static const uint8_t zeros[BATCH_HASH];
	if (!c || !c->listed || !c->public_len)
		return "key-unknown";
	*expected = c->seq + 1;
	if (now_ns < c->from_ns || (c->until_ns && now_ns > c->until_ns))
		return "key-expired";
	if (head->seq <= c->seq)
		return "repeat";
	if (head->seq > c->seq + 1)
		return "gap";
	bool start = head->flags & BATCH_CHAIN_START;
	if (start != (head->seq == 1))
		return "chain-start";
	if (memcmp(head->previous, head->seq == 1 ? zeros : c->hash, BATCH_HASH) != 0)
		return "previous-hash";
	return NULL;
}

struct err chain_verify(struct chain *c, const struct batch_head *head,
			const uint8_t hash[BATCH_HASH])
{
	ENSURE(head->algorithm == c->algorithm, ERR_AUTH, "the batch names another algorithm");
	if (!c->verify)
		TRY(verify_key_new((enum sign_algorithm)c->algorithm, c->public_key, c->public_len,
				   &c->verify));
	return verify_check(c->verify, hash, BATCH_HASH, head->signature, head->signature_len);
}

void chain_advance(struct chain *c, uint64_t seq, const uint8_t hash[BATCH_HASH])
{
	c->seq = seq;
	memcpy(c->hash, hash, BATCH_HASH);
}
