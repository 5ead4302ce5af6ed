// SPDX-License-Identifier: Apache-2.0
// Witnesses of the head (c2sp.org/tlog-witness): another's memory of this ledger, so that it cannot
// be rolled back or forked unseen. northbound speaks HTTP; what comes back is verified here.
// X.2011 9.1-ledger. Between ledger_head.c and ledger_witness.c only.
#pragma once

#include "repository/ledger_internal.h"

MUST_USE struct err ledger_witness_open(struct ledger *l); // from the configuration
// Which of them have cosigned the note that was found at the start.
void ledger_witness_known(struct ledger *l, const struct note *note);
MUST_USE struct err ledger_witness_round(struct ledger *l); // there is a new head: ask
void ledger_witness_tick(struct ledger *l);	     // give up what takes too long, ask again
bool ledger_witness_waiting(const struct ledger *l); // an answer may come any moment
void ledger_witness_forget(struct ledger *l);	     // northbound is away
