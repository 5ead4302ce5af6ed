// SPDX-License-Identifier: Apache-2.0
// Atoms: the intervals of destination addresses, their index and their rows in the matrix.
#include "models/fib_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BUCKETS = 65536, BUCKET_FIRST = 4, ATOMS_MOST = 1 << 28 };

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void release(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

// --- index

static void bucket_mark(struct fib *f, uint32_t b, bool any)
{
	uint64_t bit0 = 1ull << (b & 63), bit1 = 1ull << (b >> 6 & 63);
	if (any) {
		f->bits0[b >> 6] |= bit0;
		f->bits1[b >> 12] |= bit1;
	} else {
		f->bits0[b >> 6] &= ~bit0;
		if (!f->bits0[b >> 6])
			f->bits1[b >> 12] &= ~bit1;
	}
}

// The last bucket below `b` that has an atom. Atom 0 begins at address 0, so there is one.
static uint32_t bucket_before(const struct fib *f, uint32_t b)
{
	uint64_t word = f->bits0[b >> 6] & ((1ull << (b & 63)) - 1);
	if (word)
		return (b & ~63u) + 63 - (uint32_t)__builtin_clzll(word);
	uint32_t group = b >> 6;
	word = f->bits1[group >> 6] & ((1ull << (group & 63)) - 1);
	uint32_t top = group >> 6;
	while (!word && top)
		word = f->bits1[--top];
	group = top * 64 + 63 - (uint32_t)__builtin_clzll(word);
	return group * 64 + 63 - (uint32_t)__builtin_clzll(f->bits0[group]);
}

// How many entries of the bucket begin at or before `low`.
static uint32_t bucket_upto(const struct fib_bucket *b, uint16_t low)
{
	uint32_t least = 0, n = b->n;
	while (n > 0) {
		uint32_t half = n / 2;
		bool right = b->starts[least + half] <= low;
		least = right ? least + half + 1 : least;
		n = right ? n - half - 1 : half;
	}
	return least;
}

uint32_t fib_atom_of(const struct fib *f, uint32_t address)
{
	uint32_t at = address >> 16;
	const struct fib_bucket *b = &f->buckets[at];
	uint32_t n = b->n ? bucket_upto(b, (uint16_t)address) : 0;
	if (n)
		return b->atoms[n - 1];
	b = &f->buckets[bucket_before(f, at)];
	return b->atoms[b->n - 1];
}

static struct err bucket_room(struct fib_bucket *b)
{
	if (b->n < b->cap)
		return OK;
	uint32_t cap = b->cap ? b->cap * 2 : BUCKET_FIRST;
	uint32_t *atoms = malloc((size_t)cap * (sizeof *b->atoms + sizeof *b->starts));
	ENSURE(atoms, ERR_LIMIT, "out of memory for atoms");
	uint16_t *starts = (uint16_t *)(atoms + cap);
	if (b->n) {
		memcpy(atoms, b->atoms, b->n * sizeof *atoms);
		memcpy(starts, b->starts, b->n * sizeof *starts);
	}
	free(b->atoms);
	b->atoms = atoms;
	b->starts = starts;
	b->cap = cap;
	return OK;
}

static void bucket_insert(struct fib *f, uint32_t address, uint32_t atom)
{
	struct fib_bucket *b = &f->buckets[address >> 16];
	uint32_t at = bucket_upto(b, (uint16_t)address), rest = b->n - at;
	memmove(b->starts + at + 1, b->starts + at, rest * sizeof *b->starts);
	memmove(b->atoms + at + 1, b->atoms + at, rest * sizeof *b->atoms);
	b->starts[at] = (uint16_t)address;
	b->atoms[at] = atom;
	if (b->n++ == 0)
		bucket_mark(f, address >> 16, true);
}

static void bucket_remove(struct fib *f, uint32_t address)
{
	struct fib_bucket *b = &f->buckets[address >> 16];
	uint32_t at = bucket_upto(b, (uint16_t)address), rest = b->n - at;
	memmove(b->starts + at - 1, b->starts + at, rest * sizeof *b->starts);
	memmove(b->atoms + at - 1, b->atoms + at, rest * sizeof *b->atoms);
	if (--b->n == 0)
		bucket_mark(f, address >> 16, false);
}

// --- atoms

struct err fib_atoms_start(struct fib *f)
{
	size_t row = (size_t)f->n_devices * (sizeof *f->act + sizeof *f->own);
	size_t most = f->limit / (row + 5 * sizeof(uint32_t) + 1);
	f->max_atoms = most < ATOMS_MOST ? (uint32_t)most : ATOMS_MOST;
	ENSURE(f->max_atoms >= 4, ERR_LIMIT, "%u devices: the matrix's bound is too small",
	       f->n_devices);
	size_t n = f->max_atoms, cells = n * f->n_devices;
	f->act = reserve(cells * sizeof *f->act);
	f->own = reserve(cells * sizeof *f->own);
	f->start = reserve(n * sizeof *f->start);
	f->next = reserve(n * sizeof *f->next);
	f->previous = reserve(n * sizeof *f->previous);
	f->refs = reserve(n * sizeof *f->refs);
	f->cyclic = reserve(n);
	f->buckets = calloc(BUCKETS, sizeof *f->buckets);
	ENSURE(f->act && f->own && f->start && f->next && f->previous && f->refs && f->cyclic &&
		       f->buckets,
	       ERR_LIMIT, "out of memory for the matrix");
	// the whole address space is one atom, which nothing holds and nothing merges away
	TRY(bucket_room(&f->buckets[0]));
	bucket_insert(f, 0, 0);
	f->n_atoms = f->high_atoms = 1;
	f->next[0] = f->previous[0] = 0;
	f->refs[0] = 1;
	return OK;
}

void fib_atoms_stop(struct fib *f)
{
	size_t n = f->max_atoms, cells = n * f->n_devices;
	release(f->act, cells * sizeof *f->act);
	release(f->own, cells * sizeof *f->own);
	release(f->start, n * sizeof *f->start);
	release(f->next, n * sizeof *f->next);
	release(f->previous, n * sizeof *f->previous);
	release(f->refs, n * sizeof *f->refs);
	release(f->cyclic, n);
	for (uint32_t b = 0; f->buckets && b < BUCKETS; b++)
		free(f->buckets[b].atoms);
	free(f->buckets);
	free(f->free_atoms);
}

uint32_t fib_atom_end(const struct fib *f, uint32_t atom)
{
	return f->next[atom] ? f->start[f->next[atom]] - 1 : UINT32_MAX;
}

static struct err atom_take(struct fib *f, uint32_t *atom)
{
	if (f->n_free) {
		*atom = f->free_atoms[--f->n_free];
	} else {
		ENSURE(f->high_atoms < f->max_atoms, ERR_LIMIT,
		       "the matrix is full: %u atoms of %u devices", f->high_atoms, f->n_devices);
		*atom = f->high_atoms++;
	}
	f->n_atoms++;
	return OK;
}

struct err fib_atom_hold(struct fib *f, uint32_t address, uint32_t *atom)
{
	uint32_t whole = fib_atom_of(f, address), part = 0;
	size_t n = f->n_devices;
	*atom = whole;
	if (f->start[whole] == address) {
		f->refs[whole]++;
		return OK;
	}
	TRY(bucket_room(&f->buckets[address >> 16]));
	TRY(atom_take(f, &part));
	memcpy(f->act + part * n, f->act + whole * n, n * sizeof *f->act);
	memcpy(f->own + part * n, f->own + whole * n, n * sizeof *f->own);
	f->cyclic[part] = f->cyclic[whole];
	f->n_cyclic += f->cyclic[whole];
	f->start[part] = address;
	f->refs[part] = 1;
	f->next[part] = f->next[whole];
	f->previous[part] = whole;
	f->previous[f->next[whole]] = part; // of atom 0: the last one
	f->next[whole] = part;
	bucket_insert(f, address, part);
	*atom = part;
	return OK;
}

// With no route's boundary between them, two neighbours are treated alike by every device.
void fib_atom_drop(struct fib *f, uint32_t address)
{
	uint32_t atom = fib_atom_of(f, address);
	if (--f->refs[atom])
		return;
	if (f->n_free == f->cap_free) {
		void *more =
			fib_grow(f->free_atoms, f->n_free, &f->cap_free, sizeof *f->free_atoms);
		if (!more) { // it stays split, which is still exact
			f->refs[atom] = 1;
			return;
		}
		f->free_atoms = more;
	}
	f->n_cyclic -= f->cyclic[atom];
	bucket_remove(f, address);
	f->next[f->previous[atom]] = f->next[atom];
	f->previous[f->next[atom]] = f->previous[atom];
	f->free_atoms[f->n_free++] = atom;
	f->n_atoms--;
}
