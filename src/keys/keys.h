// SPDX-License-Identifier: Apache-2.0
// The keys process: holds every private key of the twin but those of its TLS listeners, and signs
// by who asks. It opens its files while it starts; then it has the channels to management, models
// and repository, and nothing else.
#pragma once

#include "lib/ipc/process.h"

extern const struct process_part keys_part;
