// SPDX-License-Identifier: Apache-2.0
// The moment that the whole console shows: null is now, else milliseconds since 1970. It is part of
// every address, so that a link shows a colleague what its sender saw.

const listeners = new Set();

export const moment = { at: null };

export function momentOf(url) {
	const at = Date.parse(url.searchParams.get("at") ?? "");
	return Number.isFinite(at) ? at : null;
}

moment.at = momentOf(new URL(location.href));

export function onMoment(f) {
	listeners.add(f);
	return () => listeners.delete(f);
}

// Takes over what the address says, without changing it.
export function takeMoment(at) {
	if (at === moment.at)
		return;
	moment.at = at;
	for (const f of [...listeners])
		f(at);
}

export function setMoment(at) {
	const url = new URL(location.href);
	const wasPast = moment.at !== null;
	if (at === null)
		url.searchParams.delete("at");
	else
		url.searchParams.set("at", new Date(at).toISOString());
	// going into the past is a step to come back from; moving about in it is not
	history[wasPast || at === null ? "replaceState" : "pushState"](null, "", url);
	takeMoment(at);
}
