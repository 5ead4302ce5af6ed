// SPDX-License-Identifier: Apache-2.0
// SERIES and BATCH as telemetry sends them, through the whole write path: grant, chain, signature,
// journal, heads. First byte: 0 BATCH, 1 SERIES. Each input meets the chain at its start, so that
// the seed is accepted every time.
#include "lib/ipc/messages.pb-c.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "repository/chain.h"
#include "repository/grant.h"
#include "repository/repository.h"

#include "lib/crypto/sign.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/gemel-fuzz-XXXXXX";
static struct repository *r;
static struct process p = {.id = PROCESS_REPOSITORY};

// The seeds' device: its private key is 32 bytes of 7.
static const uint8_t raw_key[32] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
				    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path);
}

static void leave(void)
{
	repository_close(r);
	close(p.state_dir);
	arena_free(p.scratch);
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void add_device(void)
{
	struct device *d;
	struct chain *c;
	struct sign_key *k;
	struct secret *raw = secret_new(32);
	memcpy(secret_bytes(raw), raw_key, 32);
	assert(sign_key_from_raw(SIGN_ED25519, raw, &k).code == ERR_NONE);
	secret_free(raw);
	const struct sign_public *public = sign_key_public(k);
	assert(index_device_add(&r->index, "r1", &d).code == ERR_NONE);
	strcpy(d->state, "production");
	strcpy(d->kind, "agent");
	d->known = true;
	d->grant = grant_for(d->state);
	d->grant_id = 1;
	d->grant_epoch = 1;
	assert(chain_add(d, public->id, &c).code == ERR_NONE);
	c->listed = true;
	c->algorithm = SIGN_ED25519;
	c->public_len = (uint8_t) public->len;
	memcpy(c->public_key, public->bytes, public->len);
	sign_key_free(k);
}

static void name_series(void)
{
	static const char *const paths[] = {"/interfaces/interface[name=e]/state/mtu",
					    "/interfaces/interface[name=e]/state/oper-status",
					    "/interfaces/interface[name=e]"};
	Ipc__SeriesItem items[3], *list[3];
	Ipc__Series m = IPC__SERIES__INIT;
	uint8_t bytes[500];
	for (int i = 0; i < 3; i++) {
		ipc__series_item__init(&items[i]);
		items[i].number = (uint32_t)i + 1;
		items[i].device = (char *)(uintptr_t) "r1";
		items[i].path = (char *)(uintptr_t)paths[i];
		list[i] = &items[i];
	}
	m.items = list;
	m.n_items = 3;
	size_t n = protobuf_c_message_pack(&m.base, bytes);
	const struct ipc_message msg = {IPC_SERIES, PROCESS_TELEMETRY, bytes, n, -1};
	assert(ingest_series(r, &msg).code == ERR_NONE);
}

static void start(void)
{
	static const struct daemon_conf conf = {.name = (char *)(uintptr_t) "gemel.test/fuzz",
						.witnesses_mode = 1,
						.memory_budget = 64 << 20,
						.sample_interval = NS_PER_S,
						.device_rate = 1000,
						.device_series = 50};
	log_start("fuzz", LOG_ERROR);
	assert(mkdtemp(folder));
	p.conf = &conf;
	p.scratch = arena_new(64 << 20);
	p.state_dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert(repository_open(&p, &r).code == ERR_NONE && repository_recover(r).code == ERR_NONE);
	p.self = r;
	atexit(leave);
	add_device();
	name_series();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!r)
		start();
	if (!size)
		return 0;
	struct device *d = index_device_find(&r->index, "r1");
	uint64_t batches = d->batches;
	const struct ipc_message msg = {IPC_SERIES, PROCESS_TELEMETRY, data + 1, size - 1, -1};
	arena_reset(p.scratch);
	d->chains[0].seq = 0;
	memset(d->chains[0].hash, 0, BATCH_HASH);
	struct err e = data[0] & 1 ? ingest_series(r, &msg) : ingest_batch(r, data + 1, size - 1);
	assert(e.code == ERR_NONE || e.code == ERR_PEER || e.code == ERR_LIMIT);
	assert(d->batches == batches || d->chains[0].seq == 1);
	assert(d->n_series <= 50);
	if (d->batches > batches && d->batches % 64 == 0)
		assert(ingest_sync(r).code == ERR_NONE);
	return 0;
}
