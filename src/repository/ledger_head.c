// SPDX-License-Identifier: Apache-2.0
// The signed head. At most once a second what the journal holds is staged as tiles, its checkpoint
// is signed by keys, the tiles are published, the checkpoint is renamed into place, and only then
// is it shown to anybody: a head that is seen can always be proved. Beside it lies `keys`, the
// verifier keys under which it was made, so that a copy of the folder can be checked by itself.
// X.2011 8.3.3-9, 9.1-ledger.
#include "repository/ledger_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/sealedfile.h"
#include "lib/ipc/messages.pb-c.h"
#include "repository/ledger_witness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t head_every = NS_PER_S, sign_patience = 5 * NS_PER_S;
enum { CATCH_UP = 65536 };

// --- what is there at the start

struct err ledger_head_open(struct ledger *l, const char *note, size_t n)
{
	l->head_note.limit = l->served.text.limit = l->witnessed.text.limit = NOTE_MAX;
	buf_append(&l->head_note, note, n);
	buf_append(&l->served.text, note, n);
	l->served.size = l->head.size;
	l->log_note_len = n;
	TRY(buf_check(&l->served.text, "checkpoint"));
	return ledger_witness_open(l);
}

void ledger_head_close(struct ledger *l)
{
	buf_clear(&l->next_text);
	buf_clear(&l->head_note);
	buf_clear(&l->served.text);
	buf_clear(&l->witnessed.text);
}

// One line of `keys`. *more false: at the end.
static struct err next_key(const char **at, struct note_key *k, bool *more)
{
	char line[2 * NOTE_NAME_MAX];
	const char *end = strchr(*at, '\n');
	*more = **at != 0;
	if (!*more)
		return OK;
	ENSURE(end && (size_t)(end - *at) < sizeof line, ERR_CORRUPT, "a line of keys is cut");
	memcpy(line, *at, (size_t)(end - *at));
	line[end - *at] = 0;
	*at = end + 1;
	struct err e = note_key_parse(line, k);
	return e.code == ERR_NONE ? OK : err_make(ERR_CORRUPT, "keys: %s", e.text);
}

static struct err check_signatures(const char *keys, const struct buf *checkpoint,
				   struct checkpoint *out)
{
	struct note_key k;
	struct note note;
	bool more, signed_;
	TRY(next_key(&keys, &k, &more));
	ENSURE(more, ERR_CORRUPT, "keys: empty");
	struct err e = checkpoint_open((const char *)checkpoint->data, checkpoint->len, k.name, &k,
				       &note, out);
	size_t lines = 1;
	while (e.code == ERR_NONE) { // the log's own, then each witness's
		TRY(next_key(&keys, &k, &more));
		if (!more)
			break;
		e = note_verify(&note, &k, &signed_, NULL);
		lines += e.code == ERR_NONE && signed_;
	}
	ENSURE(e.code == ERR_NONE, ERR_CORRUPT, "checkpoint: %s", e.text);
	ENSURE(lines == note.n, ERR_CORRUPT, "checkpoint: a signature is of none of the keys");
	return OK;
}

// `keys` is written after the first checkpoint: a checkpoint without it was cut off there (or it
// was taken away, which only a copy without its process minds), it without a checkpoint never is.
struct err ledger_head_signatures(struct ledger *l, const struct buf *note, struct checkpoint *out)
{
	scoped(buf) struct buf keys = {.limit = NOTE_MAX};
	struct err e = tiles_fetch_folder(&l->folder, "keys", &keys);
	bool none = e.code == ERR_NOT_FOUND;
	if (!none)
		TRY(e);
	ENSURE(none || note->len, ERR_CORRUPT, "the checkpoint is missing");
	ENSURE(!none || !note->len || !l->r->offline, ERR_CORRUPT,
	       "keys, beside the checkpoint, is missing");
	return none ? OK : check_signatures(buf_text(&keys), note, out);
}

struct err ledger_head_check(struct ledger *l)
{
	scoped(buf) struct buf note = {.limit = NOTE_MAX};
	struct checkpoint c = l->head;
	struct err e = tiles_fetch_folder(&l->folder, "checkpoint", &note);
	if (e.code == ERR_NOT_FOUND && !l->head.size)
		return OK;
	ENSURE(e.code != ERR_NOT_FOUND, ERR_CORRUPT,
	       "the checkpoint of %" PRIu64 " entries is missing", l->head.size);
	TRY(e);
	TRY(ledger_head_signatures(l, &note, &c));
	ENSURE(c.size == l->head.size && merkle_equal(&c.root, &l->head.root), ERR_CORRUPT,
	       "the checkpoint on disk is of %" PRIu64 " entries; the one last signed of %" PRIu64,
	       c.size, l->head.size);
	return OK;
}

// --- keys

static void add_key(struct buf *out, const struct note_key *k)
{
	note_key_format(k, out);
	buf_str(out, "\n");
}

// A witness that is no longer configured, and whose cosignature is in the present head.
static struct err add_former(struct ledger *l, struct buf *out)
{
	scoped(buf) struct buf old = {.limit = NOTE_MAX};
	struct note note;
	struct err e = tiles_fetch_folder(&l->folder, "keys", &old);
	if (e.code == ERR_NOT_FOUND || !l->head_note.len)
		return OK;
	TRY(e);
	TRY(note_parse((const char *)l->head_note.data, l->head_note.len, &note));
	const char *at = buf_text(&old);
	for (bool more = true; more;) {
		struct note_key k;
		bool known = false, signed_ = false;
		TRY(next_key(&at, &k, &more));
		for (unsigned i = 0; more && i < l->n_witnesses; i++)
			known |= !memcmp(k.public, l->witnesses[i].key.public, NOTE_PUBLIC);
		if (!more || known || k.type != NOTE_COSIGNATURE)
			continue;
		TRY(note_verify(&note, &k, &signed_, NULL));
		if (signed_)
			add_key(out, &k);
	}
	return OK;
}

static struct err write_keys(struct ledger *l)
{
	scoped(buf) struct buf b = {.limit = NOTE_MAX};
	add_key(&b, &l->key);
	for (unsigned i = 0; i < l->n_witnesses; i++)
		add_key(&b, &l->witnesses[i].key);
	TRY(add_former(l, &b));
	TRY(buf_check(&b, "keys"));
	return sealedfile_replace(l->folder, "keys", b.data, b.len);
}

void ledger_keys(struct ledger *l, const uint8_t public_key[32])
{
	struct note note;
	struct checkpoint c;
	if (l->broken || l->r->offline)
		return;
	struct err e = note_key_make(l->r->conf->name, NOTE_ED25519, public_key, &l->key);
	if (e.code == ERR_NONE && l->head.size) {
		e = checkpoint_open((const char *)l->head_note.data, l->head_note.len,
				    l->r->conf->name, &l->key, &note, &c);
		if (e.code != ERR_NONE) {
			ledger_break(l, err_within(err_make(ERR_CORRUPT, "%s", e.text),
						   "the checkpoint is not of this ledger's key"));
			return;
		}
		ledger_witness_known(l, &note);
		e = write_keys(l);
	}
	if (e.code == ERR_NONE)
		l->have_key = true;
	else
		log_error("ledger: the checkpoint key: %s", e.text);
}

struct err ledger_vkey(struct ledger *l, struct buf *out)
{
	ENSURE(l->have_key, ERR_BUSY, "keys has not given the ledger's key yet");
	note_key_format(&l->key, out);
	buf_str(out, "\n");
	return buf_check(out, "verifier key");
}

// --- a new head

static struct err sign(struct ledger *l)
{
	scoped(buf) struct buf message = {.limit = NOTE_MAX};
	TRY(tiles_stage(l->tiles));
	l->next = (struct checkpoint){.size = tiles_size(l->tiles)};
	snprintf(l->next.origin, sizeof l->next.origin, "%s", l->r->conf->name);
	tiles_root(l->tiles, &l->next.root);
	buf_reset(&l->next_text);
	checkpoint_format(&l->next, &l->next_text);
	note_message(&l->key, 0, (const char *)l->next_text.data, l->next_text.len, &message);
	TRY(buf_check(&l->next_text, "checkpoint"));
	TRY(buf_check(&message, "checkpoint"));
	Ipc__KeySign m = IPC__KEY_SIGN__INIT;
	m.id = l->next_id;
	m.purpose = IPC__KEY_PURPOSE__KEY_CHECKPOINT;
	m.message.data = message.data;
	m.message.len = message.len;
	TRY(process_send(l->r->p, PROCESS_KEYS, IPC_KEY_SIGN, &m.base));
	l->sign_id = l->next_id++;
	l->sign_ns = clock_mono_ns();
	return OK;
}

static struct err adopt(struct ledger *l, const uint8_t *signature)
{
	scoped(buf) struct buf note = {.limit = NOTE_MAX};
	struct note parsed;
	struct checkpoint c;
	buf_append(&note, l->next_text.data, l->next_text.len);
	buf_str(&note, "\n");
	note_line(&l->key, 0, signature, &note);
	TRY(buf_check(&note, "checkpoint"));
	TRY(checkpoint_open((const char *)note.data, note.len, l->key.name, &l->key, &parsed, &c));
	TRY(tiles_publish(l->tiles));
	TRY(tiles_checkpoint(l->tiles, note.data, note.len));
	if (!l->head.size)
		TRY(write_keys(l));
	l->head = l->next;
	tiles_reader_grow(l->reader, l->head.size);
	buf_reset(&l->head_note);
	buf_append(&l->head_note, note.data, note.len);
	l->last_head_ns = clock_mono_ns();
	return ledger_witness_round(l);
}

struct err ledger_signed(struct ledger *l, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__KeySigned *m = IPC_UNPACK(key_signed, msg, l->r->p->scratch, &e);
	if (!m)
		return e;
	if (m->id != l->sign_id || !m->id || l->broken)
		return OK; // given up meanwhile
	l->sign_id = 0;
	if (*m->error || m->signature.len != NOTE_SIGNATURE)
		e = err_make(ERR_PEER, "%s",
			     *m->error ? m->error : "a signature of another length");
	else
		e = adopt(l, m->signature.data);
	if (e.code == ERR_CONFLICT) { // another writer, or tiles of another history
		ledger_break(l, err_make(ERR_CORRUPT, "%s", e.text));
	} else if (e.code != ERR_NONE) {
		l->sign_again_ns = clock_mono_ns() + sign_patience;
		log_error("ledger: the head is not signed: %s", e.text);
	}
	return OK;
}

void ledger_peer_gone(struct ledger *l, enum process_id peer)
{
	if (peer == PROCESS_KEYS)
		l->sign_id = 0;
	if (peer == PROCESS_NORTHBOUND)
		ledger_witness_forget(l);
}

static bool head_due(const struct ledger *l, int64_t now)
{
	return l->have_key && l->r->p->peers[PROCESS_KEYS] && !l->sign_id &&
	       tiles_size(l->tiles) > tiles_published(l->tiles) && now >= l->sign_again_ns &&
	       now - l->last_head_ns >= head_every && !ledger_witness_waiting(l);
}

struct err ledger_tick(struct ledger *l)
{
	int64_t now = clock_mono_ns();
	if (l->broken || !l->tiles || l->r->offline)
		return OK;
	if (l->sign_id && now - l->sign_ns > sign_patience)
		l->sign_id = 0;
	ledger_witness_tick(l);
	TRY(ledger_tree_catch_up(l, CATCH_UP));
	if (!head_due(l, now))
		return OK;
	if (l->synced < l->size) // no head over what a power cut could take back
		TRY(ingest_sync(l->r));
	struct err e = sign(l);
	if (e.code == ERR_BUSY)
		return OK; // keys is away
	if (e.code == ERR_CORRUPT || e.code == ERR_CONFLICT) {
		ledger_break(l, err_make(ERR_CORRUPT, "%s", e.text));
		return OK;
	}
	return e;
}

// --- what is handed out

struct err ledger_serve(struct ledger *l, bool witnessed)
{
	struct ledger_served *const list[] = {&l->served, &l->witnessed};
	for (int i = 0; i < 1 + witnessed; i++) {
		buf_reset(&list[i]->text);
		buf_append(&list[i]->text, l->head_note.data, l->head_note.len);
		list[i]->size = l->head.size;
		TRY(buf_check(&list[i]->text, "checkpoint"));
	}
	return OK;
}

const char *ledger_checkpoint(struct ledger *l)
{
	return buf_text(&l->served.text);
}

uint64_t ledger_checkpoint_size(const struct ledger *l)
{
	return l->served.size;
}
