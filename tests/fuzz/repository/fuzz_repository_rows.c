// SPDX-License-Identifier: Apache-2.0
// What stands in rows: manifests, batches' proofs, ledger records, heads. First byte: which.
#include "repository/ledger.h"
#include "repository/proofs.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void manifest(struct cursor c)
{
	struct manifest_row row;
	for (bool more = true; more;) {
		if (manifest_next(&c, &row, &more).code != ERR_NONE)
			return;
		assert(!more || (row.place.key_len <= STORE_KEY_MAX && row.leaf));
	}
}

static void proofs(struct cursor c)
{
	scoped(buf) struct buf out = {0};
	struct proof p;
	const uint8_t *start = c.at;
	while (cursor_left(&c)) {
		if (proof_read(&c, &p).code != ERR_NONE)
			return;
		proof_write(&out, &p);
	}
	assert(out.len == (size_t)(c.at - start) &&
	       (!out.len || !memcmp(out.data, start, out.len)));
	assert(proof_find(out.data, out.len, p.revision, &p).code == ERR_NONE || !out.len);
}

static void records(struct cursor c)
{
	scoped(buf) struct buf out = {0}, leaf = {0};
	const uint8_t *start = c.at;
	while (cursor_left(&c)) {
		struct ledger_entry e = {0};
		if (ledger_record_read(&c, &e).code != ERR_NONE)
			return;
		if (strlen(e.kind) == start[out.len + 8]) // a zero byte in it is another kind
			ledger_record_write(&e, &out);
		else
			return;
		ledger_leaf(&e, &leaf);
	}
	assert(out.len == (size_t)(c.at - start) &&
	       (!out.len || !memcmp(out.data, start, out.len)));
}

static void head(const uint8_t *data, size_t size)
{
	struct store_row row = {.table = STORE_CHUNK, .head = data, .head_len = size};
	struct row_info info;
	if (row_info_read(&row, &info).code == ERR_NONE)
		assert(size == ROW_HEAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct cursor c = cursor_over(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		manifest(c);
		break;
	case 1:
		proofs(c);
		break;
	case 2:
		records(c);
		break;
	default:
		head(data + 1, size - 1);
	}
	return 0;
}
