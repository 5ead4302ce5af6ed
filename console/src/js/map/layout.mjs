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

// What a node takes, with its label and some air; how far one hop reaches; the shape that is filled best.
const size = { w: 118, h: 66, stub: 34 };
const hop = { x: 158, y: 100 };
const screen = { w: 940, h: 570 };
const small = 90; // devices, up to which each place is thought about

function random(seed) { // mulberry32: the same numbers everywhere
	return () => {
		seed = (seed + 0x6D2B79F5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

function neighbours(n, edges) {
	const near = Array.from({ length: n }, () => []);
	for (const [a, b] of edges) {
		near[a].push(b);
		near[b].push(a);
	}
	return near;
}

// Hops between all pairs; parts that are not joined stand a little further away than the widest one.
function hops(n, edges) {
	const near = neighbours(n, edges);
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

function crosses(p, [a, b], [c, d]) {
	return a !== c && a !== d && b !== c && b !== d && side(p[a], p[b], p[c]) * side(p[a], p[b], p[d]) < 0 &&
		side(p[c], p[d], p[a]) * side(p[c], p[d], p[b]) < 0;
}

function crossings(p, edges) {
	let n = 0;
	for (let i = 0; i < edges.length; i++)
		for (let j = i + 1; j < edges.length; j++)
			if (crosses(p, edges[i], edges[j]))
				n++;
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
	const starts = n > 150 ? 1 : n > 60 ? 4 : 16, rounds = n > 300 ? 12 : n > 150 ? 25 : 60;
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
				const ox = (a.w + b.w) / 2 + gap - Math.abs(a.x - b.x),
					oy = (a.h + b.h) / 2 + gap - Math.abs(a.y - b.y);
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

function middle(p) {
	const left = Math.min(...p.map(q => q.x - q.w / 2)), right = Math.max(...p.map(q => q.x + q.w / 2));
	const top = Math.min(...p.map(q => q.y - q.h / 2)), bottom = Math.max(...p.map(q => q.y + q.h / 2));
	for (const q of p) {
		q.x -= (left + right) / 2;
		q.y -= (top + bottom) / 2;
	}
	return { w: right - left, h: bottom - top };
}

// Those without a link inside the area stand in rows below the others.
function layoutArea(nodes, edges) {
	const at = new Map(nodes.map((n, i) => [n.id, i]));
	const inner = edges.filter(([a, b]) => at.has(a) && at.has(b)).map(([a, b]) => [at.get(a), at.get(b)]);
	const linked = nodes.map((_, i) => i).filter(i => inner.some(e => e.includes(i)));
	const number = new Map(linked.map((i, k) => [i, k]));
	const among = inner.map(([a, b]) => [number.get(a), number.get(b)]);
	const p = new Array(nodes.length), cell = i => {
		const below = nodes[i].stubs.length * size.stub;
		// lines go to the device itself, above the middle by `lift`
		return { w: size.w, h: size.h + below, lift: below / 2 };
	};
	place(linked.length, among).forEach((q, k) => {
		p[linked[k]] = { x: q.x * hop.x, y: q.y * hop.y, ...cell(linked[k]) };
	});
	const placed = p.filter(Boolean);
	separate(placed, 0);
	const alone = nodes.map((_, i) => i).filter(i => !number.has(i));
	const columns = placed.length ? Math.max(1, Math.round(middle(placed).w / size.w))
		: Math.ceil(Math.sqrt(alone.length * 1.6));
	let lower = placed.length ? Math.max(...placed.map(q => q.y + q.h / 2)) : 0;
	for (let at = 0; at < alone.length; at += columns) {
		const row = alone.slice(at, at + columns), height = Math.max(...row.map(i => cell(i).h));
		row.forEach((i, k) => {
			p[i] = { x: (k - (row.length - 1) / 2) * size.w, y: lower + height / 2, ...cell(i) };
		});
		lower += height;
	}
	const whole = middle(p);
	return { ids: nodes.map(n => n.id), at: p, w: whole.w + 20, h: whole.h + 34, x: 0,
		y: 0 }; // with frame and name
}

// What is bad about one node's place: crossings of its lines, its lines over other nodes, others' lines over
// it, long lines, slanting lines, lines too short for a label. The sum over all nodes is the badness of a map.
function badnessOf(i, p, edges, at) {
	let bad = 0;
	for (const e of at[i]) {
		const [a, b] = edges[e], dx = Math.abs(p[a].x - p[b].x), dy = Math.abs(p[a].y - p[b].y);
		const upper = p[a].y < p[b].y ? p[a] : p[b];
		const room = Math.max(dx - size.w, dy - size.h - 2 * upper.lift); // for its label
		bad += Math.hypot(dx, dy) / 130 + (dx < 3 || dy < 3 ? 0 : 0.25) + Math.max(0, 34 - room) / 16;
		for (let k = 0; k < p.length; k++)
			if (k !== a && k !== b && runsOver(p[a], p[b], p[k]))
				bad += 6; // it hides the link
		for (const other of edges)
			if (crosses(p, edges[e], other))
				bad += 3;
	}
	for (const [a, b] of edges)
		if (a !== i && b !== i && runsOver(p[a], p[b], p[i]))
			bad += 6;
	return bad;
}

function runsOver(a, b, box) { // the line against the middle of the box, at the box's own proportions
	const w = box.w / 2 - 6, h = box.h / 2 - 6, y = box.y + box.lift;
	const ax = (a.x - box.x) / w, ay = (a.y - y) / h, bx = (b.x - box.x) / w, by = (b.y - y) / h;
	const dx = bx - ax, dy = by - ay, t = Math.max(0, Math.min(1, -(ax * dx + ay * dy) / (dx * dx + dy * dy || 1)));
	return Math.hypot(ax + t * dx, ay + t * dy) < 1;
}

const covers = (a, b) => Math.abs(a.x - b.x) < (a.w + b.w) / 2 - 1 &&
	Math.abs(a.y + a.lift - b.y - b.lift) < (a.h + b.h) / 2 - 1;

// Two of an area change places when that is better for both.
function exchange(group, p, edges, at) {
	let better = false;
	for (const i of group)
		for (const j of group) {
			if (i >= j || p[i].h !== p[j].h)
				continue;
			const swap = () => { [p[i].x, p[i].y, p[j].x, p[j].y] = [p[j].x, p[j].y, p[i].x, p[i].y]; };
			const before = badnessOf(i, p, edges, at) + badnessOf(j, p, edges, at);
			swap();
			if (badnessOf(i, p, edges, at) + badnessOf(j, p, edges, at) < before - 1e-6)
				better = true;
			else
				swap();
		}
	return better;
}

// Each tries the free places of its area's box: beside or below another of the area, level with one that it
// is linked to, or on a grid.
function move(group, p, edges, at) {
	let better = false;
	const left = Math.min(...group.map(i => p[i].x)), right = Math.max(...group.map(i => p[i].x));
	const top = Math.min(...group.map(i => p[i].y)), bottom = Math.max(...group.map(i => p[i].y));
	for (const i of group) {
		const mine = p[i], near = [...group, ...at[i].flatMap(e => edges[e])];
		const spots = (axis, least, most, step) => [...new Set([...near.map(k => p[k][axis]),
			...Array.from({ length: Math.floor((most - least) / step) + 1 },
				(_, k) => least + k * step)])].filter(v => v >= least && v <= most);
		let best = { x: mine.x, y: mine.y, bad: badnessOf(i, p, edges, at) };
		for (const x of spots("x", left, right, 60))
			for (const y of spots("y", top, bottom, 36)) {
				Object.assign(mine, { x, y });
				if (group.some(k => k !== i && covers(mine, p[k])))
					continue;
				const bad = badnessOf(i, p, edges, at);
				if (bad < best.bad - 0.05) {
					best = { x, y, bad };
					better = true;
				}
			}
		Object.assign(mine, { x: best.x, y: best.y });
	}
	return better;
}

// An area as a whole goes where its links outwards are level, upright, or at least free; it covers no other.
function shift(group, p, edges, at, others) {
	const outward = group.flatMap(i => at[i].map(e => [i, edges[e].find(k => k !== i)])).filter(([, k]) =>
		!group.includes(k));
	const grid = (axis, step) => [...outward.map(([i, k]) => p[k][axis] - p[i][axis]),
		...Array.from({ length: 11 }, (_, n) => (n - 5) * step)];
	const start = group.map(i => ({ x: p[i].x, y: p[i].y }));
	const place = (dx, dy) => group.forEach((i, n) => Object.assign(p[i], { x: start[n].x + dx,
		y: start[n].y + dy }));
	const cost = () => group.reduce((sum, i) => sum + badnessOf(i, p, edges, at), 0);
	let best = { dx: 0, dy: 0, bad: cost() };
	for (const dx of grid("x", 70))
		for (const dy of grid("y", 50)) {
			place(dx, dy);
			const frame = frameOf(group, p);
			if (others.some(other => framesMeet(frame, frameOf(other, p))))
				continue;
			const bad = cost() + (Math.abs(dx) + Math.abs(dy)) / 2000;
			if (bad < best.bad - 0.05)
				best = { dx, dy, bad };
		}
	place(best.dx, best.dy);
	return best.dx !== 0 || best.dy !== 0;
}

function frameOf(group, p) {
	const x = group.map(i => p[i].x), y = group.map(i => p[i].y), low = group.map(i => p[i].y + 2 * p[i].lift);
	return { left: Math.min(...x) - 76, right: Math.max(...x) + 76, top: Math.min(...y) - 64,
		bottom: Math.max(...low) + 46 };
}

const framesMeet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

function improve(step, areas, p, edges, index) {
	const at = p.map((_, i) => edges.map((_e, k) => k).filter(k => edges[k].includes(i)));
	const groups = areas.map(area => area.ids.map(id => index.get(id)));
	for (let round = 0; round < 4; round++)
		if (!groups.map(group => step(group, p, edges, at, groups.filter(g => g !== group))).some(Boolean))
			break;
	return p.reduce((sum, _, i) => sum + badnessOf(i, p, edges, at), 0);
}

const turns = [[1, 0, 0, 1], [-1, 0, 0, 1], [1, 0, 0, -1], [-1, 0, 0, -1]]; // boxes keep their shape

// Each area is mirrored so that its links to others are shortest.
function mirror(areas, edges, areaOf) {
	const spot = id => {
		const of = areaOf.get(id), q = of.at[of.ids.indexOf(id)];
		return { x: of.x + q.x, y: of.y + q.y };
	};
	for (let round = 0; round < 3; round++)
		for (const area of areas) {
			const outside = edges.filter(([a, b]) => (areaOf.get(a) === area) !== (areaOf.get(b) === area));
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

// Areas among each other, in the turn that is drawn largest on a screen with the fewest crossings.
function arrange(areas, edges, areaOf) {
	const number = new Map(areas.map((area, i) => [area, i]));
	const between = edges.map(ends => ends.map(id => number.get(areaOf.get(id)))).filter(([a, b]) => a !== b);
	const far = hops(areas.length, between);
	const reach = areas.map(a => Math.hypot(a.w, a.h) / 2);
	const want = far.map((row, i) => row.map((d, j) => i === j ? 0 : (reach[i] + reach[j]) * 0.8 + (d - 1) * 120));
	const first = place(areas.length, between, want), inner = areas.map(a => a.at);
	const names = [...areaOf.keys()], index = new Map(names.map((id, i) => [id, i]));
	const ends = edges.map(([a, b]) => [index.get(a), index.get(b)]);
	let best = null;
	for (let step = 0; step < (areas.length > 1 ? 24 : 1); step++) {
		const angle = step * Math.PI / 12, cos = Math.cos(angle), sin = Math.sin(angle);
		areas.forEach((a, i) => {
			const { x, y } = first[i];
			Object.assign(a, { at: inner[i], x: x * cos - y * sin, y: (x * sin + y * cos) * 0.85 });
		});
		separate(areas, 30);
		mirror(areas, edges, areaOf);
		const whole = middle(areas);
		const spots = names.map(id => {
			const of = areaOf.get(id), q = of.at[of.ids.indexOf(id)];
			return { ...q, x: of.x + q.x, y: of.y + q.y - q.lift };
		});
		const bad = names.length > small
			? 2 * crossings(spots, ends) : improve(exchange, areas, spots, ends, index) / 2;
		const scale = Math.min(screen.w / whole.w, screen.h / whole.h, 1.3);
		const worth = scale / (1 + bad / (ends.length + 4));
		if (!best || worth > best.worth + 1e-9)
			best = { worth, spots };
	}
	for (const how of names.length <= small ? [move, exchange, shift, move] : [])
		improve(how, areas, best.spots, ends, index);
	return new Map(names.map((id, i) => [id, best.spots[i]]));
}

// nodes: [{id, area, stubs: [ids of what hangs below it]}]; links: [[id, id]]. Gives a Map id -> {x, y}.
export function layout(nodes, links) {
	if (nodes.length === 0)
		return new Map();
	const sorted = [...nodes].sort((a, b) => a.id < b.id ? -1 : 1);
	const known = new Map(sorted.map(n => [n.id, n]));
	const edges = links.filter(([a, b]) => known.has(a) && known.has(b) && a !== b).sort();
	const areas = [...groupBy(sorted, n => n.area ?? "")].sort().map(([, list]) => layoutArea(list, edges));
	const areaOf = new Map(areas.flatMap(area => area.ids.map(id => [id, area])));
	const snap = v => Math.round(v / 2) * 2;
	const places = new Map();
	for (const [id, p] of arrange(areas, edges, areaOf)) {
		const { stubs } = known.get(id), x = snap(p.x), y = snap(p.y);
		places.set(id, { x, y });
		stubs.forEach((stub, i) => places.set(stub, { x, y: y + 37 + i * size.stub }));
	}
	return places;
}
