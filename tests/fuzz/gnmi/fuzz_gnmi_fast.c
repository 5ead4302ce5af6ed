// SPDX-License-Identifier: Apache-2.0
// A SubscribeResponse (and the same bytes as an acknowledgement). Must hold of what is accepted:
// the counts announced are those delivered, every view lies inside the message, and protobuf-c,
// when it accepts the message too, sees as many updates and deletes.

#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"

#include <stdlib.h>

static const uint8_t *from, *to;

static void inside(const uint8_t *p, size_t n)
{
	if (n && (p < from || p + n > to))
		abort();
}

static void record(const struct gnmi_notification *n, const struct gnmi_record *r)
{
	char text[PATH_TEXT_MAX + 1];
	size_t len;
	inside(r->path, r->path_len);
	if (path_text_of_wire(n->prefix, n->prefix_len, r->path, r->path_len, text, &len).code ==
	    ERR_NONE) {
		char again[PATH_TEXT_MAX + 1]; // a canonical text is its own canonical text
		if (path_canonical(text, again).code != ERR_NONE)
			abort();
		for (size_t i = 0; i <= len; i++)
			if (text[i] != again[i])
				abort();
	}
	if (r->value.type == GNMI_LEAFLIST) {
		scoped(buf) struct buf json = {0};
		inside(r->value.s.bytes, r->value.s.len);
		err_ignore(gnmi_leaflist_json(r->value.s.bytes, r->value.s.len, &json));
	} else if (r->value.type == GNMI_STRING || r->value.type == GNMI_JSON) {
		inside(r->value.s.bytes, r->value.s.len);
	}
}

static void compare(const uint8_t *data, size_t n, const struct gnmi_notification *note)
{
	Gnmi__SubscribeResponse *r = gnmi__subscribe_response__unpack(NULL, n, data);
	if (!r)
		return;
	if (r->response_case == GNMI__SUBSCRIBE_RESPONSE__RESPONSE_UPDATE &&
	    (r->update->n_update != note->updates || r->update->n_delete_ != note->deletes))
		abort();
	gnmi__subscribe_response__free_unpacked(r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct gnmi_response r;
	struct gnmi_notification note;
	struct gnmi_record rec;
	bool more = true, ack;
	uint64_t seq;
	const uint8_t *key = data;
	uint32_t updates = 0, deletes = 0;
	from = data;
	to = data + n;
	if (gnmi_ack_read(data, n, &ack, &seq, &key).code == ERR_NONE && ack)
		inside(key, 8);
	if (gnmi_response_read(data, n, &r).code != ERR_NONE)
		return 0;
	if (r.proof.present) {
		inside(r.proof.signature, r.proof.signature_len);
		inside(r.proof.previous, 32);
		inside(r.proof.key_id, 8);
	}
	if (!r.has_notification ||
	    gnmi_notification_read(r.notification, 100000, &note).code != ERR_NONE)
		return 0;
	compare(data, n, &note);
	while (gnmi_next(&note, &rec, &more).code == ERR_NONE && more) {
		updates += !rec.is_delete;
		deletes += rec.is_delete;
		record(&note, &rec);
	}
	if (!more && (updates != note.updates || deletes != note.deletes))
		abort();
	return 0;
}
