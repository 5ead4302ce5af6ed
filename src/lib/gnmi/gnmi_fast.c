// SPDX-License-Identifier: Apache-2.0
// Reading SubscribeResponses. Measured: the walk is bound by the varints, not by calls, so it stays
// plain; two passes over a Notification (counts first) cost less than collecting would.

#include "lib/gnmi/gnmi_fast.h"

#include "lib/gnmi/gemel.pb-c.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/wire.h"

#include <string.h>

enum { EXPERIMENTAL = GNMI_EXT__EXTENSION_ID__EID_EXPERIMENTAL, DECIMAL_PRECISION_MAX = 18 };

// --- extensions

static struct err read_proof(struct cursor c, struct gnmi_proof *p)
{
	struct wire_field f;
	size_t previous = 0, key_id = 0;
	*p = (struct gnmi_proof){.present = true};
	while (wire_next(&c, &f)) {
		bool bytes = f.type == WIRE_BYTES;
		if (f.number == 1 && !bytes) {
			p->seq = f.value;
		} else if (f.number == 2 && bytes) {
			p->previous = f.sub.at;
			previous = cursor_left(&f.sub);
		} else if (f.number == 3 && bytes) {
			p->key_id = f.sub.at;
			key_id = cursor_left(&f.sub);
		} else if (f.number == 4 && !bytes) {
			p->algorithm = (uint32_t)f.value;
		} else if (f.number == 5 && bytes) {
			p->signature = f.sub.at;
			p->signature_len = (uint32_t)cursor_left(&f.sub);
		} else if (f.number == 6 && bytes) {
			p->device = f.sub.at;
			p->device_len = (uint32_t)cursor_left(&f.sub);
		} else if (f.number == 7 && !bytes) {
			p->sync = f.value != 0;
		}
	}
	TRY(cursor_finish(&c, "BatchProof"));
	ENSURE(previous == 32 && key_id == 8, ERR_PEER,
	       "BatchProof: previous_hash of %zu and key_id of %zu bytes; must be 32 and 8",
	       previous, key_id);
	ENSURE(p->signature_len > 0 && p->signature_len <= 512, ERR_PEER,
	       "BatchProof: signature of %u bytes; must be 1 to 512", (unsigned)p->signature_len);
	ENSURE(p->device_len > 0 && p->device_len <= 64, ERR_PEER,
	       "BatchProof: device of %u bytes; must be 1 to 64", (unsigned)p->device_len);
	return OK;
}

static struct err read_loss(struct cursor c, struct gnmi_loss *l)
{
	struct wire_field f;
	*l = (struct gnmi_loss){.present = true};
	while (wire_next(&c, &f))
		if (f.type == WIRE_VARINT && f.number == 1)
			l->count = f.value;
		else if (f.type == WIRE_VARINT && f.number == 2)
			l->from_seq = f.value;
		else if (f.type == WIRE_VARINT && f.number == 3)
			l->to_seq = f.value;
	return cursor_finish(&c, "LossReport");
}

struct ack {
	bool present;
	uint64_t seq;
	const uint8_t *key_id;
};

static struct err read_ack(struct cursor c, struct ack *a)
{
	struct wire_field f;
	size_t key_id = 0;
	*a = (struct ack){.present = true};
	while (wire_next(&c, &f)) {
		if (f.number == 1 && f.type == WIRE_VARINT) {
			a->seq = f.value;
		} else if (f.number == 2 && f.type == WIRE_BYTES) {
			a->key_id = f.sub.at;
			key_id = cursor_left(&f.sub);
		}
	}
	TRY(cursor_finish(&c, "BatchAck"));
	ENSURE(key_id == 8, ERR_PEER, "BatchAck: key_id of %zu bytes; must be 8", key_id);
	return OK;
}

struct payload {
	struct gnmi_proof *proof;
	struct gnmi_loss *loss;
	struct ack *ack;
};

// GnmiPayload: those kinds that do not belong in this message are passed over.
static struct err read_payload(struct cursor c, const struct payload *into)
{
	struct wire_field f;
	while (wire_next(&c, &f)) {
		if (f.type != WIRE_BYTES)
			continue;
		if (f.number == 1 && into->proof)
			TRY(read_proof(f.sub, into->proof));
		else if (f.number == 2 && into->ack)
			TRY(read_ack(f.sub, into->ack));
		else if (f.number == 3 && into->loss)
			TRY(read_loss(f.sub, into->loss));
	}
	return cursor_finish(&c, "gemel extension");
}

// Extension: 1 registered_ext {1 id, 2 msg}; others are not ours.
static struct err read_extension(struct cursor c, const struct payload *into)
{
	struct wire_field f, g;
	while (wire_next(&c, &f)) {
		if (f.number != 1 || f.type != WIRE_BYTES)
			continue;
		struct cursor registered = f.sub, message = cursor_over("", 0);
		uint64_t id = 0;
		while (wire_next(&registered, &g))
			if (g.number == 1 && g.type == WIRE_VARINT)
				id = g.value;
			else if (g.number == 2 && g.type == WIRE_BYTES)
				message = g.sub;
		TRY(cursor_finish(&registered, "gnmi_ext.RegisteredExtension"));
		if (id == EXPERIMENTAL)
			TRY(read_payload(message, into));
	}
	return cursor_finish(&c, "gnmi_ext.Extension");
}

// --- the message

struct err gnmi_response_read(const uint8_t *message, size_t n, struct gnmi_response *out)
{
	struct cursor c = cursor_over(message, n);
	struct wire_field f;
	memset(out, 0, sizeof *out);
	const struct payload into = {.proof = &out->proof, .loss = &out->loss};
	while (wire_next(&c, &f)) {
		if (f.number == 1 && f.type == WIRE_BYTES) {
			ENSURE(!out->has_notification, ERR_PEER,
			       "SubscribeResponse: two notifications in one message");
			out->has_notification = true;
			out->notification = f.sub;
		} else if (f.number == 3 && f.type == WIRE_VARINT) {
			out->sync_response = f.value != 0;
		} else if (f.number == 5 && f.type == WIRE_BYTES) {
			TRY(read_extension(f.sub, &into));
		}
	}
	TRY(cursor_finish(&c, "SubscribeResponse"));
	ENSURE(!out->proof.present || out->has_notification, ERR_PEER,
	       "SubscribeResponse: a BatchProof without a notification");
	return OK;
}

struct err gnmi_notification_read(struct cursor notification, uint32_t most,
				  struct gnmi_notification *out)
{
	struct cursor c = notification;
	struct wire_field f;
	memset(out, 0, sizeof *out);
	while (wire_next(&c, &f)) {
		if (f.number == 4 && f.type == WIRE_BYTES) {
			out->updates++;
		} else if (f.number == 5 && f.type == WIRE_BYTES) {
			out->deletes++;
		} else if (f.number == 1 && f.type == WIRE_VARINT) {
			out->timestamp_ns = (int64_t)f.value;
		} else if (f.number == 2 && f.type == WIRE_BYTES) {
			out->prefix = f.sub.at;
			out->prefix_len = (uint32_t)cursor_left(&f.sub);
		} else if (f.number == 6 && f.type == WIRE_VARINT) {
			out->atomic = f.value != 0;
		}
	}
	TRY(cursor_finish(&c, "Notification"));
	uint64_t count = (uint64_t)out->updates + out->deletes;
	ENSURE(count <= most, ERR_LIMIT, "Notification: %llu updates and deletes; at most %u",
	       (unsigned long long)count, (unsigned)most);
	out->rest = notification;
	return OK;
}

// --- values

static double decimal(int64_t digits, uint32_t precision)
{
	double power = 1;
	for (uint32_t i = 0; i < precision; i++)
		power *= 10;
	return (double)digits / power;
}

static struct err read_decimal(struct cursor c, struct gnmi_value *out)
{
	struct wire_field f;
	int64_t digits = 0;
	uint64_t precision = 0;
	while (wire_next(&c, &f))
		if (f.number == 1 && f.type == WIRE_VARINT)
			digits = (int64_t)f.value;
		else if (f.number == 2 && f.type == WIRE_VARINT)
			precision = f.value;
	TRY(cursor_finish(&c, "Decimal64"));
	ENSURE(precision <= DECIMAL_PRECISION_MAX, ERR_PEER, "Decimal64: precision above %d",
	       DECIMAL_PRECISION_MAX);
	*out = (struct gnmi_value){.type = GNMI_DOUBLE, .d = decimal(digits, (uint32_t)precision)};
	return OK;
}

// TypedValue's field numbers: what each means, and the wire type that it must have.
static const struct {
	enum gnmi_type type;
	enum wire_type wire;
} value_kinds[15] = {
	[1] = {GNMI_STRING, WIRE_BYTES}, [2] = {GNMI_INT, WIRE_VARINT},
	[3] = {GNMI_UINT, WIRE_VARINT},	 [4] = {GNMI_BOOL, WIRE_VARINT},
	[5] = {GNMI_BYTES, WIRE_BYTES},	 [6] = {GNMI_DOUBLE, WIRE_FIXED32},
	[7] = {GNMI_DOUBLE, WIRE_BYTES}, [8] = {GNMI_LEAFLIST, WIRE_BYTES},
	[9] = {GNMI_ANY, WIRE_BYTES},	 [10] = {GNMI_JSON, WIRE_BYTES},
	[11] = {GNMI_JSON, WIRE_BYTES},	 [12] = {GNMI_STRING, WIRE_BYTES},
	[13] = {GNMI_BYTES, WIRE_BYTES}, [14] = {GNMI_DOUBLE, WIRE_FIXED64},
};

static void value_double(const struct wire_field *f, struct gnmi_value *out)
{
	if (f->type == WIRE_FIXED64) {
		memcpy(&out->d, &f->value, sizeof out->d);
	} else {
		float single;
		uint32_t bits = (uint32_t)f->value;
		memcpy(&single, &bits, sizeof single);
		out->d = (double)single;
	}
}

static struct err value_field(const struct wire_field *f, struct gnmi_value *out)
{
	if (f->number >= 15 || value_kinds[f->number].type == GNMI_NONE)
		return OK; // of a later version
	ENSURE(f->type == value_kinds[f->number].wire, ERR_PEER,
	       "TypedValue: field %u has wire type %u", (unsigned)f->number, (unsigned)f->type);
	out->type = value_kinds[f->number].type;
	if (f->number == 7)
		return read_decimal(f->sub, out);
	if (f->type == WIRE_BYTES) {
		out->s.bytes = f->sub.at;
		out->s.len = (uint32_t)cursor_left(&f->sub);
	} else if (out->type == GNMI_DOUBLE) {
		value_double(f, out);
	} else if (out->type == GNMI_BOOL) {
		out->u = 0;
		out->b = f->value != 0;
	} else {
		out->u = f->value; // also the bits of int_val
	}
	return OK;
}

struct err gnmi_value_read(struct cursor c, struct gnmi_value *out)
{
	struct wire_field f;
	out->type = GNMI_NONE;
	while (wire_next(&c, &f))
		TRY(value_field(&f, out));
	return cursor_finish(&c, "TypedValue");
}

// --- updates

static struct err read_update(struct cursor c, struct gnmi_record *out)
{
	struct wire_field f;
	*out = (struct gnmi_record){.path = c.start};
	while (wire_next(&c, &f)) {
		if (f.number == 1 && f.type == WIRE_BYTES) {
			out->path = f.sub.at;
			out->path_len = (uint32_t)cursor_left(&f.sub);
		} else if (f.number == 3 && f.type == WIRE_BYTES) {
			TRY(gnmi_value_read(f.sub, &out->value));
		} else if (f.number == 4 && f.type == WIRE_VARINT) {
			out->duplicates = (uint32_t)f.value;
		} else if (f.number == 2) {
			return err_make(ERR_PEER,
					"Update: uses the withdrawn field `value`; send `val`");
		}
	}
	return cursor_finish(&c, "Update");
}

struct err gnmi_next(struct gnmi_notification *n, struct gnmi_record *out, bool *more)
{
	struct wire_field f;
	*more = true;
	while (wire_next(&n->rest, &f)) {
		if (f.number == 4 && f.type == WIRE_BYTES)
			return read_update(f.sub, out);
		if (f.number == 5 && f.type == WIRE_BYTES) {
			*out = (struct gnmi_record){.is_delete = true,
						    .path = f.sub.at,
						    .path_len = (uint32_t)cursor_left(&f.sub)};
			return OK;
		}
	}
	*more = false;
	return cursor_finish(&n->rest, "Notification");
}

// --- acknowledgements

struct err gnmi_ack_read(const uint8_t *message, size_t n, bool *is_ack, uint64_t *seq,
			 const uint8_t **key_id)
{
	struct cursor c = cursor_over(message, n);
	struct wire_field f;
	struct ack ack = {0};
	bool other = false;
	const struct payload into = {.ack = &ack};
	*is_ack = false;
	while (wire_next(&c, &f)) {
		if (f.number == 5 && f.type == WIRE_BYTES)
			TRY(read_extension(f.sub, &into));
		else
			other = true;
	}
	TRY(cursor_finish(&c, "SubscribeRequest"));
	if (!ack.present || other)
		return OK;
	*is_ack = true;
	*seq = ack.seq;
	*key_id = ack.key_id;
	return OK;
}
