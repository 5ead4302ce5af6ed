// SPDX-License-Identifier: Apache-2.0
// Counters over time. Two lines, told apart by their stroke and not by colour: in is drawn full, out
// dashed. The cursor is shared by all plots of a page.
import uPlot from "/lib/uplot.mjs";
import { h } from "./dom.mjs";
import { bitsShort, clockTime, unknown } from "./format.mjs";
import { colour, onTheme } from "./theme.mjs";

function options(width, height, series, format, sync) {
	const text = colour("muted"), grid = colour("line"), font = `10px ${colour("font") || "sans-serif"}`;
	const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 },
		font };
	return {
		width, height, padding: [6, 8, 0, 0],
		cursor: { sync: { key: sync }, points: { size: 5 }, drag: { x: true, y: false } },
		legend: { live: true },
		scales: { x: { time: true }, y: { range: (u, min, max) => [0, Math.max(max * 1.1, 1)] } },
		series: [
			{ label: "time", value: (u, v) => v === null || v === undefined ? unknown : clockTime(v * 1000) },
			...series.map(s => ({
				label: s.label, stroke: colour("text"), width: 1.25, dash: s.dash, points: { show: false },
					spanGaps: false,
				value: (u, v) => v === null || v === undefined ? unknown : format(v),
			})),
		],
		axes: [
			{ ...axis, size: 22, values: (u, ticks) => ticks.map(t => clockTime(t * 1000).slice(0,
				u.scales.x.max - u.scales.x.min < 240 ? 8 : 5)) },
			{ ...axis, size: 64, values: (u, ticks) => ticks.map(v => format(v)) },
		],
	};
}

export function plot({ series, format = bitsShort, height = 120, sync = "page", label }) {
	const node = h("div", { class: "plot", role: "img", "aria-label": label });
	let chart = null, data = [[], ...series.map(() => [])], range = null;

	function make() {
		const width = Math.max(200, node.clientWidth);
		chart?.destroy();
		chart = new uPlot(options(width, height, series, format, sync), data, node);
		if (range)
			chart.setScale("x", range);
	}
	const sizes = new ResizeObserver(() => {
		if (!node.isConnected || !node.clientWidth)
			return;
		if (!chart)
			make();
		else if (Math.abs(chart.width - node.clientWidth) > 1)
			chart.setSize({ width: Math.max(200, node.clientWidth), height });
	});
	sizes.observe(node);
	const untheme = onTheme(() => chart && make());
	return {
		node,
		// times in seconds; from and to bound the axis even where nothing was measured
		update(next, from, to) {
			data = next;
			range = { min: from, max: to };
			if (!chart)
				return;
			chart.setData(data, false);
			chart.setScale("x", range);
		},
		end() {
			sizes.disconnect();
			untheme();
			chart?.destroy();
		},
	};
}
