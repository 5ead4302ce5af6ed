// SPDX-License-Identifier: Apache-2.0
// One event stream for this tab, shared by all that is on it (WHATWG HTML 9.2, CloudEvents envelope).
// Read with fetch and not with EventSource, which hides why a server refuses. It asks for all events
// that the server still has, so that the time bar knows what happened before the page was opened.
import { call, Problem } from "./api.mjs";

const listeners = new Set(), watchers = new Set();
const kept = [], keptMost = 4096;
let lastId = "0", state = "connecting", why = null, tries = 0, stopped = true, abort = null;

export const stream = { get state() { return state; }, get why() { return why; } };

// f(event, replayed): events as they come. Gives the function that ends it.
export function onEvent(f) {
	listeners.add(f);
	return () => listeners.delete(f);
}

export function onStream(f) {
	watchers.add(f);
	return () => watchers.delete(f);
}

export const pastEvents = () => kept;

function become(next, problem = null) {
	state = next;
	why = problem;
	for (const f of watchers)
		f(state, why);
}

function dispatch(id, name, data, opened) {
	let event;
	try {
		event = JSON.parse(data);
	} catch {
		return;
	}
	if (name === "gap") { // the first one is ours: we asked for all there is
		if (lastId !== "0")
			for (const f of listeners)
				f({ type: "gap", subject: "", data: event }, false);
		lastId = id;
		return;
	}
	lastId = id || lastId;
	event.ms = Date.parse(event.data?.time ?? event.time);
	kept.push(event);
	if (kept.length > keptMost)
		kept.splice(0, kept.length - keptMost);
	for (const f of listeners)
		f(event, performance.now() - opened < 300);
}

// Lines of the stream: fields gather until an empty line ends the event.
function parser(opened) {
	let id = "", name = "", data = [];
	return line => {
		if (line === "") {
			if (data.length)
				dispatch(id, name, data.join("\n"), opened);
			name = "";
			data = [];
			return;
		}
		const colon = line.indexOf(":");
		const field = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
		if (field === "id")
			id = value;
		else if (field === "event")
			name = value;
		else if (field === "data")
			data.push(value);
	};
}

async function read(response, first) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	const line = parser(first ? performance.now() : -Infinity); // after a break, what is sent again is news
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done)
			return;
		const lines = (rest + value).split(/\r\n|\n|\r/);
		rest = lines.pop();
		lines.forEach(line);
	}
}

async function run() {
	while (!stopped) {
		try {
			abort = new AbortController();
			const response = await call("GET", "/v1/events", {
				query: { last_event_id: lastId }, past: false, accept: "text/event-stream", signal: abort.signal,
			});
			const first = lastId === "0";
			tries = 0;
			become("live");
			if (!first) // the server may have begun anew, or others changed what is on the page
				listeners.forEach(f => f({ type: "gap", subject: "", data: {} }, false));
			await read(response, first);
			become("reconnecting");
		} catch (e) {
			if (stopped)
				return;
			become("reconnecting", e instanceof Problem ? e : null);
			if (e.status === 401) {
				stopped = true;
				return;
			}
		}
		await new Promise(resolve => setTimeout(resolve, Math.min(10000, 500 * 2 ** tries++)));
	}
}

export function startEvents() {
	if (!stopped)
		return;
	stopped = false;
	run();
}

export function stopEvents() {
	stopped = true;
	abort?.abort();
	become("ended");
}
