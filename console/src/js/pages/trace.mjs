// SPDX-License-Identifier: Apache-2.0
// A packet's way through the twin, read downwards: at each hop the route or rule that decided. The verdict
// is the engine's; what it cannot know for sure it calls inconclusive, and says why.
import { fill, h, say } from "../dom.mjs";
import { get } from "../api.mjs";
import { deviceLink } from "../router.mjs";
import { panel } from "../panel.mjs";
import { age } from "../stamp.mjs";
import { watch } from "../live.mjs";
import { moment } from "../moment.mjs";
import { state } from "../words.mjs";

const protocols = ["icmp", "tcp", "udp", "any"];

function packetText(p) {
	const names = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };
	const end = (address, port) => `${address ?? "any"}${port === null || port === undefined ? "" : `:${port}`}`;
	const protocol = p.protocol === null || p.protocol === undefined ? "any protocol" : names[p.protocol] ?? `protocol ${p.protocol}`;
	return `${end(p.source, p.source_port)} \u2192 ${end(p.destination, p.destination_port)}, ${protocol}`;
}

function outNode(out, many) {
	return h("div", { class: "out" },
		out.interface && h("span", {}, h("span", { class: "dir" }, "out "), out.interface, out.via && h("span", { class: "muted" }, ` via ${out.via}`)),
		out.verdict && [" ", state(out.verdict)],
		out.rule && h("div", { class: "rule", title: out.rule.record ?? "" }, out.rule.text),
		out.why && out.why !== out.rule?.text && h("div", { class: "why" }, out.why),
		many && Number.isInteger(out.to) && h("span", { class: "muted" }, ` to hop ${out.to + 1}`));
}

function hopNode(hop, i, came) {
	const outs = hop.out ?? [];
	return h("li", {},
		h("div", { class: "hop" }, h("span", { class: "n" }, i + 1), deviceLink(hop.device),
			hop.in && h("span", {}, h("span", { class: "dir" }, "in "), hop.in),
			h("span", { class: "grow" }), hop.stale && state("stale"), h("span", { class: "stamp" }, age(hop.age_ms, came))),
		hop.route && h("div", { class: "route", title: hop.route.record ?? "" }, hop.route.text),
		outs.map(out => outNode(out, outs.length > 1)),
		hop.note && h("div", { class: "why" }, hop.note));
}

function resultNode({ body, came }) {
	const paths = body.paths ?? [];
	return h("div", { class: "trace" },
		h("p", { class: "verdict" }, state(body.verdict), body.partial && h("span", { class: "muted" }, " branches end differently")),
		body.why && h("p", { class: "why" }, body.why),
		h("p", { class: "packet" }, packetText(body.packet ?? {})),
		paths.length > 1 && h("details", {}, h("summary", {}, `${paths.length} paths`),
			h("ol", { class: "paths" }, paths.map(p => h("li", {}, p.devices.join(" \u203a "), " ", state(p.verdict))))),
		h("ol", { class: "hops" }, (body.hops ?? []).map((hop, i) => hopNode(hop, i, came))),
		body.not_modelled?.length > 0 && h("details", { class: "muted" }, h("summary", {}, "What the engine does not model"),
			h("ul", {}, body.not_modelled.map(x => h("li", {}, x)))));
}

function fields(submit, swap) {
	const text = (name, label, more) => h("input", { name, type: "text", "aria-label": label, placeholder: label, list: "places",
		spellcheck: "false", autocomplete: "off", ...more });
	const from = text("from", "from"), to = text("to", "to");
	const protocol = h("select", { name: "protocol", "aria-label": "Protocol" }, protocols.map(p => h("option", { value: p }, p)));
	const port = h("input", { name: "port", type: "number", min: "0", max: "65535", "aria-label": "Destination port", placeholder: "port" });
	const places = h("datalist", { id: "places" });
	const form = h("form", { class: "ask", onsubmit: e => { e.preventDefault(); submit(); } }, from,
		h("button", { type: "button", class: "quiet", title: "The way back", "aria-label": "Swap from and to", onclick: swap }, "\u21c4"), to,
		h("div", { class: "line" }, protocol, port, h("button", { type: "submit" }, "Trace")), places);
	return { form, from, to, protocol, port, places };
}

// found(result or null) draws it on the map; address(words) keeps the page's address.
export function tracePanel({ found, address }) {
	const p = panel("Packet");
	const f = fields(ask, () => {
		[f.from.value, f.to.value] = [f.to.value, f.from.value];
		ask();
	});
	const hint = h("p", { class: "note" }, "Click where a packet comes from, then where it goes to.");
	const result = h("div", {});
	let live = null, last = null;
	p.node.classList.add("packet-panel");
	p.body.append(f.form, hint, result);

	const words = () => {
		const ported = ["tcp", "udp"].includes(f.protocol.value);
		return Object.fromEntries(Object.entries({
			from: f.from.value.trim(), to: f.to.value.trim(), protocol: f.protocol.value, port: ported ? f.port.value : "",
		}).filter(([key, value]) => value && !(key === "protocol" && !f.from.value)));
	};

	function stop() {
		live?.stop();
		live = null;
	}

	function ask() {
		const w = words();
		f.port.hidden = !["tcp", "udp"].includes(f.protocol.value);
		stop();
		if (!w.from || !w.to) {
			address(w);
			return;
		}
		address(w);
		let spoken = false;
		live = watch({
			load: signal => get("/v1/paths:trace", { signal, query: {
				from: w.from, to: w.to, protocol: w.protocol === "any" ? null : w.protocol, destination_port: w.port } }),
			on: ["topology.", "forwarding.", "device."], every: 5000,
			show(answer) {
				const before = last?.body.verdict;
				last = answer;
				hint.hidden = true;
				p.show(answer);
				fill(result, resultNode(answer));
				found(answer.body);
				if (!spoken || before !== answer.body.verdict)
					say(`${w.from} to ${w.to}: ${answer.body.verdict}${moment.at === null ? "" : " then"}`);
				spoken = true;
			},
			fail(problem) {
				last = null;
				fill(result);
				p.fail(problem);
				found(null);
			},
		});
	}

	f.protocol.addEventListener("change", ask);
	f.port.addEventListener("change", ask);
	f.port.hidden = true;

	function drop() {
		stop();
		last = null;
		fill(result);
		hint.hidden = false;
		found(null);
	}

	return {
		node: p.node, words, stop,
		result: () => last?.body ?? null,
		focus: () => f.from.focus(),
		wantsTo: place => Boolean(f.from.value) && !f.to.value && f.from.value !== place,
		from(place) {
			drop();
			f.from.value = place;
			f.to.value = "";
			fill(hint, `From ${place}. Click where it goes to.`);
			address(words());
		},
		to(place) {
			f.to.value = place;
			ask();
		},
		clear() {
			drop();
			f.from.value = f.to.value = "";
			fill(hint, "Click where a packet comes from, then where it goes to.");
			address({});
		},
		known(topology) {
			const names = [...(topology.nodes ?? []).map(n => n.id), ...(topology.hosts ?? []).map(x => x.address)];
			if (f.places.childElementCount !== names.length)
				fill(f.places, names.map(value => h("option", { value })));
		},
		start(query) {
			f.from.value = query.from ?? "";
			f.to.value = query.to ?? "";
			f.protocol.value = protocols.includes(query.protocol) ? query.protocol : "icmp";
			f.port.value = query.port ?? "";
			if (f.from.value)
				ask();
		},
	};
}
