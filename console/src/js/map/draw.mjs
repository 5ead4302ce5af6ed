// SPDX-License-Identifier: Apache-2.0
// The map on a canvas. It is told what there is (elements) and which way is shown; it tells what was
// chosen: on = {node(id), edge(id), open(id), clear(), moved(id, position)}.
import cytoscape from "/lib/cytoscape.mjs";
import { onTheme } from "../theme.mjs";
import { walkWithKeys } from "./walk.mjs";
import { mapStyle } from "./style.mjs";
import { placeLabels } from "./labels.mjs";

const largest = 1.35; // a small network is not blown up beyond this
const doubleClick = 350; // ms

export class NetworkMap {
	constructor(container, on) {
		this.on = on;
		this.cy = cytoscape({
			container, style: mapStyle(), minZoom: 0.15, maxZoom: 3, boxSelectionEnabled: false,
			autounselectify: true, layout: { name: "preset" }, pixelRatio: "auto",
		});
		this.fitted = true; // nobody has moved it: it fits itself to its place
		this.shown = null; // the way of a packet
		this.listen(container);
		walkWithKeys(this.cy, container, on, () => { this.fitted = false; });
		this.sizes = new ResizeObserver(() => this.fitted ? this.fit() : this.cy.resize());
		this.sizes.observe(container);
		this.endTheme = onTheme(() => this.cy.style(mapStyle()));
	}

	listen(container) {
		const { cy, on } = this;
		let last = { id: null, time: 0 };
		cy.on("tap", event => {
			const at = event.target, id = at === cy ? null : at.id();
			if (at === cy || at.hasClass("area"))
				on.clear();
			else if (at.isNode())
				on.node(id);
			else if (at.hasClass("link"))
				on.edge(id);
			if (id && at.isNode() && id === last.id && event.timeStamp - last.time < doubleClick)
				on.open(id);
			last = { id, time: event.timeStamp };
		});
		cy.on("dragfree", "node", event => {
			on.moved(event.target.id(), event.target.position());
			cy.batch(() => placeLabels(cy));
		});
		cy.on("mouseover", "node.device, node.stub, edge.link", () => { container.style.cursor = "pointer"; });
		cy.on("mouseout", "node, edge", () => { container.style.cursor = ""; });
		cy.on("pan zoom", () => {
			if (!this.fitting)
				this.fitted = false;
		});
	}

	// A frame later: cytoscape measures labels when it draws, and would keep the old measures otherwise.
	fit() {
		cancelAnimationFrame(this.asked);
		this.asked = requestAnimationFrame(() => {
			const { cy } = this;
			if (cy.destroyed())
				return;
			this.fitting = true;
			cy.resize();
			cy.fit(cy.elements(), 28);
			if (cy.zoom() > largest) {
				cy.zoom(largest);
				cy.center(cy.elements());
			}
			this.fitting = false;
			this.fitted = true;
		});
	}

	put({ data, classes }, place) {
		const old = this.cy.getElementById(data.id);
		if (old.empty()) {
			this.cy.add({ data, classes, position: place && { ...place } }).scratch("classes", classes);
			return;
		}
		if (data.parent !== undefined && (old.data("parent") ?? null) !== data.parent)
			old.move({ parent: data.parent });
		const fixed = ["id", "source", "target", "parent"];
		for (const [key, value] of Object.entries(data))
			if (!fixed.includes(key) && old.data(key) !== value)
				old.data(key, value);
		if (old.scratch("classes") !== classes)
			old.classes(classes);
		old.scratch("classes", classes);
	}

	// places: Map id -> position; moved: whether they changed.
	update(elements, places, moved) {
		const { cy } = this;
		cy.batch(() => {
			const wanted = new Set(elements.map(e => e.data.id));
			cy.elements().filter(e => !wanted.has(e.id())).remove();
			elements.forEach(e => this.put(e, places.get(e.data.id)));
			for (const [id, position] of moved ? places : [])
				cy.getElementById(id).position({ ...position });
			placeLabels(cy);
			this.drawWay();
		});
		if (moved && this.fitted)
			this.fit();
	}

	way(next) {
		this.shown = next;
		this.cy.batch(() => this.drawWay());
	}

	drawWay() {
		const { cy, shown } = this;
		cy.elements().removeClass("way dim forward backward end-ok end-warn end-bad");
		for (const node of cy.nodes(".device"))
			if (node.data("label") !== node.data("plain"))
				node.data("label", node.data("plain"));
		if (!shown)
			return;
		cy.elements().not(".area").addClass("dim");
		for (const id of shown.nodes)
			cy.getElementById(id).removeClass("dim").addClass("way");
		for (const { id, forward } of shown.edges)
			cy.getElementById(id).removeClass("dim").addClass(`way ${forward ? "forward" : "backward"}`);
		for (const { id, verdict, kind } of shown.ends) {
			const node = cy.getElementById(id).addClass(`end-${kind}`);
			if (node.nonempty())
				node.data("label", `${node.data("name")}\n${verdict}`);
		}
	}

	choose(ids) {
		this.cy.batch(() => {
			this.cy.elements().removeClass("chosen");
			for (const id of ids.filter(Boolean))
				this.cy.getElementById(id).addClass("chosen");
		});
	}

	end() {
		this.sizes.disconnect();
		this.endTheme();
		cancelAnimationFrame(this.asked);
		this.cy.destroy();
	}
}
