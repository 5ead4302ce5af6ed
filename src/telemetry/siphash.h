// SPDX-License-Identifier: Apache-2.0
// SipHash-1-3 (Aumasson and Bernstein, 2012) under a key of this process: a peer that cannot see
// the key cannot aim its paths or addresses at one slot of a table. Used by telemetry's tables.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k[2];
};

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t n);
