// SPDX-License-Identifier: Apache-2.0
// Where nodes stand. The same network gives the same map for everybody: no chance is in it.
//
// Areas (sites or domains) are laid out one by one, then as boxes among each other, each turned so that
// its links outwards are short, then pushed apart until none covers another. Within an area, and between
// areas, distances on the map follow distances in hops by stress majorization (Gansner, Koren, North,
// "Graph drawing by stress majorization", 2004), from several starts, of which the one with the fewest
// crossings and the least stress is kept. A force layout as libraries ship it was turned down: it starts
// by chance, needs seconds, and lets areas overlap.

import { groupBy } from "../lists.mjs";

export const cell = { w: 150, h: 96 }; // what one node takes, with its label and some air

function random(seed) { // mulberry32: the same numbers everywhere
	return () => {
		seed = (seed + 0x6D2B79F5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

// Hops between all pairs; parts that are not joined stand a little further away than the widest one.
function hops(n, edges) {
	const near = Array.from({ length: n }, () => []);
	for (const [a, b] of edges) {
		near[a].push(b);
		near[b].push(a);
	}
	const all = near.map((_, from) => {
		const d = new Array(n).fill(Infinity), queue = [from];
		d[from] = 0;
		for (let i = 0; i < queue.length; i++)
			for (const b of near[queue[i]])
				if (d[b] === Infinity) {
					d[b] = d[queue[i]] + 1;
					queue.push(b);
				}
		return d;
	});
	const widest = Math.max(1, ...all.flat().filter(Number.isFinite));
	const apart = Math.min(3, widest + 0.5);
	return all.map(row => row.map(d => Number.isFinite(d) ? d : apart));
}

function majorize(p, want, rounds) {
	const n = p.length;
	for (let round = 0; round < rounds; round++)
		for (let i = 0; i < n; i++) {
			let x = 0, y = 0, sum = 0;
			for (let j = 0; j < n; j++) {
				if (i === j)
					continue;
				const dx = p[i].x - p[j].x, dy = p[i].y - p[j].y, d = Math.hypot(dx, dy) || 1e-3;
				const weight = 1 / (want[i][j] * want[i][j]), stretch = want[i][j] / d;
				x += weight * (p[j].x + dx * stretch);
				y += weight * (p[j].y + dy * stretch);
				sum += weight;
			}
			if (sum)
				p[i] = { x: x / sum, y: y / sum };
		}
}

function stress(p, want) {
	let sum = 0;
	for (let i = 0; i < p.length; i++)
		for (let j = i + 1; j < p.length; j++)
			sum += (Math.hypot(p[i].x - p[j].x, p[i].y - p[j].y) / want[i][j] - 1) ** 2;
	return sum;
}

const side = (a, b, c) => (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);

export function crossings(p, edges) {
	let n = 0;
	for (let i = 0; i < edges.length; i++)
		for (let j = i + 1; j < edges.length; j++) {
			const [a, b] = edges[i], [c, d] = edges[j];
			if (a !== c && a !== d && b !== c && b !== d && side(p[a], p[b], p[c]) * side(p[a], p[b], p[d]) < 0 &&
			    side(p[c], p[d], p[a]) * side(p[c], p[d], p[b]) < 0)
				n++;
		}
	return n;
}

// Turned so that it is wide rather than high, as screens are, and so that its edges lie level or upright
// where they can: straight lines are quiet.
function turn(p, edges) {
	let best = null;
	for (let step = 0; step < 24; step++) {
		const angle = step * Math.PI / 24, cos = Math.cos(angle), sin = Math.sin(angle);
		const q = p.map(r => ({ x: r.x * cos - r.y * sin, y: r.x * sin + r.y * cos }));
		const extent = axis => Math.max(...q.map(r => r[axis])) - Math.min(...q.map(r => r[axis]));
		const aslant = edges.reduce((sum, [a, b]) =>
			sum + Math.abs(Math.sin(2 * Math.atan2(q[b].y - q[a].y, q[b].x - q[a].x))), 0) / (edges.length || 1);
		const cost = aslant + extent("y") / (extent("x") || 1e-3);
		if (!best || cost < best.cost - 1e-6)
			best = { cost, q };
	}
	return best.q;
}

// Unit distance for one hop. `want` may be given instead of hops.
function place(n, edges, want = hops(n, edges)) {
	if (n < 3)
		return Array.from({ length: n }, (_, i) => ({ x: i * (n > 1 ? want[0][1] : 1), y: 0 }));
	const starts = n > 150 ? 1 : n > 60 ? 4 : 16, rounds = n > 150 ? 25 : 60;
	let best = null;
	for (let start = 0; start < starts; start++) {
		const chance = random(start * 7919 + n);
		const p = Array.from({ length: n }, (_, i) => start === 0
			? { x: Math.cos(i / n * 2 * Math.PI) * n / 4, y: Math.sin(i / n * 2 * Math.PI) * n / 4 }
			: { x: (chance() - 0.5) * n / 2, y: (chance() - 0.5) * n / 2 });
		majorize(p, want, rounds);
		const cost = stress(p, want) + 2 * crossings(p, edges);
		if (!best || cost < best.cost - 1e-9)
			best = { p, cost };
	}
	return turn(best.p, edges);
}

// Boxes {x, y, w, h} (middle and size) are moved as little as needed until none covers another.
export function separate(boxes, gap, fixed = () => false) {
	for (let round = 0; round < 200; round++) {
		let moved = false;
		for (let i = 0; i < boxes.length; i++)
			for (let j = i + 1; j < boxes.length; j++) {
				const a = boxes[i], b = boxes[j];
				const ox = (a.w + b.w) / 2 + gap - Math.abs(a.x - b.x), oy = (a.h + b.h) / 2 + gap - Math.abs(a.y - b.y);
				if (ox <= 0.5 || oy <= 0.5)
					continue;
				moved = true;
				const axis = ox < oy ? "x" : "y", by = Math.min(ox, oy);
				const way = a[axis] < b[axis] || (a[axis] === b[axis] && i < j) ? 1 : -1;
				const share = fixed(i) ? 0 : fixed(j) ? 1 : 0.5;
				if (!fixed(i))
					a[axis] -= way * by * share;
				if (!fixed(j))
					b[axis] += way * by * (1 - share);
			}
		if (!moved)
			return;
	}
}

function layoutArea(ids, edges) {
	const at = new Map(ids.map((id, i) => [id, i]));
	const inner = edges.filter(([a, b]) => at.has(a) && at.has(b)).map(([a, b]) => [at.get(a), at.get(b)]);
	const p = place(ids.length, inner).map(q => ({ x: q.x * cell.w * 1.15, y: q.y * cell.h * 1.25, w: cell.w, h: cell.h }));
	separate(p, 0);
	const left = Math.min(...p.map(q => q.x)), right = Math.max(...p.map(q => q.x));
	const top = Math.min(...p.map(q => q.y)), bottom = Math.max(...p.map(q => q.y));
	for (const q of p) {
		q.x -= (left + right) / 2;
		q.y -= (top + bottom) / 2;
	}
	return { ids, at: p, w: right - left + cell.w, h: bottom - top + cell.h, x: 0, y: 0 };
}

const turns = [[1, 0, 0, 1], [-1, 0, 0, 1], [1, 0, 0, -1], [-1, 0, 0, -1]]; // boxes keep their shape

// Each area is mirrored so that its links to others are shortest.
function mirror(areas, edges, areaOf) {
	for (let round = 0; round < 3; round++)
		for (const area of areas) {
			const outside = edges.filter(([a, b]) => (areaOf.get(a) === area) !== (areaOf.get(b) === area));
			const spot = id => {
				const of = areaOf.get(id), q = of.at[of.ids.indexOf(id)];
				return { x: of.x + q.x, y: of.y + q.y };
			};
			let best = null;
			const before = area.at;
			for (const [a, b, c, d] of turns) {
				area.at = before.map(q => ({ ...q, x: q.x * a + q.y * b, y: q.x * c + q.y * d }));
				const cost = outside.reduce((sum, [from, to]) => {
					const p = spot(from), q = spot(to);
					return sum + Math.hypot(p.x - q.x, p.y - q.y);
				}, 0);
				if (!best || cost < best.cost - 1e-6)
					best = { cost, at: area.at };
			}
			area.at = best.at;
		}
}

// nodes: [{id, area}]; links: [[id, id]]. Gives a Map id -> {x, y}.
export function layout(nodes, links) {
	const sorted = [...nodes].sort((a, b) => a.id < b.id ? -1 : 1);
	const known = new Set(sorted.map(n => n.id));
	const edges = links.filter(([a, b]) => known.has(a) && known.has(b) && a !== b).sort();
	const groups = groupBy(sorted, n => n.area ?? "");
	const areas = [...groups].sort().map(([name, list]) => ({ name, ...layoutArea(list.map(n => n.id), edges) }));
	const areaOf = new Map(areas.flatMap(area => area.ids.map(id => [id, area])));
	const number = new Map(areas.map((area, i) => [area, i]));
	const between = edges.map(([a, b]) => [number.get(areaOf.get(a)), number.get(areaOf.get(b))]).filter(([a, b]) => a !== b);
	const far = hops(areas.length, between);
	const reach = areas.map(a => Math.hypot(a.w, a.h) / 2);
	const want = far.map((row, i) => row.map((d, j) => i === j ? 0 : (reach[i] + reach[j]) * 0.78 + (d - 1) * 170));
	place(areas.length, between, want).forEach((p, i) => Object.assign(areas[i], { x: p.x, y: p.y * 0.82 }));
	separate(areas, 34);
	mirror(areas, edges, areaOf);
	const snap = v => Math.round(v / 5) * 5;
	return new Map(areas.flatMap(area => area.ids.map((id, i) =>
		[id, { x: snap(area.x + area.at[i].x), y: snap(area.y + area.at[i].y) }])));
}
