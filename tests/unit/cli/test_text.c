// SPDX-License-Identifier: Apache-2.0
// What a terminal is given: harmless text, times, tables, refusals.
#include "cli/cli.h"

#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IS(b, want) assert_string_equal(buf_text(b), want)

static const struct style terminal = {.terminal = true, .width = 40, .now_ns = 1700000000000000000};
static const struct style piped = {.width = 40, .now_ns = 1700000000000000000};

static void safe(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"fw1", "fw1"}, {"a\033[2Jb", "a?[2Jb"}, {"a\nb\tc", "a?b?c"}, {"Zürich", "Zürich"},
		{"a\xffz", "a?z"}, {"a\xc2\x9bz", "a?z"}, {"a\xe2\x80\xaez", "a?z"}, {"\xc3", "?"},
		{"\xc0\x80", "??"}, {"\xf4\x90\x80\x80", "????"}, {"\xed\xa0\x80", "???"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		scoped(buf) struct buf b = {0};
		text_safe(cases[i].in, &b);
		IS(&b, cases[i].out);
	}
}

static void ago(void **state)
{
	static const struct {
		int64_t s;
		const char *text;
	} cases[] = {
		{0, "now"}, {12, "12 s ago"}, {59, "59 s ago"}, {60, "1 min ago"}, {7199, "119 min ago"},
		{7200, "2 h ago"}, {172799, "47 h ago"}, {172800, "2 d ago"}, {-90, "in 1 min"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		scoped(buf) struct buf b = {0};
		text_ago(terminal.now_ns - cases[i].s * NS_PER_S, terminal.now_ns, &b);
		IS(&b, cases[i].text);
	}
	scoped(buf) struct buf near = {0};
	scoped(buf) struct buf exact = {0};
	text_time("2023-11-14T22:13:08.000Z", &terminal, &near);
	IS(&near, "12 s ago");
	text_time("2023-11-14T22:13:08.000Z", &piped, &exact);
	IS(&exact, "2023-11-14T22:13:08.000Z");
}

static struct table *sample(void)
{
	static const char *const head[] = {"id", "state", "last_seen"};
	struct table *t = table_new(3);
	table_head(t, head);
	table_cell(t, "access-2", false);
	table_cell(t, "production", true);
	table_cell(t, "12 s ago", false);
	table_cell(t, "fw1", false);
	table_cell(t, "revoked", true);
	table_cell(t, "a very long text that cannot fit here", false);
	return t;
}

static void tables(void **state)
{
	struct table *t = sample();
	scoped(buf) struct buf b = {0};
	table_print(t, &terminal, &b);
	IS(&b, "ID        STATE       LAST SEEN\n"
	       "access-2  production  12 s ago\n"
	       "fw1       revoked     a very long text ~\n");
	scoped(buf) struct buf plain = {0};
	table_print(t, &piped, &plain);
	IS(&plain, "access-2\tproduction\t12 s ago\n"
		   "fw1\trevoked\ta very long text that cannot fit here\n");
	struct style colour = terminal;
	colour.colour = true;
	scoped(buf) struct buf coloured = {0};
	table_print(t, &colour, &coloured);
	assert_non_null(strstr(buf_text(&coloured), "\033[32mproduction\033[0m"));
	assert_non_null(strstr(buf_text(&coloured), "\033[31mrevoked\033[0m"));
	table_free(t);
}

static void refusals(void **state)
{
	json_t *p = json_pack("{s:s,s:s,s:i,s:s,s:s,s:{s:s,s:s,s:b}}", "type", "urn:x", "title",
			      "Not permitted", "status", 403, "detail", "ann may not read /acl of fw1",
			      "fix", "Ask a security officer.", "decision", "policy",
			      "viewer-reads-internal", "fact", "class confidential is above internal",
			      "permit", 0);
	scoped(buf) struct buf b = {0};
	assert_int_equal(refuse_text(403, p, &terminal, &b), EXIT_NOT_PERMITTED);
	IS(&b, "not permitted: ann may not read /acl of fw1\n"
	       "  policy   viewer-reads-internal\n"
	       "  because  class confidential is above internal\n"
	       "  try      Ask a security officer.\n");
	json_decref(p);
	static const struct {
		long status;
		int code;
	} codes[] = {{400, EXIT_USAGE}, {401, EXIT_NOT_PERMITTED}, {404, EXIT_REFUSED},
		     {409, EXIT_REFUSED}, {429, EXIT_REFUSED}, {500, EXIT_REFUSED},
		     {503, EXIT_UNREACHABLE}};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		scoped(buf) struct buf text = {0};
		assert_int_equal(refuse_text(codes[i].status, NULL, &terminal, &text), codes[i].code);
		assert_non_null(strstr(buf_text(&text), "HTTP status"));
	}
}

static char events[512];

static void on_event(void *ctx, const char *id, const char *event, const char *data)
{
	size_t n = strlen(events);
	snprintf(events + n, sizeof events - n, "[%s|%s|%s]", id, event, data);
}

static void stream(void **state)
{
	static const char text[] = ": hello\r\n\r\nid: 7\ndata: {\"a\":1}\n\nid:8\nevent: gap\ndata: x\n"
				   "data: y\n\nretry: 1000\n\n";
	for (size_t step = 1; step < sizeof text; step++) { // however it is cut
		struct sse s = {.on_event = on_event};
		events[0] = 0;
		for (size_t i = 0; i < sizeof text - 1; i += step)
			assert_true(sse_feed(&s, text + i, i + step < sizeof text ? step : sizeof text - 1 - i));
		assert_string_equal(events, "[7||{\"a\":1}][8|gap|x\ny]");
		sse_clear(&s);
	}
	struct sse s = {.on_event = on_event};
	static char much[1 << 19];
	memset(much, 'x', sizeof much);
	assert_false(sse_feed(&s, much, sizeof much));
	sse_clear(&s);
}

static void shapes(void **state)
{
	struct cli c = {.style = terminal, .command = command_find("device", "list")};
	json_t *j = json_pack("{s:[{s:s,s:s,s:s,s:{s:i}}],s:s,s:s}", "items", "state", "production", "id",
			      "fw1", "zone", "x", "trust", "score", 3, "as_of", "2023-11-14T22:13:18.000Z",
			      "next", "c1");
	scoped(buf) struct buf b = {0};
	show_any(&c, j, &b);
	IS(&b, "ID   STATE       TRUST\nfw1  production  {\"score\":3}\nmore: --cursor c1\nas of 2 s ago\n");
	json_decref(j);
	c.command = command_find("device", "show");
	j = json_pack("{s:s,s:{s:s,s:i},s:b}", "id", "fw1", "certificate", "serial", "ab", "days", 7, "ok", 1);
	scoped(buf) struct buf o = {0};
	show_any(&c, j, &o);
	IS(&o, "id                  fw1\ncertificate.serial  ab\ncertificate.days    7\nok                  yes\n");
	json_decref(j);
}

static void path(void **state)
{
	struct cli c = {.style = terminal, .command = command_find("path", "")};
	json_t *j = json_loads(
		"{\"from\":\"h1\",\"to\":\"10.9.1.20\",\"verdict\":\"dropped\",\"why\":\"rule 3 of fw1\","
		"\"packet\":{\"source\":\"10.2.7.4\",\"destination\":\"10.9.1.20\",\"protocol\":6,"
		"\"source_port\":null,\"destination_port\":443},\"paths\":[{\"devices\":[\"h1\",\"fw1\"],"
		"\"verdict\":\"dropped\"}],\"hops\":[{\"device\":\"h1\",\"in\":null,\"route\":{\"text\":"
		"\"0.0.0.0/0 via 10.2.0.1\"},\"out\":[{\"interface\":\"eth0\",\"via\":\"10.2.0.1\",\"to\":1}]},"
		"{\"device\":\"fw1\",\"in\":\"eth1\",\"out\":[{\"interface\":null,\"via\":null,\"to\":null,"
		"\"verdict\":\"dropped\",\"rule\":{\"text\":\"tcp dport 443 drop\"}}]}],"
		"\"as_of\":\"2023-11-14T22:13:18.000Z\",\"revision\":9}", 0, NULL);
	scoped(buf) struct buf b = {0};
	show_path(&c, j, &b);
	IS(&b, "dropped: rule 3 of fw1\n"
	       "  packet   10.2.7.4 -> 10.9.1.20:443/tcp\n"
	       "  path     h1 > fw1 (dropped)\n"
	       "  1   h1  by 0.0.0.0/0 via 10.2.0.1\n"
	       "      out eth0 via 10.2.0.1\n"
	       "  2   fw1  in eth1\n"
	       "      dropped: tcp dport 443 drop\n"
	       "as of 2 s ago, revision 9\n");
	assert_true(c.false_answer);
	json_decref(j);
}

static struct err arguments(struct cli *c, int argc, const char *const *argv)
{
	char *copy[16];
	for (int i = 0; i < argc; i++)
		copy[i] = (char *)(uintptr_t)argv[i];
	*c = (struct cli){.arena = c->arena};
	arena_reset(c->arena);
	return options_parse(c, argc, copy);
}

static void calls(void **state)
{
	static const struct {
		const char *argv[12], *target, *body; // target NULL: body is what the error says
	} cases[] = {
		{{"gemel", "path", "h1", "10.9.1.20", "--proto", "tcp", "--port=443", "--at", "-5m"},
		 "/v1/paths:trace?from=h1&to=10.9.1.20&protocol=tcp&destination_port=443&at=-5m", NULL},
		{{"gemel", "device"}, "/v1/devices", NULL},
		{{"gemel", "--json", "device", "list", "--limit", "5"}, "/v1/devices?limit=5", NULL},
		{{"gemel", "device", "show", "fw1"}, "/v1/devices/fw1", NULL},
		{{"gemel", "device", "show", "../x y"}, "/v1/devices/..%2Fx%20y", NULL},
		{{"gemel", "device", "revoke", "fw1", "--reason", "stolen"}, "/v1/devices/fw1:revoke",
		 "{\"reason\":\"stolen\"}"},
		{{"gemel", "account", "update", "ann", "--roles", "viewer,auditor", "--disabled=false"},
		 "/v1/access/accounts/ann", "{\"roles\":[\"viewer\",\"auditor\"],\"disabled\":false}"},
		{{"gemel", "topology", "--ietf"}, "/restconf/data/ietf-network:networks", NULL},
		{{"gemel", "device", "nonsense"}, NULL, "knows no such verb"},
		{{"gemel", "nonsense"}, NULL, "no such command"},
		{{"gemel", "path", "h1"}, NULL, "to: missing"},
		{{"gemel", "path", "a", "b", "c"}, NULL, "not expected here"},
		{{"gemel", "status", "--at", "-5m"}, NULL, "cannot be asked of the past"},
		{{"gemel", "device", "list", "--colour", "red"}, NULL, "no such flag"},
		{{"gemel", "login", "ann", "--password", "x"}, NULL, "must not be an argument"},
		{{"gemel", "path", "a", "b", "--port"}, NULL, "its value is missing"},
	};
	struct cli c = {.arena = arena_new(1 << 20)};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int argc = 0;
		scoped(buf) struct buf target = {0};
		char *body = NULL;
		while (cases[i].argv[argc])
			argc++;
		struct err e = arguments(&c, argc, cases[i].argv);
		if (!cases[i].target) {
			assert_int_equal(e.code, ERR_USAGE);
			if (!strstr(e.text, cases[i].body))
				fail_msg("\"%s\" does not say \"%s\"", e.text, cases[i].body);
			continue;
		}
		assert_int_equal(e.code, ERR_NONE);
		assert_int_equal(call_target(&c, &target, &body).code, ERR_NONE);
		IS(&target, cases[i].target);
		if (cases[i].body)
			assert_string_equal(body, cases[i].body);
		free(body);
	}
	arena_free(c.arena);
}

static void each_command_has_its_operation(void **state)
{
	for (unsigned i = 0; i < commands_count; i++) {
		const struct command *m = &commands[i];
		const struct operation *op = m->operation ? operation_by_id(m->operation) : NULL;
		if (m->operation && !op)
			fail_msg("%s %s: no operation %s", m->noun, m->verb, m->operation);
		for (const char *at = m->positional; op && at && *at; at += strcspn(at, " "), at += *at == ' ')
			if (!operation_param_find(op, at, strcspn(at, " ")))
				fail_msg("%s %s: %s is no parameter", m->noun, m->verb, at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(safe),	    cmocka_unit_test(ago),    cmocka_unit_test(tables),
		cmocka_unit_test(refusals), cmocka_unit_test(stream), cmocka_unit_test(shapes),
		cmocka_unit_test(path),	    cmocka_unit_test(calls),
		cmocka_unit_test(each_command_has_its_operation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
