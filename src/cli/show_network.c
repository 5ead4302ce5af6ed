// SPDX-License-Identifier: Apache-2.0
// The network for people: topology as each node with its links, a path as its hops.
#include "cli/cli.h"

#include <math.h>
#include <string.h>

// --- topology

static void load_text(const json_t *link, struct buf *out)
{
	const json_t *load = json_object_get(link, "load");
	const json_t *share = json_object_get(load, "utilisation");
	double a = json_number_value(json_object_get(load, "a_to_b_bps"));
	double b = json_number_value(json_object_get(load, "b_to_a_bps"));
	static const char *const units[] = {"", "k", "M", "G", "T"};
	double bps = a > b ? a : b;
	unsigned unit = 0;
	if (json_is_number(share))
		buf_printf(out, "load %.0f%%", json_number_value(share) * 100);
	while (bps >= 1000 && unit < 4) {
		bps /= 1000;
		unit++;
	}
	if (!json_is_number(share) && bps > 0 && isfinite(bps))
		buf_printf(out, "%.3g %sbit/s", bps, units[unit]);
}

static void link_row(const json_t *near, const json_t *far, const json_t *link, const struct style *s,
		     struct table *t)
{
	scoped(buf) struct buf note = {.limit = 4096};
	const char *state = show_text(link, "state");
	load_text(link, &note);
	if (strcmp(state, "up") != 0 && *show_text(link, "last_change")) {
		buf_str(&note, note.len ? ", since " : "since ");
		text_time(show_text(link, "last_change"), s, &note);
	}
	if (json_is_true(json_object_get(link, "stale")))
		buf_str(&note, note.len ? ", stale" : "stale");
	table_cell(t, "", false);
	table_cell(t, show_text(near, "interface"), false);
	table_cell(t, state, true);
	table_cell(t, show_text(far, "device"), false);
	table_cell(t, show_text(far, "interface"), false);
	table_cell(t, buf_text(&note), false);
}

static void node_rows(const json_t *node, const json_t *links, const struct style *s, struct table *t)
{
	scoped(buf) struct buf ports = {.limit = 4096};
	const char *id = show_text(node, "id");
	size_t i;
	json_t *link;
	buf_printf(&ports, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " interfaces up",
		   json_integer_value(json_object_get(node, "interfaces_up")),
		   json_integer_value(json_object_get(node, "interfaces")));
	table_cell(t, id, false);
	table_cell(t, "", false);
	table_cell(t, show_text(node, "state"), true);
	table_cell(t, "", false);
	table_cell(t, "", false);
	table_cell(t, buf_text(&ports), false);
	json_array_foreach((json_t *)(uintptr_t)links, i, link) {
		const json_t *a = json_object_get(link, "a"), *b = json_object_get(link, "b");
		if (strcmp(show_text(a, "device"), id) == 0)
			link_row(a, b, link, s, t);
		else if (strcmp(show_text(b, "device"), id) == 0)
			link_row(b, a, link, s, t);
	}
}

static void lines_print(const json_t *nodes, const json_t *links, const struct style *s, struct buf *out)
{
	struct table *t = table_new(6);
	size_t i;
	json_t *node;
	if (!t)
		return;
	static const char *const head[] = {"node", "port", "state", "to", "port", ""};
	table_head(t, head);
	json_array_foreach((json_t *)(uintptr_t)nodes, i, node)
		node_rows(node, links, s, t);
	table_print(t, s, out);
	table_free(t);
}

void show_topology(struct cli *c, const json_t *body, struct buf *out)
{
	const json_t *nodes = json_object_get(body, "nodes"), *links = json_object_get(body, "links");
	size_t i, down = 0;
	json_t *link;
	json_array_foreach((json_t *)(uintptr_t)links, i, link)
		down += strcmp(show_text(link, "state"), "down") == 0;
	lines_print(nodes, links, &c->style, out);
	if (!c->style.terminal)
		return;
	buf_printf(out, "%zu nodes, %zu links, %zu down; ", json_array_size(nodes), json_array_size(links),
		   down);
	show_stamp(body, &c->style, out);
}

// --- path

static void field(const char *name, struct buf *out)
{
	buf_printf(out, "  %-8s ", name);
}

static void packet(const json_t *body, struct buf *out)
{
	const json_t *p = json_object_get(body, "packet");
	static const char *const keys[] = {"source", "source_port", "destination", "destination_port"};
	field("packet", out);
	for (int i = 0; i < 4; i++) {
		scoped(buf) struct buf text = {.limit = 256};
		text_value(json_object_get(p, keys[i]), &text);
		if (i == 2)
			buf_str(out, " -> ");
		if (text.len && i % 2)
			buf_str(out, ":");
		buf_str(out, text.len ? buf_text(&text) : i % 2 ? "" : "any");
	}
	json_int_t protocol = json_integer_value(json_object_get(p, "protocol"));
	static const struct {
		json_int_t number;
		const char *name;
	} names[] = {{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {58, "icmpv6"}};
	bool named = false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].number == protocol) {
			buf_printf(out, "/%s", names[i].name);
			named = true;
		}
	if (!named && json_is_integer(json_object_get(p, "protocol")))
		buf_printf(out, "/protocol %" JSON_INTEGER_FORMAT, protocol);
	buf_str(out, "\n");
}

static void way(const json_t *path, const struct style *s, struct buf *out)
{
	size_t i;
	json_t *device;
	field("path", out);
	json_array_foreach(json_object_get(path, "devices"), i, device) {
		buf_str(out, i ? " > " : "");
		text_value(device, out);
	}
	buf_str(out, " (");
	text_state(show_text(path, "verdict"), s, out);
	buf_str(out, ")\n");
}

static void hop(unsigned number, const json_t *h, const struct style *s, struct buf *out)
{
	const json_t *outs = json_object_get(h, "out");
	size_t i;
	json_t *o;
	buf_printf(out, "  %-3u ", number);
	text_safe(show_text(h, "device"), out);
	if (*show_text(h, "in")) {
		buf_str(out, "  in ");
		text_safe(show_text(h, "in"), out);
	}
	const char *route = show_text(json_object_get(h, "route"), "text");
	if (*route) {
		buf_str(out, "  by ");
		text_safe(route, out);
	}
	buf_str(out, "\n");
	json_array_foreach((json_t *)(uintptr_t)outs, i, o) {
		static const char *const keys[] = {"interface", "via", "verdict"};
		static const char *const words[] = {"out ", "via ", ""};
		buf_str(out, "     ");
		for (int k = 0; k < 3; k++) {
			const char *text = show_text(o, keys[k]);
			if (!*text)
				continue;
			buf_printf(out, " %s", words[k]);
			if (k == 2)
				text_state(text, s, out);
			else
				text_safe(text, out);
		}
		const char *rule = show_text(json_object_get(o, "rule"), "text");
		const char *why = *rule ? rule : show_text(o, "why");
		if (*why) {
			buf_str(out, ": ");
			text_safe(why, out);
		}
		buf_str(out, "\n");
	}
	if (*show_text(h, "note")) {
		buf_str(out, "      note: ");
		text_safe(show_text(h, "note"), out);
		buf_str(out, "\n");
	}
}

void show_path(struct cli *c, const json_t *body, struct buf *out)
{
	const struct style *s = &c->style;
	const char *verdict = show_text(body, "verdict"), *why = show_text(body, "why");
	size_t i;
	json_t *j;
	text_state(verdict, s, out);
	if (*why) {
		buf_str(out, ": ");
		text_safe(why, out);
	}
	buf_str(out, "\n");
	packet(body, out);
	json_array_foreach(json_object_get(body, "paths"), i, j)
		way(j, s, out);
	json_array_foreach(json_object_get(body, "hops"), i, j)
		hop((unsigned)i + 1, j, s, out);
	json_array_foreach(json_object_get(body, "stale_devices"), i, j) {
		field(i ? "" : "stale", out);
		text_value(j, out);
		buf_str(out, "\n");
	}
	show_stamp(body, s, out);
	c->false_answer = strcmp(verdict, "delivered") != 0 && strcmp(verdict, "left") != 0;
}
