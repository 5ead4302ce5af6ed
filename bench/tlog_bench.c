// SPDX-License-Identifier: Apache-2.0
// How fast a ledger grows: entries of 300 bytes in rounds of 1 to 4,096, each round as the
// repository does it (journal appended and synced, tiles staged and published, head signed,
// checkpoint renamed), with the tiles synced or left to the journal. Then how fast it is verified
// whole, and proved. Prints "name value unit" lines.
//
// usage: tlog_bench [SECONDS each]

#include "lib/base/clock.h"
#include "lib/crypto/sign.h"
#include "lib/tlog/tiles.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRY = 300, PROOFS = 20000 };

struct bench {
	char path[64];
	int folder, journal;
	struct sign_key *key;
	struct note_signer signer;
	struct tiles *tiles;
	struct checkpoint head;
};

static struct err sign(void *ctx, const void *message, size_t n, uint8_t out[NOTE_SIGNATURE])
{
	struct sign_signature s;
	TRY(sign_make(ctx, message, n, &s));
	memcpy(out, s.bytes, NOTE_SIGNATURE);
	return OK;
}

static struct err start(struct bench *b, enum tiles_sync sync)
{
	snprintf(b->path, sizeof b->path, "gemel-bench-XXXXXX");
	if (!mkdtemp(b->path))
		return err_system("%s", b->path);
	b->folder = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b->journal = openat(b->folder, "journal", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (b->folder < 0 || b->journal < 0)
		return err_system("%s", b->path);
	TRY(sign_key_generate(SIGN_ED25519, &b->key));
	b->signer.sign = sign;
	b->signer.ctx = b->key;
	TRY(note_key_make("twin.example/log", NOTE_ED25519, sign_key_public(b->key)->bytes,
			  &b->signer.key));
	return tiles_open(b->folder, 0, NULL, sync, &b->tiles);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *w)
{
	return remove(path);
}

static void finish(struct bench *b)
{
	tiles_close(b->tiles);
	sign_key_free(b->key);
	scoped_fd(&b->journal);
	scoped_fd(&b->folder);
	nftw(b->path, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static struct err publish(struct bench *b)
{
	scoped(buf) struct buf text = {0}, note = {0};
	b->head = (struct checkpoint){.origin = "twin.example/log", .size = tiles_size(b->tiles)};
	tiles_root(b->tiles, &b->head.root);
	checkpoint_format(&b->head, &text);
	TRY(tiles_stage(b->tiles));
	buf_append(&note, text.data, text.len);
	buf_u8(&note, '\n');
	TRY(note_sign(&b->signer, 0, buf_text(&text), text.len, &note));
	TRY(tiles_publish(b->tiles));
	return tiles_checkpoint(b->tiles, note.data, note.len);
}

static struct err round_of(struct bench *b, size_t batch, struct buf *journal)
{
	buf_reset(journal);
	for (size_t i = 0; i < batch; i++) {
		uint8_t entry[ENTRY] = {1};
		uint64_t index = tiles_size(b->tiles);
		memcpy(entry + 8, &index, sizeof index);
		buf_append(journal, entry, sizeof entry);
		TRY(tiles_append(b->tiles, entry, sizeof entry));
	}
	TRY(buf_check(journal, "journal"));
	if (write(b->journal, journal->data, journal->len) != (ssize_t)journal->len ||
	    fdatasync(b->journal) != 0)
		return err_system("journal");
	return publish(b);
}

static double seconds_since(int64_t begin)
{
	return (double)(clock_mono_ns() - begin) / NS_PER_S;
}

static struct err appends(size_t batch, enum tiles_sync sync, double most)
{
	scoped(buf) struct buf journal = {0};
	struct bench b = {.folder = -1, .journal = -1};
	struct err e = start(&b, sync);
	int64_t begin = clock_mono_ns();
	while (e.code == ERR_NONE && seconds_since(begin) < most)
		e = round_of(&b, batch, &journal);
	if (e.code == ERR_NONE)
		printf("ledger_tiles_appends_per_s{batch=%zu,tiles=%s} %.0f 1/s\n", batch,
		       sync == TILES_SYNC ? "synced" : "unsynced",
		       (double)tiles_size(b.tiles) / seconds_since(begin));
	fflush(stdout);
	finish(&b);
	return e;
}

static struct err verify(struct bench *b)
{
	const struct tiles_fetch fetch = {tiles_fetch_folder, &b->folder};
	struct tiles_check check = {0};
	struct tiles_reader *r;
	struct merkle_proof proof;
	bool finished = false;
	TRY(tiles_reader_new(&fetch, b->head.size, &r));
	int64_t begin = clock_mono_ns();
	struct err e = tiles_check_step(&check, r, &b->head, 1, UINT64_MAX, &finished);
	if (e.code == ERR_NONE)
		printf("ledger_check_entries_per_s %.0f 1/s\n",
		       (double)b->head.size / seconds_since(begin));
	begin = clock_mono_ns();
	for (uint64_t i = 0; e.code == ERR_NONE && i < PROOFS; i++)
		e = tiles_prove(r, &b->head, i * 7919 % b->head.size, &proof);
	if (e.code == ERR_NONE)
		printf("ledger_proofs_per_s %.0f 1/s\n", PROOFS / seconds_since(begin));
	tiles_reader_free(r);
	return e;
}

static struct err verifications(void)
{
	scoped(buf) struct buf journal = {0};
	struct bench b = {.folder = -1, .journal = -1};
	struct err e = start(&b, TILES_NO_SYNC);
	for (int i = 0; e.code == ERR_NONE && i < 64; i++)
		e = round_of(&b, 4096, &journal);
	if (e.code == ERR_NONE)
		e = verify(&b);
	finish(&b);
	return e;
}

int main(int argc, char **argv)
{
	static const size_t batches[] = {1, 16, 256, 4096};
	double most = argc > 1 ? strtod(argv[1], NULL) : 2;
	struct err e = OK;
	for (size_t i = 0; e.code == ERR_NONE && i < 4; i++) {
		e = appends(batches[i], TILES_NO_SYNC, most);
		if (e.code == ERR_NONE)
			e = appends(batches[i], TILES_SYNC, most);
	}
	if (e.code == ERR_NONE)
		e = verifications();
	if (e.code != ERR_NONE)
		fprintf(stderr, "tlog_bench: %s\n", e.text);
	return e.code != ERR_NONE;
}
