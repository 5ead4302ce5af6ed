// SPDX-License-Identifier: Apache-2.0
// From the API's topology to what the map draws: nodes with their worst state, links with state and
// load, one small node for each subnet in which hosts were seen.
import { bitsShort, percent, span } from "../format.mjs";
import { stateKind, stateText } from "../words.mjs";
import { groupBy } from "../lists.mjs";
import { labelWidth } from "./measure.mjs";

export const busyShare = 0.8; // of its capacity: then a link is called busy

// The one word for a device: that it is silent outweighs how it was admitted.
export function deviceState(node, device) {
	if (node?.stale || node?.state === "stale") {
		const age = Number.isFinite(node.age_ms) ? ` ${span(node.age_ms)}` : "";
		return { word: "stale", kind: "warn", text: `stale${age}` };
	}
	const word = device?.state ?? node?.state ?? "unknown";
	return { word, kind: stateKind(word), text: stateText(word) };
}

export function linkState(link) {
	const share = link.load?.utilisation;
	if (link.state === "up" && link.stale)
		return { word: "stale", kind: "off" };
	if (link.state === "up" && share >= busyShare)
		return { word: "busy", kind: "warn" };
	return { word: link.state, kind: stateKind(link.state) };
}

export const linkRate = link => Math.max(link.load?.a_to_b_bps ?? NaN, link.load?.b_to_a_bps ?? NaN);

function linkLabel(link, word) {
	const share = link.load?.utilisation, rate = linkRate(link);
	// under a hundredth of the capacity the rate says more
	const load = share >= 0.01 ? percent(share) : Number.isFinite(rate) ? bitsShort(rate) : "";
	return word === "up" ? load : word === "busy" ? `${load} busy` : word;
}

function linkWidth(link) {
	const share = link.load?.utilisation ?? 0, rate = linkRate(link) || 0;
	const little = Math.min(0.9, Math.max(0, Math.log10(rate / 1e3)) * 0.2); // so that an idle link looks idle
	return 1.1 + Math.max(little, 5.5 * Math.sqrt(Math.min(1, Math.max(0, share || 0))));
}

const sharedBy = 3; // devices in one subnet: it is a network of its own (management), not somebody's hosts
const stubId = host => `hosts:${host.device}:${host.interface}`;

export function stubsOf(topology) {
	const subnetOf = host => (topology.subnets ?? []).find(s =>
		(s.members ?? []).some(m => m.device === host.device && m.interface === host.interface));
	return [...groupBy(topology.hosts ?? [], stubId)].map(([id, hosts]) => {
		const [{ device, interface: port }] = hosts, subnet = subnetOf(hosts[0]);
		return { id, device, interface: port, hosts, prefix: subnet?.prefix ?? port,
			members: subnet?.members.length ?? 1 };
	}).filter(stub => stub.members < sharedBy);
}

export function areaOf(device, by) {
	return by === "none" ? "" : device?.[by] ?? "";
}

// devices: Map id -> /v1/devices item. by: "site", "domain" or "none".
export function elementsOf(topology, devices, { by, withHosts }) {
	const elements = [], nodes = topology.nodes ?? [], known = new Set(nodes.map(n => n.id));
	const areas = new Set(nodes.map(n => areaOf(devices.get(n.id), by)).filter(Boolean));
	const parent = id => {
		const area = areaOf(devices.get(id), by);
		return area ? `area:${area}` : null;
	};
	for (const area of areas)
		elements.push({ data: { id: `area:${area}`, label: area }, classes: "area" });
	for (const n of nodes) {
		const s = deviceState(n, devices.get(n.id)), label = `${n.id}\n${s.text}`;
		elements.push({
			data: {
				id: n.id, name: n.id, label, plain: label, parent: parent(n.id),
				w: Math.max(76, Math.ceil(labelWidth(label, 12) / 4) * 4),
			},
			classes: `device ${s.kind}${n.stale ? " stale" : ""}`,
		});
	}
	for (const s of withHosts ? stubsOf(topology) : []) {
		if (!known.has(s.device))
			continue;
		const label = `${s.prefix}\n${s.hosts.length} ${s.hosts.length === 1 ? "host" : "hosts"}`;
		elements.push({
			data: { id: s.id, label, plain: label, name: s.prefix, w: labelWidth(label, 10),
				parent: parent(s.device) },
			classes: "stub",
		}, {
			data: { id: `${s.id}:edge`, source: s.device, target: s.id, label: "", width: 1 },
			classes: "host",
		});
	}
	for (const l of topology.links ?? []) {
		if (!known.has(l.a.device) || !known.has(l.b.device))
			continue;
		const s = linkState(l), inside = parent(l.a.device) && parent(l.a.device) === parent(l.b.device);
		elements.push({
			data: {
				id: l.id, source: l.a.device, target: l.b.device, label: linkLabel(l, s.word), width: linkWidth(l),
			},
			classes: `link ${s.kind}${l.stale ? " stale" : ""}${inside ? " inside" : ""}`,
		});
	}
	return elements;
}

// The way of a trace on the map. An out that leads on is found by the link at its interface.
export function wayOf(trace, topology) {
	const way = { nodes: new Set(), edges: [], ends: [] };
	const hops = trace.hops ?? [];
	for (const hop of hops) {
		way.nodes.add(hop.device);
		for (const out of hop.out ?? []) {
			const to = Number.isInteger(out.to) ? hops[out.to] : null;
			const link = to && (topology.links ?? []).find(l =>
				(l.a.device === hop.device && l.a.interface === out.interface && l.b.device === to.device) ||
				(l.b.device === hop.device && l.b.interface === out.interface && l.a.device === to.device));
			if (link)
				way.edges.push({ id: link.id, forward: link.a.device === hop.device });
			if (out.verdict)
				way.ends.push({ id: hop.device, verdict: out.verdict, kind: stateKind(out.verdict) });
		}
	}
	for (const stub of stubsOf(topology)) { // where it comes from and goes to, when those are hosts
		const has = address => stub.hosts.some(x => x.address === address);
		const arrived = way.ends.some(e => e.id === stub.device && e.verdict === "delivered");
		if (way.nodes.has(stub.device) && has(trace.packet?.source))
			markStub(way, stub, false);
		if (arrived && has(trace.packet?.destination))
			markStub(way, stub, true);
	}
	return way;
}

function markStub(way, stub, forward) {
	way.nodes.add(stub.id);
	way.edges.push({ id: `${stub.id}:edge`, forward });
}
