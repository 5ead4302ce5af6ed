// SPDX-License-Identifier: Apache-2.0
// A field that narrows a table to rows that contain all its words; kept in the page's address.
import { h } from "./dom.mjs";

export function filterField({ value = "", placeholder = "filter", changed }) {
	const input = h("input", { type: "search", class: "filter", value, placeholder, "aria-label": placeholder,
		spellcheck: "false" });
	const needles = () => input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
	input.addEventListener("input", () => changed(input.value.trim()));
	return {
		node: input,
		get value() { return input.value.trim(); },
		passes: text => needles().every(n => text.toLowerCase().includes(n)),
	};
}
