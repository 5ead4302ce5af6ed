// SPDX-License-Identifier: Apache-2.0
// Verdicts of nftables chains: order, priorities, jumps, three-valued answers, and nothing
// permitted that is not known to be.

#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FORWARD "inet:filter:forward"

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof *n);
	net_start(n);
	net_interface(n, "fw", "in0", "10.1.0.1/24");
	net_interface(n, "fw", "out0", "10.2.0.1/24");
	net_route(n, "fw", "10.1.0.0/24", "- in0");
	net_route(n, "fw", "10.2.0.0/24", "- out0");
	net_neighbour(n, "fw", "out0", "10.2.0.20", "02:00:00:00:00:20", "REACHABLE");
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	net_end(*state);
	free(*state);
	return 0;
}

static enum trace_verdict ask(struct net *n, const char *protocol, int port)
{
	return net_trace(n, "10.1.0.10", "10.2.0.20", protocol, port, NULL, NULL);
}

static void first_match_decides(void **state)
{
	struct net *n = *state;
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	net_chain(n, "fw", FORWARD, "forward", 0, "DROP");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", "tcp", 80, t, a), TRACE_DROPPED);
	assert_string_equal(t->hops[0].outs[0].rule, "inet:filter:forward default action drop");
	// given out of order; 10 must stand behind 9 and 9.2 behind 9.1
	net_rule(n, "fw", FORWARD, "10", "proto=tcp dport=80", "DROP");
	net_rule(n, "fw", FORWARD, "9.2", "src=10.1.0.0/24 proto=tcp dport=80", "ACCEPT");
	net_rule(n, "fw", FORWARD, "9.1", "src=10.7.0.0/24 proto=tcp dport=80", "DROP");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", "tcp", 80, t, a), TRACE_DELIVERED);
	assert_string_equal(t->hops[0].outs[0].rule,
			    "inet:filter:forward rule 9.2: from 10.1.0.0/24 tcp dport 80 accept");
	assert_string_equal(t->hops[0].outs[0].rule_record,
			    "/acl/acl-sets/acl-set[name=inet:filter:forward][type=ACL_MIXED]/"
			    "acl-entries/acl-entry[sequence-id=9.2]");
	net_rule(n, "fw", FORWARD, "9.10", "proto=tcp dport=80", "DROP"); // ten, not one-zero
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	net_rule(n, "fw", FORWARD, "1", "proto=tcp sport=1..39999", "DROP"); // asked from 40000
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	net_rule(n, "fw", FORWARD, "1", "proto=tcp sport=40000", "DROP");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DROPPED);
	net_delete(n, "fw",
		   "/acl/acl-sets/acl-set[name=" FORWARD "][type=ACL_MIXED]/acl-entries/"
		   "acl-entry[sequence-id=1]");
	net_rule(n, "fw", FORWARD, "2", "in=in0 out=out0 dport=1..100 proto=tcp", "REJECT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DROPPED);
	assert_int_equal(ask(n, "tcp", 101), TRACE_DROPPED); // by default
	net_delete(n, "fw",
		   "/acl/acl-sets/acl-set[name=" FORWARD "][type=ACL_MIXED]/acl-entries/"
		   "acl-entry[sequence-id=2]");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
}

static void all_base_chains_must_accept(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "ACCEPT");
	net_chain(n, "fw", "ip:early:pass", "forward", -100, "DROP");
	net_rule(n, "fw", "ip:early:pass", "1", "proto=udp", "ACCEPT");
	net_rule(n, "fw", FORWARD, "1", "proto=udp dport=53", "DROP");
	assert_int_equal(ask(n, "udp", 5353), TRACE_DELIVERED);
	assert_int_equal(ask(n, "udp", 53), TRACE_DROPPED);   // the later chain
	assert_int_equal(ask(n, "tcp", 5353), TRACE_DROPPED); // the earlier chain
	// a chain of the other family is not asked
	net_chain(n, "fw", "ip6:filter:forward", "forward", 0, "DROP");
	assert_int_equal(ask(n, "udp", 5353), TRACE_DELIVERED);
}

static void first_packet_is_new(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "DROP");
	net_rule(n, "fw", FORWARD, "1", "ct=ESTABLISHED,RELATED", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DROPPED);
	net_rule(n, "fw", FORWARD, "2", "ct=NEW proto=tcp dport=80", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	net_rule(n, "fw", FORWARD, "0", "ct=INVALID", "DROP");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
}

static void jumps_return_and_goto_does_not(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "DROP");
	net_chain(n, "fw", "inet:filter:web", NULL, 0, NULL);
	net_rule(n, "fw", FORWARD, "1", "proto=tcp", "JUMP web");
	net_rule(n, "fw", FORWARD, "2", "proto=tcp dport=22", "ACCEPT");
	net_rule(n, "fw", "inet:filter:web", "1", "dport=443", "RETURN");
	net_rule(n, "fw", "inet:filter:web", "2", "dport=80..443", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	assert_int_equal(ask(n, "tcp", 22), TRACE_DELIVERED); // fell out of web, then rule 2
	assert_int_equal(ask(n, "tcp", 443), TRACE_DROPPED);  // returned, then the default
	net_rule(n, "fw", FORWARD, "1", "proto=tcp", "GOTO web");
	assert_int_equal(ask(n, "tcp", 22), TRACE_DROPPED); // never comes back to rule 2
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	net_rule(n, "fw", FORWARD, "1", "proto=tcp", "JUMP nowhere");
	assert_int_equal(ask(n, "tcp", 80), TRACE_INCONCLUSIVE);
	net_rule(n, "fw", "inet:filter:web", "1", "dport=443", "JUMP web"); // round for ever
	net_rule(n, "fw", FORWARD, "1", "proto=tcp", "JUMP web");
	assert_int_equal(ask(n, "tcp", 443), TRACE_INCONCLUSIVE);
}

static void the_unmodelled_is_never_permitted(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	net_rule(n, "fw", FORWARD, "5", "raw=1", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_INCONCLUSIVE);
	net_rule(n, "fw", FORWARD, "4", "proto=tcp", "ACCEPT"); // before it: not reached
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	assert_int_equal(ask(n, "udp", 80), TRACE_INCONCLUSIVE);
	// a field that makes no sense is not left out of the match
	net_rule(n, "fw", FORWARD, "3", "src=banana", "CONTINUE");
	assert_int_equal(ask(n, "tcp", 80), TRACE_INCONCLUSIVE);
	net_rule(n, "fw", FORWARD, "3", "src=10.0.0.0/8", "CONTINUE");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	net_rule(n, "fw", FORWARD, "3", "src=10.0.0.0/8", "QUEUE");
	assert_int_equal(ask(n, "tcp", 80), TRACE_INCONCLUSIVE);
	net_delete(n, "fw", "/acl/acl-sets/acl-set[name=" FORWARD "][type=ACL_MIXED]");
	assert_int_equal(ask(n, "udp", 80), TRACE_DELIVERED);
	net_chain(n, "fw", "ip:nat:prerouting", "prerouting", -100, "ACCEPT");
	assert_int_equal(ask(n, "udp", 80), TRACE_INCONCLUSIVE);
	net_delete(n, "fw", "/acl");
	net_chain(n, "fw", "vendor-list", "forward", 0, "ACCEPT"); // not nftables
	assert_int_equal(ask(n, "udp", 80), TRACE_INCONCLUSIVE);
}

static void a_rule_without_its_verdict_is_inconclusive(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "ACCEPT");
	net_set_bool(n, "fw", true,
		     "/acl/acl-sets/acl-set[name=" FORWARD "][type=ACL_MIXED]/acl-entries/"
		     "acl-entry[sequence-id=1]/state/modelled");
	assert_int_equal(ask(n, "tcp", 80), TRACE_INCONCLUSIVE);
}

static void open_questions_get_sure_answers_only(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "DROP");
	net_rule(n, "fw", FORWARD, "1", "proto=tcp dport=80", "ACCEPT");
	assert_int_equal(ask(n, "tcp", -1), TRACE_INCONCLUSIVE);
	assert_int_equal(ask(n, NULL, -1), TRACE_INCONCLUSIVE);
	assert_int_equal(ask(n, "udp", -1), TRACE_DROPPED);
	net_rule(n, "fw", FORWARD, "1", "proto=tcp dport=80", "DROP");
	assert_int_equal(ask(n, "tcp", -1), TRACE_DROPPED); // dropped either way
	net_rule(n, "fw", FORWARD, "2", "src=10.1.0.0/24", "ACCEPT");
	assert_int_equal(ask(n, NULL, -1), TRACE_INCONCLUSIVE);
	assert_int_equal(ask(n, "icmp", -1), TRACE_DELIVERED);
	// a later chain drops for sure what an earlier one may have dropped
	net_chain(n, "fw", "inet:late:all", "forward", 10, "DROP");
	assert_int_equal(ask(n, NULL, -1), TRACE_DROPPED);
}

static void input_and_output_have_their_own(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", "inet:filter:input", "input", 0, "DROP");
	net_rule(n, "fw", "inet:filter:input", "1", "in=in* proto=tcp dport=22", "ACCEPT");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.1.0.1", "tcp", 22, NULL, NULL),
			 TRACE_DELIVERED);
	assert_int_equal(net_trace(n, "10.1.0.10", "10.1.0.1", "tcp", 23, NULL, NULL),
			 TRACE_DROPPED);
	assert_int_equal(ask(n, "tcp", 23), TRACE_DELIVERED); // forwarded: not the input hook
	net_chain(n, "fw", "inet:filter:output", "output", 0, "ACCEPT");
	net_rule(n, "fw", "inet:filter:output", "1", "out=out0 proto=udp", "DROP");
	assert_int_equal(net_trace(n, "fw", "10.2.0.20", "udp", 5, NULL, NULL), TRACE_DROPPED);
	assert_int_equal(net_trace(n, "fw", "10.2.0.20", "tcp", 5, NULL, NULL), TRACE_DELIVERED);
}

static void ipv6_rules_do_not_match_ipv4(void **state)
{
	struct net *n = *state;
	net_chain(n, "fw", FORWARD, "forward", 0, "DROP");
	net_rule(n, "fw", FORWARD, "1", "src6=::/0", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DROPPED);
	net_rule(n, "fw", FORWARD, "2", "src=0.0.0.0/0", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
	// a rule that is given both can match nothing, in whichever order its leaves come
	net_rule(n, "fw", FORWARD, "2", "src6=2001:db8::/32", "ACCEPT");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DROPPED);
	net_delete(n, "fw",
		   "/acl/acl-sets/acl-set[name=" FORWARD "][type=ACL_MIXED]/acl-entries/"
		   "acl-entry[sequence-id=2]/ipv6");
	assert_int_equal(ask(n, "tcp", 80), TRACE_DELIVERED);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(first_match_decides),
		CASE(all_base_chains_must_accept),
		CASE(first_packet_is_new),
		CASE(jumps_return_and_goto_does_not),
		CASE(the_unmodelled_is_never_permitted),
		CASE(a_rule_without_its_verdict_is_inconclusive),
		CASE(open_questions_get_sure_answers_only),
		CASE(input_and_output_have_their_own),
		CASE(ipv6_rules_do_not_match_ipv4),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
