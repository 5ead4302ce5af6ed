// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <string.h>

#define C(...) {__VA_ARGS__}

const struct command commands[] = {
	C(.noun = "login", .verb = "", .operation = "session.login", .positional = "account",
	  .run = run_login, .flags = "--password-stdin",
	  .summary = "Log in; the session is kept in ~/.config/gemel"),
	C(.noun = "logout", .verb = "", .operation = "session.end", .run = run_logout,
	  .summary = "Log out and forget the session"),
	C(.noun = "whoami", .verb = "", .operation = "session.get"),
	C(.noun = "status", .verb = "", .operation = "system.status", .show = show_status),

	C(.noun = "device", .verb = "list", .operation = "devices.list", .aliases = "in=state",
	  .columns = "id state kind site domain role trust last_seen reason"),
	C(.noun = "device", .verb = "show", .operation = "devices.get", .positional = "id"),
	C(.noun = "device", .verb = "state", .operation = "devices.state", .positional = "id"),
	C(.noun = "device", .verb = "create", .operation = "devices.create", .positional = "id"),
	C(.noun = "device", .verb = "enrol", .operation = "devices.enrol", .positional = "id",
	  .show = show_enrol),
	C(.noun = "device", .verb = "import", .operation = "devices.import", .positional = "text",
	  .summary = "Add devices from a CSV or NetBox JSON file"),
	C(.noun = "device", .verb = "test", .operation = "devices.test", .positional = "id"),
	C(.noun = "device", .verb = "quarantine", .operation = "devices.quarantine", .positional = "id",
	  .asks = "Only its health data will be collected until it is tested again. Go on?"),
	C(.noun = "device", .verb = "revoke", .operation = "devices.revoke", .positional = "id",
	  .asks = "Its certificate will be revoked and it must be enrolled anew. Go on?"),

	C(.noun = "topology", .verb = "", .operation = "topology.get", .show = show_topology,
	  .flags = "--ietf"),
	C(.noun = "path", .verb = "", .operation = "paths.trace", .positional = "from to",
	  .aliases = "proto=protocol port=destination_port", .show = show_path),
	C(.noun = "forwarding", .verb = "", .operation = "forwarding.checks"),

	C(.noun = "data", .verb = "query", .operation = "data.query", .positional = "device path",
	  .columns = "device path value time class"),
	C(.noun = "data", .verb = "series", .operation = "data.series", .positional = "device path",
	  .columns = "time device path value"),
	C(.noun = "data", .verb = "lineage", .operation = "data.lineage", .positional = "device path"),
	C(.noun = "data", .verb = "verify", .operation = "data.verify", .show = show_verify),
	C(.noun = "data", .verb = "stats", .operation = "data.stats"),
	C(.noun = "data", .verb = "follow", .operation = "data.query", .positional = "device path",
	  .run = run_data_follow, .summary = "Print values as they change"),

	C(.noun = "ledger", .verb = "tail", .operation = "ledger.entries",
	  .columns = "index time kind subject actor"),
	C(.noun = "ledger", .verb = "show", .operation = "ledger.entry", .positional = "index"),
	C(.noun = "ledger", .verb = "prove", .operation = "ledger.proof", .positional = "index",
	  .run = run_ledger_prove, .flags = "--output", .summary = "Write the offline proof of an entry to a file"),
	C(.noun = "ledger", .verb = "export", .positional = "DIR", .run = run_ledger_export,
	  .summary = "Write the whole ledger as a static tile tree with checkpoint and vkey"),
	C(.noun = "ledger", .verb = "checkpoint", .operation = "ledger.checkpoint", .run = run_ledger_text),
	C(.noun = "ledger", .verb = "vkey", .operation = "ledger.vkey", .run = run_ledger_text),

	C(.noun = "events", .verb = "", .operation = "events.stream", .run = run_events,
	  .flags = "--follow", .summary = "Print the last changes, or follow them"),
	C(.noun = "alert", .verb = "list", .operation = "alerts.list"),

	C(.noun = "account", .verb = "list", .operation = "accounts.list",
	  .columns = "name roles domain disabled last_login"),
	C(.noun = "account", .verb = "create", .operation = "accounts.create", .positional = "name",
	  .flags = "--password-stdin"),
	C(.noun = "account", .verb = "update", .operation = "accounts.update", .positional = "name",
	  .flags = "--password-stdin"),
	C(.noun = "account", .verb = "delete", .operation = "accounts.delete", .positional = "name",
	  .asks = "The account will be removed and its sessions ended. Go on?"),
	C(.noun = "account", .verb = "decide", .operation = "access.decide", .positional = "account action kind",
	  .summary = "Would this be permitted, and by which policy"),

	C(.noun = "conformance", .verb = "", .positional = "[ID,ID...]", .run = run_conformance,
	  .flags = "--output",
	  .summary = "Try each requirement that has a live check on the running system; -o writes HTML"),
	C(.noun = "conformance", .verb = "list", .operation = "conformance.list",
	  .columns = "id verdict requirement title when evidence"),
#ifdef WITH_ABE
	C(.noun = "abe", .verb = "inspect", .positional = "FILE", .run = run_abe_inspect, .local = true,
	  .summary = "What a file or key says of itself"),
	C(.noun = "abe", .verb = "setup", .positional = "DIR", .run = run_abe_setup, .local = true,
	  .summary = "Make a master key and its public key in this folder"),
	C(.noun = "abe", .verb = "keygen", .run = run_abe_keygen, .local = true,
	  .flags = "--master --attributes --output",
	  .summary = "Make a key for who has these attributes"),
	C(.noun = "abe", .verb = "check", .positional = "KEY", .run = run_abe_check, .local = true,
	  .flags = "--public", .summary = "Is the key what the public key's owner made"),
	C(.noun = "abe", .verb = "encrypt", .positional = "[IN]", .run = run_abe_encrypt, .local = true,
	  .flags = "--public --policy --output", .summary = "Encrypt for those whose attributes a policy permits"),
	C(.noun = "abe", .verb = "decrypt", .positional = "[IN]", .run = run_abe_decrypt, .local = true,
	  .flags = "--key --public --output", .summary = "Decrypt; nothing is written unless all of it is good"),
	C(.noun = "abe", .verb = "policy", .positional = "TEXT", .run = run_abe_policy, .local = true,
	  .summary = "A policy's canonical form, rows and cost"),
#endif
	C(.noun = "completion", .verb = "", .positional = "SHELL", .run = run_completion,
	  .summary = "Print the completion script for bash or zsh"),
};
const unsigned commands_count = sizeof commands / sizeof *commands;

const struct command *command_find(const char *noun, const char *verb)
{
	for (unsigned i = 0; i < commands_count; i++)
		if (strcmp(commands[i].noun, noun) == 0 &&
		    (!verb || strcmp(commands[i].verb, verb) == 0))
			return &commands[i];
	return NULL;
}
