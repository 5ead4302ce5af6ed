// SPDX-License-Identifier: Apache-2.0
// State, the only thing with colour, and never without its word and its own shape: a filled circle for
// well, a triangle for look here, a square for broken, a ring for not known or not in use.
import { h } from "./dom.mjs";

const kinds = {
	ok: "up present production pass passed ok ready running live delivered permit permitted active open true " +
		"verified intact attested-ok fresh good joined cosigned reachable",
	warn: "stale quarantine unconfirmed suspended inconclusive degraded partial left " +
		"warning reconnecting connecting refused-once dormant delay probe incomplete busy notice late",
	bad: "down lost revoked fail failed refused dropped discarded no-route black-hole loop lower-layer-down " +
		"not-present critical error alert denied deny stopped dead altered damaged missing forked false away high",
	off: "unknown invited tested attested none absent disabled testing dormant ended info low closed not-run unsupported",
};
const kindOf = new Map(Object.entries(kinds).flatMap(([kind, words]) => words.split(" ").map(w => [w, kind])));

export function stateKind(word) {
	return kindOf.get(String(word ?? "").toLowerCase().replaceAll(/[_ ]/g, "-")) ?? "off";
}

export function stateText(word) {
	const text = String(word ?? "unknown").replaceAll("_", " ");
	return text === text.toUpperCase() ? text.toLowerCase() : text;
}

// kind: when the word alone does not tell.
export function state(word, kind = stateKind(word)) {
	return h("span", { class: `state ${kind}` }, stateText(word));
}

export function setState(node, word, kind = stateKind(word)) {
	node.className = `state ${kind}`;
	if (node.textContent !== stateText(word))
		node.textContent = stateText(word);
}
