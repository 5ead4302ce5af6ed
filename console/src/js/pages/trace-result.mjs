// SPDX-License-Identifier: Apache-2.0
// What /v1/paths:trace answers, for reading: verdict, packet, hops with what decided at each.
import { h } from "../dom.mjs";
import { deviceLink } from "../router.mjs";
import { age } from "../stamp.mjs";
import { state } from "../words.mjs";

const protocolNames = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };
const given = value => value !== null && value !== undefined;

function packetText(p = {}) {
	const end = (address, port) => `${address ?? "any"}${given(port) ? `:${port}` : ""}`;
	const protocol = given(p.protocol) ? protocolNames[p.protocol] ?? `protocol ${p.protocol}` : "any protocol";
	return `${end(p.source, p.source_port)} \u2192 ${end(p.destination, p.destination_port)}, ${protocol}`;
}

function outNode(out, many) {
	return h("div", { class: "out" },
		out.interface && h("span", {}, h("span", { class: "dir" }, "out "), out.interface,
			out.via && h("span", { class: "muted" }, ` via ${out.via}`)),
		out.verdict && [" ", state(out.verdict)],
		out.rule && h("div", { class: "rule", title: out.rule.record ?? "" }, out.rule.text),
		out.why && !(out.rule && out.why.includes(out.rule.text)) && h("div", { class: "why" }, out.why),
		many && Number.isInteger(out.to) && h("span", { class: "muted" }, ` to hop ${out.to + 1}`));
}

function hopNode(hop, i, came) {
	const outs = hop.out ?? [];
	return h("li", {},
		h("div", { class: "hop" }, h("span", { class: "n" }, i + 1), deviceLink(hop.device),
			hop.in && h("span", {}, h("span", { class: "dir" }, "in "), hop.in), h("span", { class: "grow" }),
			hop.stale && state("stale"), h("span", { class: "stamp" }, age(hop.age_ms, came))),
		hop.route && h("div", { class: "route", title: hop.route.record ?? "" }, hop.route.text),
		outs.map(out => outNode(out, outs.length > 1)),
		hop.note && h("div", { class: "why" }, hop.note));
}

// Whether a hop says already what the whole was decided by.
const saidByHop = body => (body.hops ?? []).some(hop =>
	(hop.out ?? []).some(o => o.rule && o.verdict && body.why?.includes(o.rule.text)));

export function traceResult({ body, came }) {
	const paths = body.paths ?? [], gaps = body.not_modelled ?? [];
	return h("div", { class: "trace" },
		h("p", { class: "verdict" }, state(body.verdict),
			body.partial && h("span", { class: "muted" }, " branches end differently")),
		body.why && !saidByHop(body) && h("p", { class: "why" }, body.why),
		h("p", { class: "packet" }, packetText(body.packet)),
		paths.length > 1 && h("details", {}, h("summary", {}, `${paths.length} paths`),
			h("ol", { class: "paths" }, paths.map(p => h("li", {}, p.devices.join(" \u203a "), " ",
				state(p.verdict))))),
		h("ol", { class: "hops" }, (body.hops ?? []).map((hop, i) => hopNode(hop, i, came))),
		gaps.length > 0 && h("details", { class: "muted" }, h("summary", {}, "What the engine does not model"),
			h("ul", {}, gaps.map(x => h("li", {}, x)))));
}
