// SPDX-License-Identifier: Apache-2.0
// The live map: devices by site or domain, links by state and load, and the way that a packet takes, from
// two clicks. The first click says where from, the second where to; both also show what was clicked.
import { fill, h, say } from "../dom.mjs";
import { get, itemsOf } from "../api.mjs";
import { changesOfTopology } from "../changes.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { encode, go, stay } from "../router.mjs";
import { panel, problemBox } from "../panel.mjs";
import { NetworkMap } from "../map/draw.mjs";
import { elementsOf, linkState, stubsOf, wayOf } from "../map/elements.mjs";
import { forgetPlaces, pin, placesFor, unpinAll } from "../map/places.mjs";
import { TracePanel } from "./trace.mjs";
import { changesPanel, checksPanel, chosenPanel, legend, linksTable } from "./network-parts.mjs";

export const title = () => "Network";

const choices = { by: "domain", withHosts: true };

function remember(save) {
	try {
		if (save)
			localStorage.setItem("gemel.map", JSON.stringify(choices));
		else
			Object.assign(choices, JSON.parse(localStorage.getItem("gemel.map")) ?? {});
	} catch {
		// for this page only, then
	}
}

function toolbar(redo, fit) {
	const groupings = [["domain", "by domain"], ["site", "by site"], ["none", "no areas"]];
	const by = h("select", { "aria-label": "Areas by" }, groupings.map(([value, text]) =>
		h("option", { value, selected: value === choices.by }, text)));
	const hosts = h("input", { type: "checkbox", checked: choices.withHosts, id: "with-hosts" });
	const change = () => {
		choices.by = by.value;
		choices.withHosts = hosts.checked;
		remember(true);
		forgetPlaces();
		redo();
	};
	by.addEventListener("change", change);
	hosts.addEventListener("change", change);
	return h("div", { class: "toolbar" }, by, h("label", { htmlFor: "with-hosts" }, hosts, " hosts"),
		h("button", { type: "button", onclick: fit, title: "Show all of it (f)" }, "Fit"),
		h("button", { type: "button", title: "Forget what was dragged", onclick: () => { unpinAll(); redo(); } },
			"Tidy"));
}

class NetworkPage {
	constructor(outlet) {
		this.topology = null;
		this.devices = new Map();
		this.chosen = { kind: null, id: null };
		this.canvas = h("div", { class: "canvas", tabindex: "0", role: "application", id: "map",
			"aria-label": "Map of the network. Arrows go from device to device, Enter chooses one, o opens it." });
		this.summary = h("span", { class: "summary" });
		this.panel = panel("Network", { actions: [this.summary] });
		this.panel.node.classList.add("map");
		this.panel.body.append(this.canvas, legend());
		this.parts = { chosen: chosenPanel(), links: linksTable(id => this.choose("link", id)),
			checks: checksPanel(), changes: changesPanel() };
		this.trace = new TracePanel({
			found: result => this.showTrace(result), address: words => this.stay(words) });
		const { chosen, links, checks, changes } = this.parts;
		outlet.className = "network";
		outlet.append(h("div", { class: "left" }, this.panel.node, links.node),
			h("div", { class: "side" }, this.trace.node, chosen.node, checks.node, changes.node));
		this.map = new NetworkMap(this.canvas, {
			node: id => this.clickNode(id), edge: id => this.choose("link", id), open: id => this.openNode(id),
			clear: () => this.clear(), moved: (id, position) => pin(id, position, choices.by),
		});
		this.panel.head.querySelector(".grow").before(toolbar(() => this.draw(), () => this.map.fit()));
	}

	stay(words) {
		const address = new URLSearchParams(words);
		if (this.chosen.kind === "link")
			address.set("link", this.chosen.id);
		stay(`/network${address.size ? `?${address}` : ""}`);
	}

	stubOf(id) {
		return this.topology && stubsOf(this.topology).find(s => s.id === id);
	}

	choose(kind, id) {
		this.chosen = { kind, id };
		this.drawChosen();
		if (kind === "link")
			this.stay(this.trace.words);
	}

	// Two clicks: from, then to. A third begins anew.
	clickNode(id) {
		const stub = this.stubOf(id), place = stub ? stub.hosts[0].address : id;
		this.choose(stub ? "stub" : "device", id);
		if (this.trace.wantsTo(place)) {
			this.trace.to(place);
		} else {
			this.trace.from(place);
			say(`From ${place}. Choose where the packet goes to.`);
		}
		this.drawChosen();
	}

	openNode(id) {
		go(`/devices/${encode(this.stubOf(id)?.device ?? id)}`);
	}

	clear() {
		this.chosen = { kind: null, id: null };
		this.trace.clear();
		this.drawChosen();
	}

	showTrace(result) {
		this.map.way(result && this.topology ? wayOf(result, this.topology) : null);
	}

	drawChosen() {
		const { topology, chosen } = this, { from, to } = this.trace.words;
		const stubWith = name => stubsOf(topology).find(s => s.hosts.some(x => x.address === name));
		const onMap = name => topology && (stubWith(name)?.id ?? name);
		this.map.choose([chosen.kind === "link" && chosen.id, onMap(from), onMap(to)]);
		this.parts.chosen.show(chosen, topology, this.devices, this.stubOf(chosen.id));
	}

	draw() {
		const { topology, devices } = this;
		if (!topology)
			return;
		const all = [...devices.values()];
		if (choices.by === "domain" && !all.some(d => d.domain) && all.some(d => d.site))
			choices.by = "site";
		const { places, moved } = placesFor(topology, devices, choices);
		this.map.update(elementsOf(topology, devices, choices), places, moved);
		const down = topology.links.filter(l => linkState(l).kind === "bad").length;
		const stale = topology.nodes.filter(n => n.stale).length;
		this.summary.textContent = `${topology.nodes.length} devices${stale ? `, ${stale} stale` : ""}; ` +
			`${topology.links.length} links, ${down || "none"} down`;
		this.parts.links.update(topology.links);
		this.trace.known(topology);
		this.showTrace(this.trace.answer);
		this.drawChosen();
	}

	follow() {
		return [watch({
			load: signal => get("/v1/topology", { signal }), on: ["topology.", "device."], every: 3000,
				fail: this.panel.fail,
			show: answer => {
				this.topology = answer.body;
				this.panel.show(answer);
				changesOfTopology(this.topology);
				this.draw();
			},
		}), watch({
			load: signal => get("/v1/devices", { query: { limit: 1000 }, signal }), on: ["device."], every: 15000,
			show: answer => {
				this.devices = new Map(itemsOf(answer.body).map(d => [d.id, d]));
				this.draw();
			},
			fail: problem => { // the map goes on without sites and admission
				if (problem.status === 403)
					fill(this.parts.chosen.note, problemBox(problem));
			},
		})];
	}
}

export function open(outlet, params, query) {
	remember(false);
	const page = new NetworkPage(outlet), { checks, changes } = page.parts;
	page.trace.start(query);
	if (query.get("link"))
		page.choose("link", query.get("link"));
	return bundle(...page.follow(), checks, changes, () => page.trace.stop(),
		pageKey("f", "show all of the map", () => page.map.fit()),
		pageKey("t", "trace a packet: to the fields", () => page.trace.focus()),
		pageKey("m", "to the map", () => page.canvas.focus()),
		pageKey("Escape", "forget what was chosen", () => page.clear()),
		() => page.map.end());
}
