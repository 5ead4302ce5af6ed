// SPDX-License-Identifier: Apache-2.0
// The parts beside the map: what was clicked, loops and black holes, the last changes, the legend, and the
// links as a table for those who cannot or would not use a map.
import { fill, h, svg } from "../dom.mjs";
import { get, serverNow } from "../api.mjs";
import { changes, onChanges } from "../changes.mjs";
import { bits, percent, plain, shortTime } from "../format.mjs";
import { moment, onMoment, setMoment } from "../moment.mjs";
import { deviceLink, encode, link } from "../router.mjs";
import { empty, facts, livePanel, panel } from "../panel.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { busyShare, deviceState, linkState } from "../map/elements.mjs";
import { state } from "../words.mjs";

const endText = e => [deviceLink(e.device), ` ${e.interface} `];

function linkFacts(l) {
	const s = linkState(l), load = l.load ?? {};
	return facts([
		["state", [state(s.word, s.kind), " ", h("span", { class: "muted" }, l.why ?? "")]],
		["from", [endText(l.a), l.a.oper_status && state(l.a.oper_status)]],
		["to", [endText(l.b), l.b.oper_status && state(l.b.oper_status)]],
		[`${l.a.device} \u2192`, bits(load.a_to_b_bps)],
		[`${l.b.device} \u2192`, bits(load.b_to_a_bps)],
		["capacity", [bits(load.capacity_bps), Number.isFinite(load.utilisation)
			? `, ${percent(load.utilisation)} used` : ""]],
		["changed", since(l.last_change)],
		["seen by", plain(l.evidence)],
	]);
}

function deviceFacts(n, d) {
	const s = deviceState(n, d);
	return facts([
		["state", [state(s.word, s.kind), d?.state && d.state !== s.word ? [" ", state(d.state)] : ""]],
		["heard", n && Number.isFinite(n.age_ms) ? since(serverNow() - n.age_ms) : "never"],
		["place", [d?.site, d?.domain, d?.role].filter(Boolean).join(", ")],
		n && ["interfaces", `${n.interfaces_up} of ${n.interfaces} up`],
		n && ["addresses", plain(n.addresses)],
		n && ["software", n.software],
		n && ["changed", since(n.last_change)],
	]);
}

export function chosenPanel() {
	const p = panel("Chosen", {});
	const note = h("div", {});
	p.node.append(note);
	p.node.hidden = true;
	return {
		node: p.node, note,
		show(chosen, topology, devices, stub) {
			const title = p.head.querySelector("h2");
			const l = chosen.kind === "link" && topology?.links.find(x => x.id === chosen.id);
			const n = chosen.kind === "device" && topology?.nodes.find(x => x.id === chosen.id);
			const d = devices.get(chosen.id);
			p.node.hidden = !(l || n || d || stub);
			if (l) {
				title.textContent = "Link";
				fill(p.body, linkFacts(l));
			} else if (stub) {
				title.textContent = stub.prefix;
				fill(p.body, h("p", {}, "On ", deviceLink(stub.device), ` ${stub.interface}`),
					h("ul", { class: "plain" }, stub.hosts.map(x => h("li", {}, h("code", {}, x.address), " ",
						h("span", { class: "muted" }, x.mac), " ", state(x.state)))));
			} else if (n || d) {
				title.replaceChildren(link(`/devices/${encode(chosen.id)}`, chosen.id), " ");
				fill(p.body, deviceFacts(n, d));
			}
		},
	};
}

export function checksPanel() {
	const finding = (f, kind) => h("li", {}, state(kind), " at ", f.devices.map((d, i) => [i ? " \u2192 " : "",
		deviceLink(d)]),
		h("div", { class: "muted" }, f.why, " for ", (f.prefixes ?? []).slice(0, 4).join(", "),
			f.prefixes?.length > 4 ? ` and ${f.prefixes.length - 4} more` : "", ", since ", since(f.since)));
	return livePanel("Loops and black holes", {
		load: signal => get("/v1/forwarding/checks", { signal }), on: ["forwarding.", "topology."], every: 10000,
		draw(body, _, p) {
			const loops = body.loops ?? [], holes = (body.black_holes ?? []).filter(f => !f.connected_only);
			const unsure = body.inconclusive_devices ?? [];
			fill(p.body, loops.length + holes.length
				? h("ul", { class: "plain" }, loops.map(f => finding(f, "loop")),
					holes.map(f => finding(f, "black-hole")))
				: h("p", {}, state("none", "ok"), h("span", { class: "muted" }, body.pending
					? " so far; still looking" : "")),
			unsure.length > 0 && h("p", { class: "muted" }, "Not sure of ", unsure.map((u, i) => [i ? ", " : "",
				deviceLink(u.device)]), "."));
		},
	});
}

export function changesPanel() {
	const p = panel("Last changes");
	function draw() {
		const list = changes().filter(c => moment.at === null || c.ms <= moment.at).slice(-12).reverse();
		fill(p.body, list.length === 0 ? empty("None is known.") : h("ul", { class: "changes" }, list.map(c =>
			h("li", {}, h("button", { type: "button", class: "quiet time",
				title: "Show the network just after it", onclick: () => setMoment(Math.floor(c.ms) + 1) },
				shortTime(c.ms, serverNow())), h("span", {}, c.text)))));
	}
	draw();
	const ends = [onChanges(draw), onMoment(draw)];
	return { node: p.node, stop: () => ends.forEach(end => end()) };
}

export function linksTable(choose) {
	const t = table({
		label: "Links", id: l => l.id, open: l => choose(l.id), sort: "state", nothing: "No link is known.",
		columns: [
			{ key: "a", name: "from", cell: l => endText(l.a), sort: l => l.a.device },
			{ key: "b", name: "to", cell: l => endText(l.b), sort: l => l.b.device },
			{ key: "state", name: "state", cell: l => state(linkState(l).word, linkState(l).kind),
				sort: l => l.state },
			{ key: "ab", name: "there", right: true, cell: l => bits(l.load?.a_to_b_bps),
				sort: l => l.load?.a_to_b_bps },
			{ key: "ba", name: "back", right: true, cell: l => bits(l.load?.b_to_a_bps),
				sort: l => l.load?.b_to_a_bps },
			{ key: "use", name: "used", right: true, cell: l => percent(l.load?.utilisation),
				sort: l => l.load?.utilisation },
			{ key: "last_change", name: "changed", cell: l => since(l.last_change) },
			{ key: "why", name: "evidence", cell: l => h("span", { class: "muted" }, l.why), wide: true },
		],
	});
	return { node: h("details", { class: "panel links" }, h("summary", {}, h("h2", {}, "Links as a table")),
		t.node), update: rows => t.update(rows) };
}

const sample = (attributes, word) => h("span", { class: "sample" },
	svg("svg", { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" },
		svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, ...attributes })), word);

export function legend() {
	return h("div", { class: "legend", "aria-label": "Legend" },
		sample({ class: "l-up", "stroke-width": 1.5 }, "up"),
		sample({ class: "l-up", "stroke-width": 5 }, "up, loaded"),
		sample({ class: "l-warn", "stroke-width": 4, "stroke-dasharray": "6 4" },
			`busy (over ${percent(busyShare)}) or unconfirmed`),
		sample({ class: "l-bad", "stroke-width": 2.25, "stroke-dasharray": "3 4" }, "down"),
		sample({ class: "l-up", "stroke-width": 1.5, "stroke-dasharray": "2 4" }, "stale"),
		sample({ class: "l-way", "stroke-width": 3.5 }, "the packet\u2019s way"));
}
