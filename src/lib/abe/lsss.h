// SPDX-License-Identifier: Apache-2.0
// The share-generating matrix of a policy (linear secret sharing scheme) and its use.
//
//     root: w = (1), c = 1 columns so far
//     a OR b ...     every operand gets w
//     a AND b        w padded to c columns; a gets (w, 1), b gets (0^c, -1); c + 1
//                    (of more than two operands: a AND (b AND (c ...)))
//     k OF n         operand i of 1..n gets (w, i, i^2, ..., i^(k-1)); c + k - 1
// Row i's share is λ_i = M_i (s, v). Rows permit decryption iff some combination of them is
// (1, 0, ..., 0); its coefficients rebuild s. Shares are computed along the tree, without the
// matrix. Used inside lib/abe and by its tests.
#pragma once

#include "lib/abe/curve.h"
#include "lib/abe/policy.h"

// share[i] = M_i v, v of policy_columns entries with the secret first. In constant time.
void lsss_share(const struct policy *p, const blst_fr *v, blst_fr *share);
// M itself: row `row`, policy_columns entries.
void lsss_row(const struct policy *p, size_t row, blst_fr *out);

struct lsss_use {
	unsigned row;
	bool one; // the coefficient is 1: nothing needs multiplying
	blst_fr coefficient;
};
// The fewest rows with have[row] that rebuild the secret; `out` takes policy_rows entries. *n 0:
// the rows that are there do not permit it. Not in constant time: which attributes a key has is not
// secret from its holder.
MUST_USE struct err lsss_choose(const struct policy *p, const bool *have, struct lsss_use *out,
				size_t *n);
