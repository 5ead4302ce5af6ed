// SPDX-License-Identifier: Apache-2.0
// The parent of gemel-agent's processes: makes the state folders, starts and restarts wire, apply
// and keys and joins them by links, opens what they may not (connections to the twin and nowhere
// else, the listener, the programs of programs.h, the token file). It reads no foreign byte.
#pragma once

#include "agent/conf.h"

// Runs until SIGTERM or SIGINT; returns the exit status. `config`: its path, for the children.
int parent_main(const char *config, const struct agent_conf *conf);
