// SPDX-License-Identifier: Apache-2.0
// Light, dark, or as the system says. Canvases ask here for their colours and are told of changes.
const names = { "": "\u25D0 Auto", light: "\u25D0 Light", dark: "\u25D0 Dark" };
const order = ["", "light", "dark"];
const listeners = new Set();

const chosen = () => document.documentElement.dataset.theme ?? "";
export const themeName = () => names[chosen()];

export function nextTheme() {
	const next = order[(order.indexOf(chosen()) + 1) % order.length];
	if (next)
		document.documentElement.dataset.theme = next;
	else
		delete document.documentElement.dataset.theme;
	try {
		if (next)
			localStorage.setItem("gemel.theme", next);
		else
			localStorage.removeItem("gemel.theme");
	} catch {
		// not kept then
	}
	listeners.forEach(f => f());
	return names[next];
}

export function onTheme(f) {
	listeners.add(f);
	return () => listeners.delete(f);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => listeners.forEach(f => f()));

export function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
