// SPDX-License-Identifier: Apache-2.0
// A proof that needs no network (c2sp.org/tlog-proof@v1): entry index, inclusion proof, and the
// checkpoint with the witnesses' cosignatures. It is what an instruction carries to a device, and
// what an auditor keeps. X.2011 8.2.3-4, 8.3.3-9, 9.1-ledger.
// Used by repository (makes), agent, CLI (verify).
#pragma once

#include "lib/tlog/note.h"

enum { PROOF_EXTRA_MAX = 32768, PROOF_MAX = 2 * NOTE_MAX };

struct tlog_proof {
	uint64_t index;
	struct merkle_proof path;
	const uint8_t *extra; // not authenticated; NULL: none. After parsing: in the arena
	size_t extra_len;
	const char *checkpoint; // the signed note; after parsing: a view of the caller's bytes
	size_t checkpoint_len;
};

void tlog_proof_format(const struct tlog_proof *p, struct buf *out);
// ERR_PEER names the line.
MUST_USE struct err tlog_proof_parse(const char *bytes, size_t n, struct arena *a,
				     struct tlog_proof *out);

// Whom to believe. All pointers are borrowed.
struct tlog_policy {
	const char *origin;
	const struct note_key *logs; // any one of them signs for the log
	size_t n_logs;
	const struct note_key *witnesses;
	size_t n_witnesses;
	unsigned quorum; // so many different witnesses must have cosigned
};
// The checkpoint under the policy. *out and *cosigned may be NULL. ERR_PEER: form; ERR_NOT_FOUND:
// another log's; ERR_AUTH: not signed by the log, a bad cosignature, or fewer than the quorum.
MUST_USE struct err tlog_policy_check(const struct tlog_policy *policy, const char *checkpoint,
				      size_t n, struct checkpoint *out, unsigned *cosigned);
// The whole proof for an entry's bytes. Also ERR_CORRUPT: the entry is not at that index there.
MUST_USE struct err tlog_proof_verify(const struct tlog_proof *p, const struct tlog_policy *policy,
				      const void *entry, size_t n, struct checkpoint *out,
				      unsigned *cosigned);
