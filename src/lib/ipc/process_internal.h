// SPDX-License-Identifier: Apache-2.0
// Between process.c and process_metrics.c.
#pragma once

#include "lib/ipc/process.h"

// Sends all metrics of this process to the parent.
MUST_USE struct err process_metrics_send(struct process *p);
