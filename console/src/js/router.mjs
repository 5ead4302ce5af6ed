// SPDX-License-Identifier: Apache-2.0
// Addresses. Each object has a path of its own; the server gives the first page for all of them. A path
// whose last part has a dot in it ends with a slash: else the server takes it for a file's name.
import { moment, momentOf, takeMoment } from "./moment.mjs";
import { h } from "./dom.mjs";

const routes = [];
let current = null, outlet = null, onOpened = () => {};

// route("/devices/:id", loader): the loader gives a module with open(outlet, params, query) -> close().
export function route(pattern, load) {
	routes.push({ parts: pattern.split("/").slice(1), load });
}

export const encode = encodeURIComponent;

function match(path) {
	const parts = (path.replace(/\/+$/, "") || "/").split("/").slice(1);
	for (const r of routes) {
		const params = {};
		if (parts.length === r.parts.length && r.parts.every((p, i) => {
			if (!p.startsWith(":"))
				return p === parts[i];
			params[p.slice(1)] = decodeURIComponent(parts[i]);
			return true;
		}))
			return { route: r, params };
	}
	return null;
}

// An address with the moment that is shown now.
export function href(path, at = moment.at) {
	const url = new URL(path, location.origin);
	if (at !== null && !url.searchParams.has("at"))
		url.searchParams.set("at", new Date(at).toISOString());
	const slash = /\.[^/]*$/.test(url.pathname) ? "/" : "";
	return url.pathname + slash + url.search + url.hash;
}

export function link(path, text, props = {}) {
	return h("a", { ...props, href: href(path), dataset: { ...props.dataset, to: path } }, text);
}

export const deviceLink = (id, text = id) => link(`/devices/${encode(id)}`, text, { class: "name" });
export const entryLink = index => link(`/ledger/${index}`, `#${index}`, { class: "name" });

export function go(path, { replace = false } = {}) {
	history[replace ? "replaceState" : "pushState"](null, "", href(path));
	return show();
}

// Changes the address of what is shown, without opening it again.
export function stay(path) {
	history.replaceState(null, "", href(path));
}

let turn = 0;

export async function show() {
	const url = new URL(location.href), mine = ++turn;
	takeMoment(momentOf(url));
	let found;
	try {
		found = match(url.pathname);
	} catch {
		found = null; // an address that cannot be decoded
	}
	let page;
	try {
		page = found ? await found.route.load() : await import("./pages/nowhere.mjs");
	} catch {
		page = await import("./pages/nowhere.mjs");
	}
	if (mine !== turn)
		return;
	current?.();
	outlet.replaceChildren();
	outlet.className = "";
	current = page.open(outlet, found?.params ?? {}, url.searchParams) ?? null;
	document.title = `${page.title?.(found?.params ?? {}) ?? "Gemel"} \u00b7 Gemel`;
	onOpened(url.pathname);
}

export function relink() {
	for (const a of document.querySelectorAll("a[data-to]"))
		a.href = href(a.dataset.to);
}

export function startRouter(node, opened) {
	outlet = node;
	onOpened = opened;
	addEventListener("popstate", show);
	document.addEventListener("click", event => {
		const a = event.target.closest?.("a[href]");
		if (!a || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey ||
		    event.altKey || a.target || a.hasAttribute("download") || a.origin !== location.origin ||
		    a.hash || a.pathname.startsWith("/v1/"))
			return;
		event.preventDefault();
		history.pushState(null, "", a.href);
		show().then(() => {
			scrollTo(0, 0);
			outlet.focus({ preventScroll: true });
		});
	});
	return show();
}
