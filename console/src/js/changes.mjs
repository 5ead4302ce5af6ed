// SPDX-License-Identifier: Apache-2.0
// Moments of change: what the event stream told, what the ledger says of the time before, and the last
// change of each link and node. One sentence each.
import { get, itemsOf } from "./api.mjs";
import { onEvent, pastEvents } from "./events.mjs";
import { shortHashes, timeOf } from "./format.mjs";

// What changes the network or what is known of it; log-ins, reads and commits do not.
const kinds = ["topology.", "forwarding.", "device.", "integrity.", "alert.", "process.", "policy.", "incident."];
const counts = type => kinds.some(k => type.startsWith(k)) && type !== "alert.cleared";
const found = new Map(), listeners = new Set();

export function onChanges(f) {
	listeners.add(f);
	return () => listeners.delete(f);
}

const ends = data => `${data.a?.device} \u2013 ${data.b?.device}`;

// A sentence for an event, whatever sort it is of.
export function sentence(event) {
	const { type = "", subject = "", data = {} } = event;
	if (type.startsWith("topology.link."))
		return `link ${data.a ? ends(data) : subject} ${type.slice(14)}`;
	if (type === "topology.node.lost")
		return `${subject} fell silent`;
	if (type === "topology.node.back")
		return `${subject} is heard again`;
	if (type === "forwarding.loop")
		return `loop through ${(data.devices ?? [subject]).join(", ")}`;
	if (type === "forwarding.black-hole")
		return `black hole at ${subject}${data.why ? `: ${data.why}` : ""}`;
	if (type === "alert.raised")
		return `alert ${data.kind ?? ""} ${subject}${data.detail ? `: ${data.detail}` : ""}`;
	if (type === "device.state")
		return `${subject} is ${data.state ?? data.to ?? "in another state"}${data.reason ? `: ${data.reason}` : ""}`;
	const told = [data.text, data.reason, data.why, data.detail, data.state].find(t => typeof t === "string" && t);
	return `${type.replaceAll(/[._]/g, " ")}${subject ? ` ${subject}` : ""}${told ? `: ${told}` : ""}`;
}

// One thing may be told by an event, by the ledger and by the topology, a little apart.
function add(ms, text, where) {
	const second = Math.floor(ms / 1000);
	if (!Number.isFinite(ms) || [-1, 0, 1].some(d => found.has(`${second + d} ${text}`)))
		return false;
	found.set(`${second} ${text}`, { ms, text: shortHashes(text), where });
	return true;
}

let due = 0;
function tell() {
	due ||= setTimeout(() => {
		due = 0;
		list = [...found.values()].sort((a, b) => a.ms - b.ms);
		for (const f of listeners)
			f(list);
	}, 50);
}

let list = [];
export const changes = () => list;

export function placeOf(event) {
	if (event.type?.startsWith("topology.") || event.type?.startsWith("forwarding."))
		return "/network";
	const isDevice = event.subject && event.type?.startsWith("device.");
	return isDevice ? `/devices/${encodeURIComponent(event.subject)}` : null;
}

function takeEvent(event) {
	if (!counts(event.type ?? ""))
		return;
	if (add(event.ms, sentence(event), placeOf(event)))
		tell();
}

// /v1/topology tells of each link when it last changed: known also when no event is kept any more.
export function changesOfTopology(body) {
	let more = false;
	for (const l of body.links ?? [])
		more = add(timeOf(l.last_change), `link ${ends(l)} ${l.state}`, "/network") || more;
	if (more)
		tell();
}

// The ledger's entries of a time, for the part of the slider that is older than the events.
export async function changesOfLedger(from, to) {
	const { body } = await get("/v1/ledger/entries", {
		query: { from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: 1000 }, past: false,
	});
	for (const e of itemsOf(body))
		if (counts(e.kind ?? ""))
			add(timeOf(e.time), sentence({ type: e.kind, subject: e.subject ?? "", data: e.body ?? {} }),
				`/ledger/${e.index}`);
	tell();
}

export function startChanges() {
	pastEvents().forEach(takeEvent);
	onEvent(takeEvent);
}
