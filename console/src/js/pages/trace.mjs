// SPDX-License-Identifier: Apache-2.0
// A packet's way through the twin, read downwards: at each hop the route or rule that decided. The verdict
// is the engine's; what it cannot know for sure it calls inconclusive, and says why.
import { fill, h, say } from "../dom.mjs";
import { get } from "../api.mjs";
import { panel } from "../panel.mjs";
import { watch } from "../live.mjs";
import { moment } from "../moment.mjs";
import { traceResult } from "./trace-result.mjs";

const protocols = ["icmp", "tcp", "udp", "any"], ported = ["tcp", "udp"];
const invitation = "Click where a packet comes from, then where it goes to.";

function fields(submit, swap) {
	const text = name => h("input", {
		name, type: "text", "aria-label": name, placeholder: name, list: "places", spellcheck: "false",
			autocomplete: "off" });
	const from = text("from"), to = text("to"), places = h("datalist", { id: "places" });
	const protocol = h("select", { name: "protocol", "aria-label": "Protocol", onchange: submit },
		protocols.map(p => h("option", { value: p }, p)));
	const port = h("input", { name: "port", type: "number", min: "0", max: "65535",
		"aria-label": "Destination port",
		placeholder: "port", hidden: true, onchange: submit });
	const form = h("form", { class: "ask", onsubmit: e => { e.preventDefault(); submit(); } }, from,
		h("button", { type: "button", class: "quiet", title: "The way back", "aria-label": "Swap from and to",
			onclick: swap }, "\u21c4"),
		to, h("div", { class: "line" }, protocol, port, h("button", { type: "submit" }, "Trace")), places);
	return { form, from, to, protocol, port, places };
}

// found(result or null) draws it on the map; address(words) keeps the page's address.
export class TracePanel {
	constructor({ found, address }) {
		this.found = found;
		this.address = address;
		this.panel = panel("Packet");
		this.fields = fields(() => this.ask(), () => this.swap());
		this.hint = h("p", { class: "note" }, invitation);
		this.result = h("div", {});
		this.panel.node.classList.add("packet-panel");
		this.panel.body.append(this.fields.form, this.hint, this.result);
		this.node = this.panel.node;
		this.last = null;
	}

	get words() {
		const { from, to, protocol, port } = this.fields;
		const all = { from: from.value.trim(), to: to.value.trim(), protocol: from.value ? protocol.value : "",
			port: ported.includes(protocol.value) ? port.value : "" };
		return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
	}

	get answer() {
		return this.last?.body ?? null;
	}

	stop() {
		this.live?.stop();
		this.live = null;
	}

	swap() {
		const { from, to } = this.fields;
		[from.value, to.value] = [to.value, from.value];
		this.ask();
	}

	ask() {
		const w = this.words;
		this.fields.port.hidden = !ported.includes(this.fields.protocol.value);
		this.stop();
		this.address(w);
		if (!w.from || !w.to)
			return;
		const query = { from: w.from, to: w.to, protocol: w.protocol === "any" ? null : w.protocol,
			destination_port: w.port };
		this.live = watch({
			load: signal => get("/v1/paths:trace", { signal, query }), on: ["topology.", "forwarding.",
				"device."], every: 5000,
			show: answer => this.show(answer, w), fail: problem => this.fail(problem),
		});
	}

	show(answer, w) {
		const before = this.last?.body.verdict, { verdict } = answer.body;
		this.last = answer;
		this.hint.hidden = true;
		this.panel.show(answer);
		fill(this.result, traceResult(answer));
		this.found(answer.body);
		if (before !== verdict)
			say(`${w.from} to ${w.to}: ${verdict}${moment.at === null ? "" : " then"}`);
	}

	fail(problem) {
		this.last = null;
		fill(this.result);
		this.panel.fail(problem);
		this.found(null);
	}

	drop(hint) {
		this.stop();
		this.last = null;
		fill(this.result);
		fill(this.hint, hint);
		this.hint.hidden = false;
		this.found(null);
	}

	// Clicks on the map.
	wantsTo(place) {
		const { from, to } = this.fields;
		return Boolean(from.value) && !to.value && from.value !== place;
	}

	from(place) {
		this.drop(`From ${place}. Click where it goes to.`);
		this.fields.from.value = place;
		this.fields.to.value = "";
		this.address(this.words);
	}

	to(place) {
		this.fields.to.value = place;
		this.ask();
	}

	clear() {
		this.drop(invitation);
		this.fields.from.value = this.fields.to.value = "";
		this.address({});
	}

	focus() {
		this.fields.from.focus();
	}

	// What may be typed.
	known({ nodes = [], hosts = [] }) {
		const names = [...nodes.map(n => n.id), ...hosts.map(x => x.address)];
		if (this.fields.places.childElementCount !== names.length)
			fill(this.fields.places, names.map(value => h("option", { value })));
	}

	start(query) {
		const { from, to, protocol, port } = this.fields;
		from.value = query.get("from") ?? "";
		to.value = query.get("to") ?? "";
		protocol.value = protocols.includes(query.get("protocol")) ? query.get("protocol") : "icmp";
		port.value = query.get("port") ?? "";
		if (from.value)
			this.ask();
	}
}
