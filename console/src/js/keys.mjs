// SPDX-License-Identifier: Apache-2.0
// The keyboard. One table, which is also the help.
import { h, textField } from "./dom.mjs";
import { groupBy } from "./lists.mjs";

const table = [], bound = new Map();
let prefix = "", forget = 0;

// keys: "/", "g n"; group and text are for the help.
export function key(keys, group, text, run) {
	bound.set(keys, run);
	table.push({ keys, group, text });
}

// For the help alone: what the browser or a part of the page does by itself.
export function tellKey(keys, group, text) {
	table.push({ keys, group, text });
}

// For as long as a page is open. Gives the function that takes it away again.
export function pageKey(keys, text, run) {
	key(keys, "This page", text, run);
	return () => {
		bound.delete(keys);
		const at = table.findIndex(k => k.keys === keys && k.text === text);
		if (at >= 0)
			table.splice(at, 1);
	};
}

function press(event) {
	if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || textField(event.target) ||
	    document.querySelector("dialog[open]"))
		return;
	const keys = prefix ? `${prefix} ${event.key}` : event.key;
	clearTimeout(forget);
	prefix = "";
	if (bound.has(keys)) {
		event.preventDefault();
		bound.get(keys)(event);
	} else if (event.key.length === 1 && [...bound.keys()].some(k => k.startsWith(`${event.key} `))) {
		prefix = event.key;
		forget = setTimeout(() => { prefix = ""; }, 1200);
	}
}

export function help() {
	const groups = groupBy(table, k => k.group);
	const dialog = h("dialog", { class: "help", "aria-label": "Keyboard", onclose: () => dialog.remove() },
		h("h1", {}, "Keyboard"),
		h("div", { class: "columns" }, [...groups].map(([group, keys]) => h("section", {}, h("h2", {}, group),
			h("dl", { class: "keys" }, keys.map(k => [
				h("dt", {}, k.keys.split(" ").map(x => h("kbd", {}, x))), h("dd", {}, k.text)]))))),
		h("form", { method: "dialog" }, h("button", {}, "Close")));
	document.body.append(dialog);
	dialog.showModal();
}

export function startKeys() {
	document.addEventListener("keydown", press);
}
