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
import { drawMap } from "../map/draw.mjs";
import { elementsOf, linkState, stubsOf, wayOf } from "../map/elements.mjs";
import { forgetPlaces, pin, placesFor, unpinAll } from "../map/places.mjs";
import { tracePanel } from "./trace.mjs";
import { changesPanel, checksPanel, chosenPanel, legend, linksTable } from "./network-parts.mjs";

export const title = () => "Network";

const choices = { by: "site", withHosts: true };

function remembered() {
	try {
		Object.assign(choices, JSON.parse(localStorage.getItem("gemel.map")) ?? {});
	} catch {
		// as shipped
	}
}

function toolbar(redo, fit) {
	const by = h("select", { "aria-label": "Areas by" }, [["site", "by site"], ["domain", "by domain"], ["none", "no areas"]]
		.map(([value, text]) => h("option", { value, selected: value === choices.by }, text)));
	const hosts = h("input", { type: "checkbox", checked: choices.withHosts, id: "with-hosts" });
	const change = () => {
		choices.by = by.value;
		choices.withHosts = hosts.checked;
		try {
			localStorage.setItem("gemel.map", JSON.stringify(choices));
		} catch {
			// for this page only, then
		}
		forgetPlaces();
		redo();
	};
	by.addEventListener("change", change);
	hosts.addEventListener("change", change);
	return h("div", { class: "toolbar" }, by, h("label", { htmlFor: "with-hosts" }, hosts, " hosts"),
		h("button", { type: "button", onclick: fit, title: "Show all of it (f)" }, "Fit"),
		h("button", { type: "button", title: "Forget what was dragged", onclick: () => { unpinAll(); redo(); } }, "Tidy"));
}

export function open(outlet, params, query) {
	remembered();
	let topology = null, devices = new Map(), chosen = { kind: null, id: null }, ended = false;
	const canvas = h("div", { class: "canvas", tabindex: "0", role: "application", id: "map",
		"aria-label": "Map of the network. Arrows go from device to device, Enter chooses one, o opens it." });
	const mapPanel = panel("Network", { actions: [h("span", { class: "summary" })] });
	const summary = mapPanel.head.querySelector(".summary");
	const chosenPart = chosenPanel(), trace = tracePanel({ found: showTrace, address: stayHere });
	const links = linksTable(id => choose("link", id));
	const changes = changesPanel(), checks = checksPanel();
	mapPanel.node.classList.add("map");
	outlet.className = "network";
	mapPanel.body.append(canvas, legend());
	outlet.append(h("div", { class: "left" }, mapPanel.node, links.node),
		h("div", { class: "side" }, trace.node, chosenPart.node, checks.node, changes.node));

	const map = drawMap(canvas, {
		node: clickNode, edge: id => choose("link", id), open: openNode, clear,
		moved: (id, position) => pin(id, position, choices.by),
	});
	mapPanel.head.querySelector(".grow").before(toolbar(() => draw(), map.fit));

	function stayHere(words) {
		const address = new URLSearchParams(words);
		if (chosen.kind === "link")
			address.set("link", chosen.id);
		stay(`/network${address.size ? `?${address}` : ""}`);
	}

	function stubOf(id) {
		return topology && stubsOf(topology).find(s => s.id === id);
	}

	function choose(kind, id) {
		chosen = { kind, id };
		drawChosen();
		if (kind === "link")
			stayHere(trace.words());
	}

	// Two clicks: from, then to. A third begins anew.
	function clickNode(id) {
		const stub = stubOf(id);
		choose(stub ? "stub" : "device", id);
		const place = stub ? stub.hosts[0].address : id;
		if (trace.wantsTo(place)) {
			trace.to(place);
		} else {
			trace.from(place);
			say(`From ${place}. Choose where the packet goes to.`);
		}
		drawChosen();
	}

	function openNode(id) {
		go(`/devices/${encode(stubOf(id)?.device ?? id)}`);
	}

	function clear() {
		chosen = { kind: null, id: null };
		trace.clear();
		drawChosen();
	}

	function showTrace(result) {
		map.way(result && topology ? wayOf(result, topology) : null);
	}

	function drawChosen() {
		const ends = [trace.words().from, trace.words().to];
		const ids = ends.map(name => topology && (stubsOf(topology).find(s => s.hosts.some(x => x.address === name))?.id ?? name));
		map.choose([chosen.kind === "link" && chosen.id, ...ids]);
		chosenPart.show(chosen, topology, devices, stubOf(chosen.id));
	}

	function draw() {
		if (!topology || ended)
			return;
		if (choices.by === "site" && ![...devices.values()].some(d => d.site) && [...devices.values()].some(d => d.domain))
			choices.by = "domain";
		const places = placesFor(topology, devices, choices);
		map.update(elementsOf(topology, devices, choices), places);
		if (places)
			map.fit();
		const down = topology.links.filter(l => linkState(l).kind === "bad").length;
		const stale = topology.nodes.filter(n => n.stale).length;
		summary.textContent = `${topology.nodes.length} devices${stale ? `, ${stale} stale` : ""}; ` +
			`${topology.links.length} links${down ? `, ${down} down` : ", none down"}`;
		links.update(topology.links);
		trace.known(topology);
		showTrace(trace.result());
		drawChosen();
	}

	const ofTopology = watch({
		load: signal => get("/v1/topology", { signal }), on: ["topology.", "device."], every: 3000, fail: mapPanel.fail,
		show(answer) {
			topology = answer.body;
			mapPanel.show(answer);
			changesOfTopology(topology);
			draw();
		},
	});
	const ofDevices = watch({
		load: signal => get("/v1/devices", { query: { limit: 1000 }, signal }), on: ["device."], every: 15000,
		show(answer) {
			devices = new Map(itemsOf(answer.body).map(d => [d.id, d]));
			draw();
		},
		fail(problem) { // the map goes on without sites and admission
			if (problem.status === 403)
				fill(chosenPart.note, problemBox(problem));
		},
	});
	trace.start(Object.fromEntries(query));
	if (query.get("link"))
		choose("link", query.get("link"));
	return bundle(ofTopology, ofDevices, checks, changes, trace,
		pageKey("f", "show all of the map", map.fit),
		pageKey("t", "trace a packet: to the fields", () => trace.focus()),
		pageKey("m", "to the map", () => canvas.focus()),
		pageKey("Escape", "forget what was chosen", clear),
		() => { ended = true; map.end(); });
}
