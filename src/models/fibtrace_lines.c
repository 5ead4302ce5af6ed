// SPDX-License-Identifier: Apache-2.0
// Lines of a plain or zstd file, in bounded memory.
#include "models/fibtrace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { PART = 1 << 18, LINE_MOST = 1 << 20, ZSTD_MAGIC = 4 };

struct lines {
	FILE *file;
	char *name;
	ZSTD_DStream *zstd;		    // NULL: plain
	uint8_t *raw;			    // what was read of the file
	size_t raw_at, raw_len, frame_left; // frame_left: 0 at the end of a zstd frame
	char *text;			    // what was unpacked, LINE_MOST + PART + 1
	size_t at, len;
	unsigned long number;
	bool ended;
};

static struct err raw_fill(struct lines *l)
{
	l->raw_at = 0;
	l->raw_len = fread(l->raw, 1, PART, l->file);
	if (l->raw_len == 0 && ferror(l->file))
		return err_system("%s", l->name);
	return OK;
}

struct err lines_open(const char *path, struct lines **out)
{
	static const uint8_t magic[ZSTD_MAGIC] = {0x28, 0xb5, 0x2f, 0xfd};
	struct lines *l = *out = calloc(1, sizeof *l);
	ENSURE(l, ERR_LIMIT, "out of memory");
	l->raw = malloc(PART);
	l->text = malloc(LINE_MOST + PART + 1);
	l->name = strdup(path);
	ENSURE(l->raw && l->text && l->name, ERR_LIMIT, "out of memory");
	l->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (!l->file)
		return err_system("%s", path);
	TRY(raw_fill(l));
	if (l->raw_len >= ZSTD_MAGIC && memcmp(l->raw, magic, ZSTD_MAGIC) == 0) {
		l->zstd = ZSTD_createDStream();
		ENSURE(l->zstd, ERR_LIMIT, "out of memory");
		ZSTD_DCtx_setParameter(l->zstd, ZSTD_d_windowLogMax, 30);
	}
	return OK;
}

void lines_close(struct lines *l)
{
	if (!l)
		return;
	if (l->file && l->file != stdin)
		fclose(l->file);
	ZSTD_freeDStream(l->zstd);
	free(l->raw);
	free(l->text);
	free(l->name);
	free(l);
}

// Up to PART more bytes behind what is there. *n 0: the file has ended.
static struct err unpack(struct lines *l, size_t *n)
{
	ZSTD_outBuffer to = {l->text + l->len, PART, 0};
	while (to.pos == 0) {
		if (l->raw_at == l->raw_len)
			TRY(raw_fill(l));
		if (l->raw_len == 0) {
			ENSURE(l->frame_left == 0, ERR_USAGE, "%s: the file is cut short", l->name);
			break;
		}
		ZSTD_inBuffer from = {l->raw, l->raw_len, l->raw_at};
		size_t left = ZSTD_decompressStream(l->zstd, &to, &from);
		ENSURE(!ZSTD_isError(left), ERR_USAGE, "%s: %s", l->name, ZSTD_getErrorName(left));
		l->raw_at = from.pos;
		l->frame_left = left;
	}
	*n = to.pos;
	return OK;
}

static struct err fill(struct lines *l)
{
	size_t n = 0;
	memmove(l->text, l->text + l->at, l->len - l->at);
	l->len -= l->at;
	l->at = 0;
	ENSURE(l->len < LINE_MOST, ERR_LIMIT, "%s:%lu: a line of over %d bytes", l->name,
	       l->number + 1, LINE_MOST);
	if (l->zstd) {
		TRY(unpack(l, &n));
	} else {
		if (l->raw_at == l->raw_len)
			TRY(raw_fill(l));
		n = l->raw_len - l->raw_at;
		memcpy(l->text + l->len, l->raw + l->raw_at, n);
		l->raw_at = l->raw_len;
	}
	l->ended = n == 0;
	l->len += n;
	return OK;
}

struct err lines_next(struct lines *l, char **text)
{
	char *end = NULL;
	size_t looked = l->at;
	*text = NULL;
	while (!(end = memchr(l->text + looked, '\n', l->len - looked)) && !l->ended) {
		size_t had = l->len - l->at;
		TRY(fill(l));
		looked = had;
	}
	if (!end && l->at == l->len)
		return OK;
	if (!end)
		end = l->text + l->len;
	*text = l->text + l->at;
	l->at = (size_t)(end - l->text) + (end < l->text + l->len);
	*end = 0;
	l->number++;
	ENSURE(strlen(*text) == (size_t)(end - *text), ERR_USAGE, "%s:%lu: a zero byte in the line",
	       l->name, l->number);
	return OK;
}

unsigned long lines_number(const struct lines *l)
{
	return l->number;
}

const char *lines_name(const struct lines *l)
{
	return l->name;
}
