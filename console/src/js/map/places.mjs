// SPDX-License-Identifier: Apache-2.0
// Places are kept: a link that goes down, a device that falls silent, or a look into the past must not
// move the map under one's eyes. What was ever seen stays in the reckoning; only something new makes it
// begin again. What a person dragged stays where it was put, in this browser.
import { layout } from "./layout.mjs";
import { areaOf, stubsOf } from "./elements.mjs";

const key = "gemel.places";
let nodes = new Map(), links = new Map(), stubs = new Map(), places = null, drawnFor = "";

function load() {
	try {
		return JSON.parse(localStorage.getItem(key)) ?? {};
	} catch {
		return {};
	}
}
let pinned = load();

function save() {
	try {
		localStorage.setItem(key, JSON.stringify(pinned));
	} catch {
		// then they last as long as the page
	}
}

export function pin(id, position, by) {
	pinned[`${by} ${id}`] = { x: Math.round(position.x), y: Math.round(position.y) };
	save();
	places?.set(id, { ...position });
}

export function unpinAll() {
	pinned = {};
	save();
	forgetPlaces();
}

// Another grouping, or no hosts: what was seen under the old one does not count.
export function forgetPlaces() {
	nodes = new Map();
	links = new Map();
	stubs = new Map();
	drawnFor = "";
}

// {places, moved}: where everything stands, and whether that is news.
export function placesFor(topology, devices, { by, withHosts }) {
	for (const n of topology.nodes ?? [])
		nodes.set(n.id, areaOf(devices.get(n.id), by) || (nodes.get(n.id) ?? ""));
	for (const l of topology.links ?? [])
		links.set(l.id, [l.a.device, l.b.device]);
	for (const s of withHosts ? stubsOf(topology) : [])
		stubs.set(s.id, s.device);
	const signature = JSON.stringify([by, [...nodes].sort(), [...links.keys()].sort(), [...stubs].sort()]);
	if (signature === drawnFor)
		return { places, moved: false };
	drawnFor = signature;
	const below = id => [...stubs].filter(([, device]) => device === id).map(([stub]) => stub).sort();
	places = layout([...nodes].map(([id, area]) => ({ id, area: by === "none" ? "" : area, stubs: below(id) })),
		[...links.values()]);
	for (const id of [...nodes.keys(), ...stubs.keys()])
		if (pinned[`${by} ${id}`])
			places.set(id, pinned[`${by} ${id}`]);
	return { places, moved: true };
}
