// SPDX-License-Identifier: Apache-2.0
// The map on a canvas. It is told what there is (elements) and which way is shown; it tells what was
// chosen. With the keyboard: arrows aim at the next node in their direction, Enter chooses it.
import cytoscape from "/lib/cytoscape.mjs";
import { say } from "../dom.mjs";
import { onTheme } from "../theme.mjs";
import { mapStyle } from "./style.mjs";

const measure = document.createElement("canvas").getContext("2d");

export function labelWidth(label, size) {
	measure.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
	return Math.max(...label.split("\n").map(line => measure.measureText(line).width)) + 18;
}

// on: {node(id), edge(id), open(id), clear(), moved(id, position)}
export function drawMap(container, on) {
	const cy = cytoscape({
		container, style: mapStyle(), minZoom: 0.15, maxZoom: 3, boxSelectionEnabled: false,
		autounselectify: true, layout: { name: "preset" }, pixelRatio: "auto",
	});
	let byItself = true, way = null, tapped = 0;
	const ends = [onTheme(() => cy.style(mapStyle()))];

	cy.on("tap", event => {
		const at = event.target;
		if (at === cy || at.hasClass("area"))
			on.clear();
		else if (at.isNode())
			on.node(at.id());
		else if (at.hasClass("link"))
			on.edge(at.id());
		if (at !== cy && at.isNode() && at.id() === tapped?.id && event.timeStamp - tapped.time < 350)
			on.open(at.id());
		tapped = { id: at === cy ? null : at.id(), time: event.timeStamp };
	});
	cy.on("dragfree", "node", event => on.moved(event.target.id(), event.target.position()));
	cy.on("mouseover", "node.device, node.stub, edge.link", () => { container.style.cursor = "pointer"; });
	cy.on("mouseout", "node, edge", () => { container.style.cursor = ""; });
	cy.on("pan zoom", () => {
		if (!fitting)
			byItself = false;
	});

	let fitting = false;
	function fit() {
		fitting = true;
		cy.resize();
		cy.fit(cy.elements(), 28);
		if (cy.zoom() > 1.35) {
			cy.zoom(1.35);
			cy.center(cy.elements());
		}
		fitting = false;
		byItself = true;
	}
	const sizes = new ResizeObserver(() => byItself ? fit() : cy.resize());
	sizes.observe(container);

	function put(element) {
		const { data, classes, position } = element;
		const old = cy.getElementById(data.id);
		if (old.empty()) {
			cy.add({ data, classes, position: position && { ...position } });
			return true;
		}
		if (data.parent !== undefined && (old.data("parent") ?? null) !== data.parent)
			old.move({ parent: data.parent });
		for (const [key, value] of Object.entries(data))
			if (!["id", "source", "target", "parent"].includes(key) && old.data(key) !== value)
				old.data(key, value);
		if (old.scratch("classes") !== classes)
			old.classes(classes);
		old.scratch("classes", classes);
		return false;
	}

	function drawWay() {
		cy.elements().removeClass("way dim forward backward end-ok end-warn end-bad");
		for (const node of cy.nodes(".device"))
			if (node.data("label") !== node.data("plain"))
				node.data("label", node.data("plain"));
		if (!way)
			return;
		cy.elements().not(".area").addClass("dim");
		for (const id of way.nodes)
			cy.getElementById(id).removeClass("dim").addClass("way");
		for (const { id, forward } of way.edges)
			cy.getElementById(id).removeClass("dim").addClass(`way ${forward ? "forward" : "backward"}`);
		for (const { id, verdict, kind } of way.ends) {
			const node = cy.getElementById(id);
			node.addClass(`end-${kind}`);
			if (node.nonempty())
				node.data("label", `${node.data("name")}\n${verdict}`);
		}
	}

	// --- keyboard

	function aim(node) {
		cy.nodes().removeClass("aim");
		node.addClass("aim");
		say(node.data("label").replace("\n", ", "));
		const box = node.renderedBoundingBox();
		if (box.x1 < 0 || box.y1 < 0 || box.x2 > cy.width() || box.y2 > cy.height())
			cy.center(node);
	}

	function aimed() {
		const node = cy.nodes(".aim");
		return node.nonempty() ? node[0] : null;
	}

	const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

	function next([dx, dy]) {
		const from = aimed(), all = cy.nodes(".device, .stub").toArray();
		if (!from)
			return all[0];
		const p = from.position();
		let best = null;
		for (const node of all) {
			const q = node.position(), along = (q.x - p.x) * dx + (q.y - p.y) * dy;
			const aside = Math.abs((q.x - p.x) * dy) + Math.abs((q.y - p.y) * dx);
			if (node.id() !== from.id() && along > 4 && (!best || along + 2.2 * aside < best.cost))
				best = { node, cost: along + 2.2 * aside };
		}
		return best?.node ?? from;
	}

	container.addEventListener("keydown", event => {
		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		const node = aimed();
		if (directions[event.key]) {
			const to = next(directions[event.key]);
			if (to)
				aim(to);
		} else if (event.key === "Enter" && node) {
			on.node(node.id());
		} else if (event.key === "o" && node) {
			on.open(node.id());
		} else if (event.key === "+" || event.key === "-") {
			byItself = false;
			cy.zoom({ level: cy.zoom() * (event.key === "+" ? 1.2 : 1 / 1.2), renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
		} else {
			return;
		}
		event.preventDefault();
	});
	container.addEventListener("blur", () => cy.nodes().removeClass("aim"));

	return {
		cy, fit,
		update(elements, places) {
			cy.batch(() => {
				const wanted = new Set(elements.map(e => e.data.id));
				cy.elements().filter(e => !wanted.has(e.id())).remove();
				elements.forEach(put);
				for (const [id, position] of places ?? [])
					cy.getElementById(id).position({ ...position });
				drawWay();
			});
			if (byItself)
				fit();
		},
		way(next) {
			way = next;
			cy.batch(drawWay);
		},
		choose(ids) {
			cy.batch(() => {
				cy.elements().removeClass("chosen");
				for (const id of ids.filter(Boolean))
					cy.getElementById(id).addClass("chosen");
			});
		},
		end() {
			sizes.disconnect();
			ends.forEach(f => f());
			cy.destroy();
		},
	};
}
