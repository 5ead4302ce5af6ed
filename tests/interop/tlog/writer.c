// SPDX-License-Identifier: Apache-2.0
// Writes a log of entries with lib/tlog's writer, as the repository does: in rounds, with a signed
// and cosigned checkpoint after each. Prints the witness's verifier key.
//
// usage: tlog_writer FOLDER ENTRIES ROUND

#include "lib/crypto/sign.h"
#include "lib/crypto/sealedfile.h"
#include "lib/tlog/tiles.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	struct sign_key *key[2];
	struct note_signer log, witness;
	struct tiles *tiles;
	int folder;
};

static struct err sign(void *ctx, const void *message, size_t n, uint8_t out[NOTE_SIGNATURE])
{
	struct sign_signature s;
	TRY(sign_make(ctx, message, n, &s));
	memcpy(out, s.bytes, NOTE_SIGNATURE);
	return OK;
}

static struct err signer(struct writer *w, int i, const char *name, enum note_type type,
			 struct note_signer *out)
{
	TRY(sign_key_generate(SIGN_ED25519, &w->key[i]));
	out->sign = sign;
	out->ctx = w->key[i];
	return note_key_make(name, type, sign_key_public(w->key[i])->bytes, &out->key);
}

static struct err publish(struct writer *w)
{
	struct checkpoint c = {.size = tiles_size(w->tiles)};
	scoped(buf) struct buf text = {0}, note = {0};
	strcpy(c.origin, w->log.key.name);
	tiles_root(w->tiles, &c.root);
	checkpoint_format(&c, &text);
	buf_append(&note, text.data, text.len);
	buf_u8(&note, '\n');
	TRY(note_sign(&w->log, 0, buf_text(&text), text.len, &note));
	TRY(note_sign(&w->witness, 1700000000 + c.size, buf_text(&text), text.len, &note));
	TRY(tiles_stage(w->tiles));
	TRY(tiles_publish(w->tiles));
	return tiles_checkpoint(w->tiles, note.data, note.len);
}

static struct err run(struct writer *w, const char *folder, uint64_t entries, uint64_t round)
{
	scoped(buf) struct buf vkey = {0}, witness = {0};
	w->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->folder < 0)
		return err_system("%s", folder);
	TRY(signer(w, 0, "twin.example/log", NOTE_ED25519, &w->log));
	TRY(signer(w, 1, "witness.example/w1", NOTE_COSIGNATURE, &w->witness));
	TRY(tiles_open(w->folder, 0, NULL, TILES_NO_SYNC, &w->tiles));
	for (uint64_t i = 0; i < entries; i++) {
		char entry[400];
		int n = snprintf(entry, sizeof entry, "entry %llu %.*s", (unsigned long long)i,
				 (int)(i % 300),
				 "................................................................"
				 "................................................................"
				 "................................................................"
				 "................................................................"
				 "................................................");
		TRY(tiles_append(w->tiles, entry, i % 50 == 7 ? 0 : (size_t)n));
		if (i % round == round - 1)
			TRY(publish(w));
	}
	TRY(publish(w));
	note_key_format(&w->log.key, &vkey);
	buf_u8(&vkey, '\n');
	TRY(sealedfile_replace(w->folder, "vkey", vkey.data, vkey.len));
	note_key_format(&w->witness.key, &witness);
	printf("%s\n", buf_text(&witness));
	return OK;
}

int main(int argc, char **argv)
{
	struct writer w = {.folder = -1};
	if (argc != 4) {
		fprintf(stderr, "usage: %s FOLDER ENTRIES ROUND\n", argv[0]);
		return 2;
	}
	struct err e = run(&w, argv[1], strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	if (e.code != ERR_NONE)
		fprintf(stderr, "%s\n", e.text);
	tiles_close(w.tiles);
	sign_key_free(w.key[0]);
	sign_key_free(w.key[1]);
	scoped_fd(&w.folder);
	return e.code != ERR_NONE;
}
