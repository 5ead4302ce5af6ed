// SPDX-License-Identifier: Apache-2.0
// One opened frame of the journal, all its records taken in as at a start.
#include "bare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err record(void *ctx, uint64_t segment, enum journal_kind kind, const uint8_t *bytes,
			 size_t n)
{
	struct repository *r = ctx;
	struct cursor c = cursor_over(bytes, n);
	struct ledger_entry e;
	struct err bad = OK;
	uint32_t number, domain;
	switch (kind) {
	case JOURNAL_SERIES:
		bad = ingest_replay_series(r, bytes, n);
		break;
	case JOURNAL_BATCH:
		bad = ingest_replay(r, segment, bytes, n);
		break;
	case JOURNAL_DEVICE:
		number = cursor_be32(&c);
		domain = cursor_be32(&c);
		bad = devices_read(r, number, domain, c.at, cursor_left(&c));
		break;
	case JOURNAL_LEDGER:
		cursor_be64(&c);
		bad = ledger_record_read(&c, &e);
		break;
	default:
		break;
	}
	assert(bad.code == ERR_NONE || bad.code == ERR_CORRUPT || bad.code == ERR_PEER ||
	       bad.code == ERR_USAGE);
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct repository r;
	const struct journal_reader reader = {record, NULL, &r};
	bare_open(&r);
	err_ignore(journal_frame(data, size, 1, &reader));
	for (uint32_t i = 1; i <= r.index.n_devices; i++) {
		const struct device *d = index_device(&r.index, i);
		for (uint32_t k = 0; k < d->n_series; k++) {
			const struct series *s = index_series(&r.index, d->series[k]);
			struct chunk_point *points = calloc(s->head_n + 1u, sizeof *points);
			head_points(s, points);
			for (uint32_t p = 0; p < s->head_n; p++)
				assert(points[p].tick < d->n_ticks);
			free(points);
		}
	}
	bare_close(&r);
	return 0;
}
