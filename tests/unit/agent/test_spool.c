// SPDX-License-Identifier: Apache-2.0
#include "agent/spool.h"
#include "test_agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 64 << 10, PAYLOAD = 1000, A_SEGMENT = LIMIT / SPOOL_SEGMENTS };

static char folder[64];
static int dir = -1;
static struct spool *s;
static const uint8_t key[8] = "keykey01", other[8] = "keykey02";

static void reopen(void)
{
	spool_close(s);
	s = NULL;
	assert_good(spool_open(dir, LIMIT, &s));
}

static int make(void **state)
{
	strcpy(folder, "/tmp/gemel-spool-XXXXXX");
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	reopen();
	return 0;
}

static int clear(void **state)
{
	spool_close(s);
	s = NULL;
	DIR *d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dir, e->d_name, 0);
	closedir(d);
	close(dir);
	return rmdir(folder);
}

static void append(const uint8_t id[8], uint64_t seq, size_t n)
{
	static uint8_t payload[1 << 16];
	memset(payload, (int)seq, n);
	struct spool_record r = {.kind = SPOOL_BATCH,
				 .len = (uint32_t)n,
				 .updates = 10,
				 .seq = seq,
				 .bytes = payload};
	memcpy(r.key_id, id, 8);
	assert_good(spool_append(s, &r));
}

static void append_key(const uint8_t id[8])
{
	struct spool_record r = {.kind = SPOOL_KEY, .len = 8, .bytes = id};
	memcpy(r.key_id, id, 8);
	assert_good(spool_append(s, &r));
}

// The sequence numbers from a place on: "1 2 K 3".
static const char *read_from(struct spool_place at, struct spool_place *end)
{
	static char text[65536];
	scoped(buf) struct buf bytes = {0};
	struct spool_record r;
	bool more = true;
	text[0] = 0;
	while (more) {
		struct err e = spool_next(s, &at, &bytes, &r, &more);
		if (e.code == ERR_CORRUPT) {
			strcat(text, "! ");
			continue;
		}
		assert_good(e);
		if (!more)
			break;
		if (r.kind == SPOOL_KEY)
			strcat(text, "K ");
		else
			sprintf(text + strlen(text), "%d ", (int)r.seq);
		for (uint32_t i = 0; r.kind == SPOOL_BATCH && i < r.len; i++)
			assert_int_equal(r.bytes[i], (uint8_t)r.seq);
	}
	if (end)
		*end = at;
	return text;
}

static struct spool_counts counts(void)
{
	struct spool_counts c;
	spool_count(s, &c);
	return c;
}

static void test_in_order_until_acknowledged(void **state)
{
	struct spool_place end;
	append_key(key);
	for (uint64_t i = 1; i <= 10; i++)
		append(key, i, PAYLOAD);
	assert_string_equal(read_from(spool_unacked(s), &end), "K 1 2 3 4 5 6 7 8 9 10 ");
	assert_int_equal(counts().batches, 10);
	assert_good(spool_ack(s, &end, key, 4));
	assert_string_equal(read_from(spool_unacked(s), NULL), "5 6 7 8 9 10 ");
	assert_int_equal(counts().batches, 6);
	reopen();
	assert_string_equal(read_from(spool_unacked(s), NULL), "5 6 7 8 9 10 ");
	assert_int_equal(spool_acked(s), 5); // the key is a record too
	append(key, 11, PAYLOAD);
	assert_string_equal(read_from(spool_unacked(s), &end), "5 6 7 8 9 10 11 ");
	assert_good(spool_ack(s, &end, key, 11));
	assert_string_equal(read_from(spool_unacked(s), NULL), "");
	assert_int_equal(counts().batches, 0);
	assert_int_equal(counts().bytes, 0);
}

static void test_only_what_was_sent_can_be_acknowledged(void **state)
{
	scoped(buf) struct buf bytes = {0};
	struct spool_record r;
	bool more;
	append(key, 1, PAYLOAD);
	append(key, 2, PAYLOAD);
	struct spool_place sent = spool_unacked(s);
	assert_good(spool_next(s, &sent, &bytes, &r, &more));
	assert_bad(ERR_NOT_FOUND, "batch 2", spool_ack(s, &sent, key, 2));
	assert_bad(ERR_NOT_FOUND, NULL, spool_ack(s, &sent, other, 1));
	assert_good(spool_ack(s, &sent, key, 1));
	assert_bad(ERR_NOT_FOUND, NULL, spool_ack(s, &sent, key, 1)); // twice
	assert_string_equal(read_from(spool_unacked(s), NULL), "2 ");
}

static void test_the_oldest_goes_when_it_is_full(void **state)
{
	struct spool_place end;
	append_key(key);
	for (uint64_t i = 1; i <= 200; i++)
		append(key, i, PAYLOAD);
	struct spool_counts c = counts();
	assert_true(c.lost_batches > 0 && c.batches + c.lost_batches == 200);
	assert_int_equal(c.lost_updates, c.lost_batches * 10);
	assert_true(c.bytes <= LIMIT);
	assert_int_equal(c.lost_to, c.lost_batches); // from the beginning on, without a hole
	const char *left = read_from(spool_unacked(s), &end);
	assert_int_equal(atoi(left), (int)c.lost_to + 1);
	assert_non_null(strstr(left, "200 "));
	assert_true(spool_acked(s) + 1 < c.lost_to); // the reader sees the hole by the numbers
	assert_good(spool_ack(s, &end, key, 200));
	assert_int_equal(counts().batches, 0);
}

static void test_keys_are_found(void **state)
{
	scoped(buf) struct buf out = {0};
	struct spool_place end;
	append_key(key);
	append(key, 1, PAYLOAD);
	append_key(other);
	append(other, 1, PAYLOAD);
	read_from(spool_unacked(s), &end);
	assert_good(spool_ack(s, &end, key, 1));
	assert_good(spool_key(s, other, &out));
	assert_memory_equal(out.data, other, 8);
	assert_bad(ERR_NOT_FOUND, NULL, spool_key(s, (const uint8_t *)"nokeynok", &out));
}

static void file_of(uint64_t segment, char name[8])
{
	snprintf(name, 8, "%02d", (int)(segment % SPOOL_SEGMENTS));
}

// Power went in the middle of the second record.
static void torn_at(off_t cut)
{
	char name[8];
	struct stat st;
	append(key, 1, PAYLOAD);
	append(key, 2, PAYLOAD);
	file_of(spool_unacked(s).segment, name);
	assert_int_equal(fstatat(dir, name, &st, 0), 0);
	scoped(fd) int fd = openat(dir, name, O_RDWR);
	assert_int_equal(ftruncate(fd, st.st_size - cut), 0);
	reopen();
	assert_string_equal(read_from(spool_unacked(s), NULL), "1 ");
	assert_int_equal(counts().batches, 1);
	append(key, 3, PAYLOAD); // never behind the torn one
	assert_string_equal(read_from(spool_unacked(s), NULL), "1 3 ");
}

static void test_a_torn_record_ends_its_segment(void **state)
{
	for (off_t cut = 1; cut < PAYLOAD + SPOOL_HEAD; cut += 97) {
		torn_at(cut);
		clear(state);
		make(state);
	}
}

static void test_a_changed_byte_is_seen(void **state)
{
	char name[8];
	uint8_t byte;
	append(key, 1, PAYLOAD);
	append(key, 2, PAYLOAD);
	file_of(spool_unacked(s).segment, name);
	int fd = openat(dir, name, O_RDWR);
	off_t at = 16 + SPOOL_HEAD + 500;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	assert_string_equal(read_from(spool_unacked(s), NULL), "! "); // and what follows it
	append(key, 3, PAYLOAD);
	append(key, 4, A_SEGMENT - 200); // the next segment is whole
	assert_non_null(strstr(read_from(spool_unacked(s), NULL), "4 "));
}

static void test_one_record(void **state)
{
	uint8_t bytes[16384];
	struct spool_record r;
	char name[8];
	append(key, 7, 100);
	file_of(spool_unacked(s).segment, name);
	int fd = openat(dir, name, O_RDONLY);
	ssize_t n = pread(fd, bytes, sizeof bytes, 16);
	close(fd);
	assert_int_equal(n, SPOOL_HEAD + 100);
	struct cursor c = cursor_over(bytes, (size_t)n);
	assert_good(spool_record_read(&c, &r));
	assert_int_equal(r.seq, 7);
	for (size_t cut = 0; cut < (size_t)n; cut++) {
		c = cursor_over(bytes, cut);
		assert_bad(ERR_CORRUPT, NULL, spool_record_read(&c, &r));
	}
	for (size_t bit = 0; bit < (size_t)n * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		c = cursor_over(bytes, (size_t)n);
		assert_bad(ERR_CORRUPT, NULL, spool_record_read(&c, &r));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_bounds(void **state)
{
	static uint8_t big[1 << 16];
	const struct spool_record r = {.kind = SPOOL_BATCH, .len = A_SEGMENT, .bytes = big};
	assert_bad(ERR_LIMIT, "too large", spool_append(s, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order_until_acknowledged, make, clear),
		cmocka_unit_test_setup_teardown(test_only_what_was_sent_can_be_acknowledged, make,
						clear),
		cmocka_unit_test_setup_teardown(test_the_oldest_goes_when_it_is_full, make, clear),
		cmocka_unit_test_setup_teardown(test_keys_are_found, make, clear),
		cmocka_unit_test_setup_teardown(test_a_torn_record_ends_its_segment, make, clear),
		cmocka_unit_test_setup_teardown(test_a_changed_byte_is_seen, make, clear),
		cmocka_unit_test_setup_teardown(test_one_record, make, clear),
		cmocka_unit_test_setup_teardown(test_bounds, make, clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
