// SPDX-License-Identifier: Apache-2.0
// Histories as /v1/data:series gives them, and rates made of counters.
import { itemsOf } from "./api.mjs";
import { timeOf } from "./format.mjs";

const pointOf = p => Array.isArray(p) ? [timeOf(p[0]), Number(p[1])] : [timeOf(p.time ?? p.t),
	Number(p.value ?? p.v)];

// Map path -> [[ms, value]], oldest first. Points may come by series, or one by one.
export function seriesOf(body) {
	const all = new Map();
	const list = (path, device) => {
		const key = path ?? device ?? "";
		if (!all.has(key))
			all.set(key, []);
		return all.get(key);
	};
	for (const item of Array.isArray(body?.series) ? body.series : itemsOf(body)) {
		const points = item.points ?? item.values;
		if (Array.isArray(points))
			list(item.path, item.device).push(...points.map(pointOf));
		else
			list(item.path, item.device).push(pointOf(item));
	}
	for (const points of all.values())
		points.sort((a, b) => a[0] - b[0]);
	return all;
}

// Per second between two points, at the later one. A counter that fell was set back: nothing is known.
// Where points fail for long there is a gap, not a line.
export function rates(points, factor = 1) {
	const out = [];
	const usual = points.length > 2 ? median(points.slice(1).map((p, i) => p[0] - points[i][0])) : Infinity;
	for (let i = 1; i < points.length; i++) {
		const ms = points[i][0] - points[i - 1][0], step = points[i][1] - points[i - 1][1];
		if (ms <= 0)
			continue;
		if (ms > 4 * usual)
			out.push([points[i - 1][0] + usual, null]);
		out.push([points[i][0], step < 0 ? null : step * factor * 1000 / ms]);
	}
	return out;
}

function median(list) {
	const sorted = [...list].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)];
}

// Several lists over one axis, as uPlot wants them: [[seconds], [values], ...].
export function together(...lists) {
	const times = [...new Set(lists.flatMap(list => list.map(p => p[0])))].sort((a, b) => a - b);
	const columns = lists.map(list => {
		const at = new Map(list);
		return times.map(t => at.get(t));
	});
	return [times.map(t => t / 1000), ...columns];
}

export function nameIn(path, list = "interface") {
	return path.match(new RegExp(`${list}\\[name=((?:[^\\]\\\\]|\\\\.)*)\\]`))?.[1]?.replace(/\\(.)/g,
		"$1") ?? null;
}
