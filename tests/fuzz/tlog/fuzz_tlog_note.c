// SPDX-License-Identifier: Apache-2.0
// Signed notes and witnesses' lines, verified by a known key of each type.

#include "lib/tlog/note.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void verify(const struct note *note, const struct note_key *keys, size_t n)
{
	unsigned count = 0;
	struct err e = note_count(note, keys, n, &count);
	if (e.code != ERR_NONE && e.code != ERR_AUTH)
		abort();
	if (count > note->n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct note_key keys[2];
	const char *bytes = (const char *)data;
	struct note note;
	if (!keys[0].name[0]) {
		const char *vkey =
			"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
		if (note_key_parse(vkey, &keys[0]).code ||
		    note_key_make("PeterNeumann", NOTE_COSIGNATURE, keys[0].public, &keys[1]).code)
			abort();
	}
	struct err e = note_parse(bytes, size, &note);
	if (e.code == ERR_NONE) {
		if (note.n == 0 || note.text_len == 0 || note.text[note.text_len - 1] != '\n')
			abort();
		verify(&note, keys, 2);
	} else if (e.code != ERR_PEER) {
		abort();
	}
	e = note_parse_lines(bytes, size, "text\n", 5, &note);
	if (e.code == ERR_NONE)
		verify(&note, keys, 2);
	else if (e.code != ERR_PEER)
		abort();
	char *text = strndup(bytes, size);
	struct note_key k;
	if (note_key_parse(text, &k).code == ERR_NONE && strlen(k.name) > NOTE_NAME_MAX)
		abort();
	free(text);
	return 0;
}
