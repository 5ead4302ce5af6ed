// SPDX-License-Identifier: Apache-2.0
// Moments of change: what the event stream told, what the ledger says of the time before, and the last
// change of each link and node. One sentence each.
import { get, itemsOf } from "./api.mjs";
import { onEvent, pastEvents } from "./events.mjs";
import { timeOf } from "./format.mjs";

const quiet = ["ledger.", "session.", "account.login", "data.", "metrics."]; // no change of the network
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
	const told = data.text ?? data.reason ?? data.why ?? data.state ?? "";
	return `${type.replaceAll(/[._]/g, " ")}${subject ? ` ${subject}` : ""}${told ? `: ${told}` : ""}`;
}

function add(ms, text, where, key = `${Math.round(ms)} ${text}`) {
	if (!Number.isFinite(ms) || found.has(key))
		return false;
	found.set(key, { ms, text, where });
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
	return event.subject && event.type?.startsWith("device.") ? `/devices/${encodeURIComponent(event.subject)}` : null;
}

function takeEvent(event) {
	if (!event.type || event.type === "gap" || quiet.some(q => event.type.startsWith(q)))
		return;
	if (add(event.ms, sentence(event), placeOf(event)))
		tell();
}

// /v1/topology tells of each link when it last changed: known also when no event is kept any more.
export function changesOfTopology(body) {
	let more = false;
	for (const l of body.links ?? []) {
		const ms = timeOf(l.last_change), text = `link ${l.a.device} \u2013 ${l.b.device} ${l.state}`;
		const told = [...found.values()].some(c => c.text === text && Math.abs(c.ms - ms) < 2000);
		if (l.state !== "up" || !told)
			more = (!told && add(ms, text, "/network")) || more;
	}
	if (more)
		tell();
}

const recorded = ["device.", "integrity.", "topology.", "forwarding.", "process.", "incident.", "policy."];

// The ledger's entries of a time, for the part of the slider that is older than the events.
export async function changesOfLedger(from, to) {
	const { body } = await get("/v1/ledger/entries", {
		query: { from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: 1000 }, past: false,
	});
	for (const e of itemsOf(body))
		if (recorded.some(r => e.kind?.startsWith(r)))
			add(timeOf(e.time), sentence({ type: e.kind, subject: e.subject ?? "" }),
				e.index === undefined ? null : `/ledger/${e.index}`, `ledger ${e.index}`);
	tell();
}

export function startChanges() {
	pastEvents().forEach(takeEvent);
	onEvent(takeEvent);
}
