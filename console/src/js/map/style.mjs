// SPDX-License-Identifier: Apache-2.0
// How the map looks. What is well is grey; colour is for what needs an eye, and its word stands beside it.
import { colour } from "../theme.mjs";

export function mapStyle() {
	const c = name => colour(name);
	const font = colour("font") || "sans-serif";
	const edgeColour = { ok: "map-line", warn: "warn", bad: "bad", off: "map-line" };
	const nodeColour = { ok: "map-border", warn: "warn", bad: "bad", off: "map-border" };
	const byKind = (selector, names, property) => Object.entries(names).map(([kind, name]) =>
		({ selector: `${selector}.${kind}`, style: { [property]: c(name) } }));
	return [
		{ selector: "node.device, node.stub", style: {
			"font-family": font, "font-size": 12, label: "data(label)", color: c("text"),
			"text-wrap": "wrap", "text-valign": "center", "text-halign": "center", "line-height": 1.25,
			shape: "round-rectangle", "corner-radius": 5, width: "data(w)", height: 38,
			"background-color": c("panel"), "border-width": 1.25, "border-color": c("map-border"),
			"transition-property": "opacity", "transition-duration": 120,
		} },
		{ selector: "node.area", style: {
			"font-family": font, label: "data(label)", "text-valign": "top", "text-halign": "center",
			"text-margin-y": -4,
			"font-size": 11, color: c("muted"), shape: "round-rectangle", "corner-radius": 8,
			"background-color": c("map-area"), "background-opacity": 1, "border-width": 1,
			"border-color": c("map-area-border"), "border-style": "solid", padding: 16, "z-index": 0, events: "no",
		} },
		{ selector: "node.stub", style: {
			"font-size": 10, height: 30, "line-height": 1.15, "background-color": c("map-area"),
			"border-style": "dotted",
			"border-color": c("map-border"), color: c("muted"), "corner-radius": 12,
		} },
		...byKind("node.device", nodeColour, "border-color"),
		{ selector: "node.device.warn, node.device.bad", style: { "border-width": 2.25 } },
		{ selector: "node.device.warn", style: { color: c("warn") } },
		{ selector: "node.device.bad", style: { color: c("bad") } },
		{ selector: "node.stale", style: { "border-style": "dashed" } },
		{ selector: "edge", style: {
			"curve-style": "bezier", "control-point-step-size": 30, width: "data(width)",
			"line-color": c("map-line"),
			label: "data(label)", "font-family": font, "font-size": 10, color: c("muted"),
			"text-background-color": c("map-back"), "text-background-opacity": 1, "text-background-padding": 2,
			"text-background-shape": "round-rectangle", "text-rotation": "none",
			"transition-property": "opacity", "transition-duration": 120, "z-index": 5,
		} },
		{ selector: "edge[mx]", style: { "text-margin-x": "data(mx)", "text-margin-y": "data(my)" } },
		{ selector: "edge.inside", style: { "text-background-color": c("map-area") } },
		{ selector: "edge.host", style: { width: 1, label: "" } },
		...byKind("edge.link", edgeColour, "line-color"),
		{ selector: "edge.warn", style: { color: c("warn"), "line-style": "dashed", "line-dash-pattern": [6, 4],
			"font-weight": 600 } },
		{ selector: "edge.bad", style: { color: c("bad"), "line-style": "dashed", "line-dash-pattern": [3, 4],
			width: 2.25, "font-weight": 600 } },
		{ selector: "edge.stale", style: { "line-style": "dashed", "line-dash-pattern": [2, 4], width: 1.5 } },
		{ selector: ".dim", style: { opacity: 0.34 } },
		{ selector: "edge.way", style: {
			"line-color": c("text"), width: 3.5, color: c("text"), "z-index": 20, "arrow-scale": 1.1,
			"target-arrow-color": c("text"), "source-arrow-color": c("text"), "line-style": "solid",
		} },
		{ selector: "edge.forward", style: { "target-arrow-shape": "triangle" } },
		{ selector: "edge.backward", style: { "source-arrow-shape": "triangle" } },
		{ selector: "node.way, node.chosen", style: { "border-style": "solid" } },
		{ selector: "node.way", style: { "border-color": c("text"), "border-width": 2.25, color: c("text") } },
		{ selector: "node.chosen", style: { "border-width": 3, "border-color": c("text"), "font-weight": 600 } },
		{ selector: "node.end-ok", style: { "border-color": c("ok"), color: c("ok"), "border-width": 3 } },
		{ selector: "node.end-warn", style: { "border-color": c("warn"), color: c("warn"), "border-width": 3 } },
		{ selector: "node.end-bad", style: { "border-color": c("bad"), color: c("bad"), "border-width": 3 } },
		{ selector: "edge.chosen", style: { "line-color": c("text"), color: c("text"), "z-index": 21 } },
		{ selector: "node.aim", style: { "outline-width": 2, "outline-color": c("text"), "outline-offset": 3,
			"outline-style": "dashed" } },
		{ selector: "core", style: { "active-bg-opacity": 0, "selection-box-opacity": 0 } },
	];
}
