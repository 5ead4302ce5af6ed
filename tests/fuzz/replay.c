// SPDX-License-Identifier: Apache-2.0
// Runs one fuzz target over its seeds: each as it is, with every bit flipped, and cut at every
// length (large seeds in strides, so that a run stays short). A crash or a sanitizer's report is the
// failure; the target itself asserts what must hold of accepted input.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_VARIANTS = 20000 };

static size_t replay(const uint8_t *seed, size_t n)
{
	size_t runs = 1;
	uint8_t *copy = malloc(n + 1);
	if (!copy)
		abort();
	memcpy(copy, seed, n);
	LLVMFuzzerTestOneInput(copy, n);
	size_t bits = n * 8, stride = bits / MOST_VARIANTS + 1;
	for (size_t bit = 0; bit < bits; bit += stride, runs++) {
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		LLVMFuzzerTestOneInput(copy, n);
		copy[bit / 8] = seed[bit / 8];
	}
	for (size_t cut = 0; cut < n; cut += n / MOST_VARIANTS + 1, runs++) {
		uint8_t *exact = malloc(cut ? cut : 1); // its own block: a read past it is seen
		if (!exact)
			abort();
		memcpy(exact, seed, cut);
		LLVMFuzzerTestOneInput(exact, cut);
		free(exact);
	}
	free(copy);
	return runs;
}

static size_t replay_file(const char *folder, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		exit(1);
	}
	static uint8_t bytes[1 << 20];
	size_t n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	return replay(bytes, n);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s SEED-FOLDER\n", argv[0]);
		return 2;
	}
	DIR *d = opendir(argv[1]);
	if (!d) {
		perror(argv[1]);
		return 1;
	}
	size_t seeds = 0, runs = 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.') {
			runs += replay_file(argv[1], e->d_name);
			seeds++;
		}
	closedir(d);
	printf("%zu seeds, %zu inputs\n", seeds, runs);
	return seeds ? 0 : 1; // a target without a seed is not tested
}
