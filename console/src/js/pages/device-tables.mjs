// SPDX-License-Identifier: Apache-2.0
// Interfaces, routes, access lists and neighbours of one device, as they forward at the moment shown.
import { fill, h } from "../dom.mjs";
import { bits, bytes, count, percent } from "../format.mjs";
import { filterField } from "../filter.mjs";
import { empty, panel } from "../panel.mjs";
import { deviceLink, link } from "../router.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state, stateText } from "../words.mjs";

// A panel with one table and a filter. rows(body) -> rows; text(row): what the filter looks through.
function tablePart(title, { rows, text = row => JSON.stringify(row), ...options }) {
	const p = panel(title);
	let last = null;
	const filter = filterField({ changed: () => last && draw(last) });
	const t = table({ label: title, most: 1000, ...options });
	p.head.querySelector(".grow").before(filter.node);
	p.body.append(t.node);
	function draw(answer) {
		last = answer;
		p.show(answer);
		t.update(rows(answer.body).filter(row => filter.passes(text(row))));
	}
	return { ...p, draw };
}

function status(i) {
	if (i.admin_status === "DOWN")
		return [state("disabled", "off")];
	return [state(i.oper_status ?? "unknown")];
}

export function interfacesPart() {
	const share = i => Math.max(i.counters?.in_bps ?? 0, i.counters?.out_bps ?? 0) / i.speed_bps;
	const trouble = (c, way) => c && (c[`${way}_errors`] || c[`${way}_discards`])
		? `${count(c[`${way}_errors`])} / ${count(c[`${way}_discards`])}` : c && "0 / 0";
	return tablePart("Interfaces", {
		rows: b => b.interfaces ?? [], id: i => i.name, sort: "name", nothing: "It has told of no interface.",
		columns: [
			{ key: "name", name: "interface", cell: i => h("span", { class: "name" }, i.name) },
			{ key: "oper_status", name: "state", cell: status },
			{ key: "in", name: "in", right: true, cell: i => bits(i.counters?.in_bps),
				sort: i => i.counters?.in_bps },
			{ key: "out", name: "out", right: true, cell: i => bits(i.counters?.out_bps),
				sort: i => i.counters?.out_bps },
			{ key: "use", name: "used", right: true, cell: i => i.speed_bps ? percent(share(i)) : null,
				sort: share },
			{ key: "speed_bps", name: "speed", right: true, cell: i => bits(i.speed_bps) },
			{ key: "in_octets", name: "in, total", right: true, cell: i => bytes(i.counters?.in_octets),
				sort: i => i.counters?.in_octets },
			{ key: "out_octets", name: "out, total", right: true, cell: i => bytes(i.counters?.out_octets),
				sort: i => i.counters?.out_octets },
			{ key: "bad_in", name: "errors / discards in", right: true, cell: i => trouble(i.counters, "in"),
				sort: i => i.counters?.in_errors },
			{ key: "bad_out", name: "out", right: true, cell: i => trouble(i.counters, "out"),
				sort: i => i.counters?.out_errors },
			{ key: "addresses", name: "addresses", cell: i => h("code", {}, (i.addresses ?? []).join(" ")),
				sort: i => i.addresses?.[0] },
			{ key: "mac", name: "MAC", cell: i => i.mac && h("code", {}, i.mac) },
			{ key: "mtu", name: "MTU", right: true },
			{ key: "last_change", name: "changed", cell: i => since(i.last_change) },
		],
	});
}

const hopText = n => [n.action && n.action !== "FORWARD" ? [state(n.action, "off"), " "] : "",
	n.via ? [h("code", {}, n.via), " "] : n.action === "LOCAL" ? "" : "on link ", n.interface ?? ""];

export function routesPart(id) {
	return tablePart("Routes", {
		rows: b => b.routes ?? [], id: r => r.prefix, nothing: "It has told of no route.",
		columns: [
			{ key: "prefix", name: "prefix", cell: r => h("code", {}, r.prefix) },
			{ key: "origin", name: "origin", cell: r => stateText(r.origin) },
			{ key: "metric", name: "metric", right: true },
			{ key: "next", name: "next hops", cell: r => r.why ? h("span", { class: "why" }, r.why)
				: (r.next_hops ?? []).map(n => h("div", {}, hopText(n))), sort: r => r.next_hops?.[0]?.via },
			{ key: "last_change", name: "changed", cell: r => since(r.last_change) },
			{ key: "trace", name: "", sort: null,
				cell: r => link(`/network?from=${encodeURIComponent(id)}&to=${r.prefix.split("/")[0]}`, "trace") },
		],
	});
}

// The rule's own words without what other columns say: its chain and number, its comment.
function matchText(a, r) {
	const text = (r.text ?? "").replace(`${a.chain} rule ${r.sequence}: `, "");
	return r.comment ? text.replace(` "${r.comment}"`, "") : text;
}

export function aclsPart() {
	const p = panel("Access lists");
	const tables = new Map();
	function chain(a) {
		if (!tables.has(a.chain)) {
			const t = table({
				label: a.chain, id: r => r.sequence, nothing: "It has no rule.",
				columns: [
					{ key: "sequence", name: "rule", right: true },
					{ key: "action", name: "action", cell: r => h("b", {}, stateText(r.action)) },
					{ key: "text", name: "what it matches", wide: true,
						cell: r => [h("code", {}, matchText(a, r)), r.modelled === false ? [" ", state("not modelled",
						"warn")] : ""] },
					{ key: "owner", name: "owner", help: "gemel: an instruction made it; operator: somebody else did" },
					{ key: "comment", name: "comment" },
					{ key: "packets", name: "packets", right: true, cell: r => count(r.packets) },
					{ key: "octets", name: "bytes", right: true, cell: r => bytes(r.octets) },
				],
			});
			const head = h("h3", {});
			tables.set(a.chain, { t, head, node: h("section", {}, head, t.node) });
		}
		const entry = tables.get(a.chain);
		fill(entry.head, h("code", {}, a.chain), h("span", { class: "muted" },
			a.hook ? ` at ${String(a.hook).toLowerCase()}, priority ${a.priority}, else ` : " jumped to"),
		a.hook && h("b", {}, stateText(a.default_action)));
		entry.t.update(a.rules ?? []);
		return entry.node;
	}
	return {
		...p,
		draw(answer) {
			const acls = answer.body.acls;
			p.show(answer);
			fill(p.body, acls === null ? empty("Withheld: access lists are confidential, and this account may not read them.")
				: acls?.length ? acls.map(chain) : empty("It filters nothing."));
		},
	};
}

export function neighboursPart() {
	const near = tablePart("Neighbours by address", {
		rows: b => b.neighbours ?? [], id: n => `${n.interface} ${n.address}`, sort: "address",
			nothing: "It knows of no neighbour.",
		columns: [
			{ key: "address", name: "address", cell: n => h("code", {}, n.address) },
			{ key: "interface", name: "interface" },
			{ key: "mac", name: "MAC", cell: n => n.mac && h("code", {}, n.mac) },
			{ key: "state", name: "state", cell: n => state(n.state) },
			{ key: "last_change", name: "changed", cell: n => since(n.last_change) },
		],
	});
	const lldp = tablePart("Neighbours by LLDP", {
		rows: b => b.lldp ?? [], id: n => `${n.interface} ${n.chassis_id} ${n.port_id}`, sort: "interface",
			nothing: "LLDP has told of none.",
		columns: [
			{ key: "interface", name: "interface" },
			{ key: "system_name", name: "neighbour", cell: n => n.system_name && deviceLink(n.system_name) },
			{ key: "port_id", name: "its port" }, { key: "port_description", name: "described as" },
			{ key: "chassis_id", name: "chassis", cell: n => n.chassis_id && h("code", {}, n.chassis_id) },
		],
	});
	return {
		node: h("div", {}, lldp.node, near.node),
		draw(answer) { near.draw(answer); lldp.draw(answer); },
		fail(problem) { near.fail(problem); },
	};
}
