// SPDX-License-Identifier: Apache-2.0
// What is kept: by class and age, in which places, and how the ledger and its witnesses stand.
#include "repository/api.h"

#include <inttypes.h>
#include <string.h>

enum { CLASSES = CLASS_PERSONAL + 1, ROWS_MOST = 500000 };

struct sums {
	uint64_t series[CLASSES], chunks[CLASSES], points[CLASSES];
	int64_t oldest[CLASSES], newest[CLASSES];
	unsigned rows;
};

static struct err each_chunk(void *ctx, const struct store_row *row, bool *more)
{
	struct sums *s = ctx;
	struct row_info info;
	struct err e = row_info_read(row, &info);
	*more = ++s->rows < ROWS_MOST;
	if (e.code != ERR_NONE || info.class >= CLASSES)
		return OK; // a verification names it
	s->chunks[info.class]++;
	s->points[info.class] += info.n;
	if (!s->oldest[info.class] || info.t0 < s->oldest[info.class])
		s->oldest[info.class] = info.t0;
	if (info.t1 > s->newest[info.class])
		s->newest[info.class] = info.t1;
	return OK;
}

static void add_heads(const struct repository *r, struct sums *s)
{
	for (uint32_t i = 1; i <= r->index.n_series; i++) {
		const struct series *at = index_series(&r->index, i);
		if (!at->path)
			continue;
		s->series[at->class]++;
		s->points[at->class] += at->head_n;
		if ((at->flags & SERIES_LIVE) && at->time_ns > s->newest[at->class])
			s->newest[at->class] = at->time_ns;
	}
}

static json_t *classes_json(struct ask *q, const struct sums *s)
{
	json_t *list = json_array();
	for (int i = 0; i < CLASSES; i++) {
		const struct access_resource what = {.kind = "Dataset",
						     .class = (enum access_class)i,
						     .domain =
							     *q->who.domain ? q->who.domain : NULL};
		if (!api_may(q, &what)) // not even how many there are
			continue;
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "class",
						      access_class_names[i], "series",
						      (json_int_t)s->series[i], "chunks",
						      (json_int_t)s->chunks[i], "points",
						      (json_int_t)s->points[i], "oldest",
						      api_time_json(s->oldest[i]), "newest",
						      api_time_json(s->newest[i])));
	}
	return list;
}

static json_t *ledger_json(const struct ledger *l)
{
	json_t *witnesses = json_array();
	for (unsigned i = 0; i < ledger_witnesses(l); i++) {
		struct ledger_witness_state w = ledger_witness_state(l, i);
		json_array_append_new(witnesses,
				      json_pack("{s:s, s:I, s:b, s:o, s:o}", "name", w.name, "size",
						(json_int_t)w.size, "signed", w.signed_, "last",
						api_time_json(w.last_ns), "why",
						*w.why ? json_string(w.why) : json_null()));
	}
	return json_pack("{s:I, s:I, s:I, s:o}", "entries", (json_int_t)ledger_size(l), "stored",
			 (json_int_t)ledger_stored(l), "signed",
			 (json_int_t)ledger_checkpoint_size(l), "witnesses", witnesses);
}

struct err api_data_stats(struct ask *q, json_t **body)
{
	struct repository *r = q->r;
	struct sums sums = {0};
	const struct store_scan scan = {.table = STORE_CHUNK,
					.all_devices = true,
					.heads_only = true,
					.each = each_chunk,
					.ctx = &sums};
	int64_t newest = 0;
	uint64_t known = 0;
	TRY(store_scan(r->store, &scan));
	add_heads(r, &sums);
	for (uint32_t i = 1; i <= r->index.n_devices; i++) {
		const struct device *d = index_device(&r->index, i);
		known += d->known;
		newest = d->last_ns > newest ? d->last_ns : newest;
	}
	*body = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "devices", (json_int_t)known, "series",
		(json_int_t)r->index.n_series, "points_in_memory", (json_int_t)r->index.head_points,
		"memory_bytes", (json_int_t)(r->index.head_bytes + r->index.path_bytes),
		"store_bytes", (json_int_t)store_bytes(r->store), "journal_bytes",
		(json_int_t)journal_bytes(r->journal), "commits", (json_int_t)r->commit_version);
	ENSURE(*body, ERR_LIMIT, "no memory for the answer");
	json_object_set_new(*body, "complete", json_boolean(sums.rows < ROWS_MOST));
	json_object_set_new(*body, "read_only", json_boolean(r->read_only));
	json_object_set_new(*body, "damaged", r->damaged ? json_string(r->why) : json_null());
	json_object_set_new(*body, "classes", classes_json(q, &sums));
	json_object_set_new(*body, "ledger", ledger_json(r->ledger));
	api_stamp(*body, newest, r->revision);
	return OK;
}
