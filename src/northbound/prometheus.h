// SPDX-License-Identifier: Apache-2.0
// Figures of all processes in Prometheus' text form 0.0.4. Pure. Used by northbound.
#pragma once

#include "lib/base/mem.h"
#include "lib/ipc/messages.pb-c.h"

// Appends all samples, one HELP and TYPE for each name, each sample with the label process="...".
// Names and labels that are not of the form are left out and counted in *refused.
void prometheus_render(const Ipc__Metrics *const *sets, size_t n, struct buf *out, unsigned *refused);
bool prometheus_name_good(const char *name);
// a="b",c="d": names good, values with \\, \" and \n escaped; or empty.
bool prometheus_labels_good(const char *labels);
