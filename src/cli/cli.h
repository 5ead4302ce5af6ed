// SPDX-License-Identifier: Apache-2.0
// gemel(1): what its files share. A client of the public API like any other: it knows operations.def
// and HTTPS, and nothing of the daemon.
//   main.c      exit codes      options.c  flags, help      commands.c  the table of commands
//   call.c      a command's parameters -> HTTP   client.c    HTTPS (libcurl)
//   session.c   the log-in that is kept          show.c, show_network.c  answers for people
//   events.c    following                        ledger.c    export, proofs, verification
//   complete.c  shell completion                 refuse.c    refusals for people
//   conformance.c  live checks of X.2011
//   abe.c, abe_show.c, abe_files.c  attribute-based encryption of files: needs no twin
#pragma once

#include "cli/text.h"
#include "northbound/operations.h"

#include <jansson.h>

enum exit_code { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_NOT_PERMITTED };

struct options {
	const char *url, *authority, *state, *at;
	bool json, watch, yes, no_color, help, password_stdin, follow, ietf;
	const char *output, *vkey, *account; // -o, --vkey, --account
	const char *master, *public, *key, *attributes, *policy; // gemel abe
};

enum { ARGS_MAX = 64 };

struct session_file {
	char *url, *token, *account, *authority; // authority: PEM text
};

struct cli;
struct command {
	const char *noun, *verb; // verb "": what the noun does alone
	const char *operation;	 // NULL: `run` knows
	const char *positional;	 // parameters that stand without a flag: "from to"
	const char *aliases;	 // "port=destination_port"
	const char *columns;	 // of a list, "id state"; NULL: what is there
	const char *summary;	 // NULL: the operation's
	const char *asks;	 // question before it is done; NULL: none
	const char *flags;	 // flags of its own, for help: "--follow"
	void (*show)(struct cli *c, const json_t *body, struct buf *out); // NULL: show_any
	int (*run)(struct cli *c); // NULL: call the operation
	bool local;		   // without a twin: no session is read
};
extern const struct command commands[];
extern const unsigned commands_count;

struct cli_value {
	const struct operation_param *param;
	char *text; // arena
};

struct cli {
	struct options o;
	const struct command *command;
	const struct operation *op;
	char *args[ARGS_MAX]; // positional, after noun and verb
	unsigned n_args;
	struct cli_value values[ARGS_MAX];
	unsigned n_values;
	struct session_file session;
	struct arena *arena;
	struct style style;
	bool false_answer; // the answer is "no": exit 1
};

// --- commands.c, options.c
const struct command *command_find(const char *noun, const char *verb);
void help_print(const struct cli *c, const char *noun, struct buf *out);
MUST_USE struct err options_parse(struct cli *c, int argc, char **argv);

// --- session.c
MUST_USE struct err session_load(struct cli *c); // nothing kept is no error
MUST_USE struct err session_save(const struct session_file *s);
void session_forget(void);
void session_clear(struct session_file *s); // zeroes
const char *gemel_url(const struct cli *c);
// A file of ours in ~/.config/gemel, in the arena. NULL: no home.
char *session_path(struct cli *c, const char *name);
MUST_USE struct err file_read(const char *path, size_t most, struct buf *out); // "-": standard input
MUST_USE struct err file_replace(const char *path, const void *bytes, size_t n, bool secret);
// Asks on the terminal without echo, or reads one line of standard input.
MUST_USE struct err secret_ask(struct cli *c, const char *prompt, bool twice, char **out);
int run_login(struct cli *c);
int run_logout(struct cli *c);

// --- client.c
struct reply {
	long status;
	char type[80];
	struct buf body;
};
struct client_request {
	const char *method, *target; // target: "/v1/..."
	const char *body;	     // JSON or NULL
	const char *last_event_id;   // streams
	// Given: the body is handed over as it comes; false ends the transfer.
	bool (*on_bytes)(void *ctx, const char *bytes, size_t n);
	void *ctx;
	long idle_s; // streams: end after this silence; 0: never
};
MUST_USE struct err client_do(struct cli *c, const struct client_request *q, struct reply *out);
void reply_clear(struct reply *r);
void client_close(void);

// --- call.c
// Takes flags and positional arguments of the command's operation.
MUST_USE struct err call_args(struct cli *c, int argc, char **argv);
MUST_USE struct err call_target(struct cli *c, struct buf *target, char **body);
// Calls the operation; on refusal prints it. Returns the exit code; *out set when EXIT_DONE.
int call_json(struct cli *c, json_t **out);
int call_raw(struct cli *c, const char *target, struct reply *out);
int call_command(struct cli *c); // and shows it
MUST_USE struct err url_encode(const char *s, bool path, struct buf *out);

// --- refuse.c
int refuse_err(const struct cli *c, struct err e);
int refuse_reply(const struct cli *c, const struct reply *r);
// The refusal as text; returns the exit code that its status means.
int refuse_text(long status, const json_t *problem, const struct style *s, struct buf *out);

// --- show.c, show_network.c
void show_any(struct cli *c, const json_t *body, struct buf *out);
void show_list(const json_t *rows, const char *columns, const struct style *s, struct buf *out);
void show_status(struct cli *c, const json_t *body, struct buf *out);
void show_topology(struct cli *c, const json_t *body, struct buf *out);
void show_path(struct cli *c, const json_t *body, struct buf *out);
void show_verify(struct cli *c, const json_t *body, struct buf *out);
void show_enrol(struct cli *c, const json_t *body, struct buf *out);
void show_stamp(const json_t *body, const struct style *s, struct buf *out); // "as of 2 s ago"
const char *show_text(const json_t *j, const char *key); // "" when absent
void cli_write(struct buf *out);			 // to standard output

// --- events.c
struct sse { // a reader of server-sent events
	struct buf line, data;
	char id[32], event[32];
	void (*on_event)(void *ctx, const char *id, const char *event, const char *data);
	void *ctx;
	bool failed;
};
bool sse_feed(struct sse *s, const char *bytes, size_t n); // false: not of the form
void sse_clear(struct sse *s);
int run_events(struct cli *c);
int run_data_follow(struct cli *c);

// --- ledger.c, complete.c
int run_ledger_prove(struct cli *c);
int run_ledger_verify(struct cli *c);
int run_ledger_export(struct cli *c);
int run_ledger_text(struct cli *c); // checkpoint, vkey
int run_completion(struct cli *c);
int run_conformance(struct cli *c); // conformance.c

// --- abe.c, abe_show.c
int run_abe_setup(struct cli *c);
int run_abe_keygen(struct cli *c);
int run_abe_check(struct cli *c);
int run_abe_encrypt(struct cli *c);
int run_abe_decrypt(struct cli *c);
int run_abe_inspect(struct cli *c);
int run_abe_policy(struct cli *c);
