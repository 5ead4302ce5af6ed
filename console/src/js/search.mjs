// SPDX-License-Identifier: Apache-2.0
// "/" searches everything that has a place: devices, interfaces, addresses, links, data paths, kinds of
// ledger entries, requirements, pages. Two names, or two addresses, are a packet to be traced.
import { get, itemsOf } from "./api.mjs";
import { fill, h } from "./dom.mjs";
import { encode, go, href } from "./router.mjs";

const most = 40;
let things = [], readAt = -Infinity;

const pages = [["Network", "/network"], ["Devices", "/devices"], ["Data", "/data"], ["Ledger", "/ledger"],
	["Conformance", "/conformance"], ["Alerts", "/alerts"], ["Status", "/status"]];

// What an agent sends (docs/contracts.md): the paths that a value can be asked for by.
const paths = ["/interfaces/interface[name=*]/state/oper-status",
	"/interfaces/interface[name=*]/state/counters/...",
	"/interfaces/interface[name=*]/subinterfaces/...", "/network-instances/network-instance[name=default]/afts/...",
	"/acl/...", "/lldp/...", "/system/state/...", "/components/...", "/gemel/agent/state/..."];

async function readOr(path, options, fallback) {
	try {
		return (await get(path, options)).body;
	} catch {
		return fallback; // who may not read it does not find it
	}
}

function ofTopology(body) {
	const list = [];
	for (const n of body.nodes ?? [])
		for (const a of n.addresses ?? [])
			list.push({ what: "address", text: a, more: n.id, to: `/devices/${encode(n.id)}` });
	for (const l of body.links ?? [])
		list.push({ what: "link", text: `${l.a.device} ${l.a.interface} \u2013 ${l.b.device} ${l.b.interface}`,
			more: l.state,
			to: `/network?link=${encodeURIComponent(l.id)}` });
	for (const x of body.hosts ?? [])
		list.push({ what: "host", text: x.address, more: `${x.device} ${x.interface}, ${x.mac}`,
			to: `/network?from=${x.address}` });
	for (const s of body.subnets ?? [])
		list.push({ what: "subnet", text: s.prefix,
			more: [...new Set((s.members ?? []).map(m => m.device))].join(", "),
			to: `/network?to=${(s.members?.[0]?.address ?? s.prefix).split("/")[0]}` });
	return list;
}

async function collect() {
	const [topology, devices, entries, requirements] = await Promise.all([
		readOr("/v1/topology", {}, {}), readOr("/v1/devices", { query: { limit: 1000 } }, {}),
		readOr("/v1/ledger/entries", { query: { limit: 200 } }, {}), readOr("/v1/conformance",
			{ query: { limit: 1000 } }, {})]);
	const ids = new Set([...itemsOf(devices).map(d => d.id), ...(topology.nodes ?? []).map(n => n.id)]);
	const kinds = new Set(itemsOf(entries).map(e => e.kind));
	things = [
		...[...ids].filter(Boolean).sort().map(id => ({ what: "device", text: id, to: `/devices/${encode(id)}` })),
		...pages.map(([text, to]) => ({ what: "page", text, to })), ...ofTopology(topology),
		...[...kinds].filter(Boolean).sort().map(k => ({ what: "ledger", text: k,
			to: `/ledger?kind=${encodeURIComponent(k)}` })),
		...paths.map(p => ({ what: "data path", text: p, to: `/data?path=${encodeURIComponent(p)}` })),
		...itemsOf(requirements).map(r => ({ what: "requirement", text: r.id,
			more: r.requirement ?? r.title ?? r.text ?? "",
			to: `/conformance/${encode(r.id)}` })),
	];
	readAt = performance.now();
}

function score(thing, needles) {
	const text = thing.text.toLowerCase(), all = `${thing.what} ${text} ${thing.more ?? ""}`.toLowerCase();
	if (!needles.every(n => all.includes(n)))
		return -1;
	const first = needles[0] ?? "";
	return (text === first ? 100 : text.startsWith(first) ? 50 : text.includes(first) ? 20 : 0) - text.length / 50;
}

function asked(words) {
	const clean = words.trim();
	const two = clean.match(/^(\S+)\s*(?:->|>|to|\u2192|\s)\s*(\S+)(?:\s+(tcp|udp|icmp))?(?:\s+(\d+))?$/i);
	const known = name => things.some(t => t.text === name && ["device", "host", "address"].includes(t.what)) ||
		/^[0-9a-f]*[.:][0-9a-f.:]+$/i.test(name);
	const extra = [];
	if (two && known(two[1]) && known(two[2]))
		extra.push({ what: "trace", text: `${two[1]} to ${two[2]}`, more: two[3] ? `${two[3]} ${two[4] ?? ""}`
			: "which way a packet takes",
			to: `/network?from=${encodeURIComponent(two[1])}&to=${encodeURIComponent(two[2])}${two[3] ? `&protocol=${two[3]}` : ""}${two[4] ? `&port=${two[4]}` : ""}` });
	if (/^#?\d+$/.test(clean))
		extra.push({ what: "ledger", text: `entry ${clean.replace("#", "")}`,
			to: `/ledger/${clean.replace("#", "")}` });
	if (/^\/[a-z]/.test(clean))
		extra.push({ what: "data path", text: clean, to: `/data?path=${encodeURIComponent(clean)}` });
	const needles = clean.toLowerCase().split(/\s+/).filter(Boolean);
	const scored = things.map(t => [score(t, needles), t]).filter(([s]) => s >= 0).sort((a, b) => b[0] - a[0]);
	return [...extra, ...(needles.length ? scored : things.map(t => [0, t])).map(([, t]) => t)].slice(0, most);
}

export function openSearch() {
	if (document.querySelector("dialog[open]"))
		return;
	let chosen = 0, list = [];
	const input = h("input", { type: "search", role: "combobox", "aria-expanded": "true", "aria-controls": "found",
		"aria-label": "Search everything", placeholder: "device, address, link, path, ledger kind; or: from to",
			spellcheck: "false", autocomplete: "off" });
	const results = h("ul", { id: "found", role: "listbox" });
	const dialog = h("dialog", { class: "search", "aria-label": "Search", onclose: () => dialog.remove(),
		onclick: e => e.target === dialog && dialog.close() }, input, results);

	function choose(n) {
		chosen = Math.max(0, Math.min(list.length - 1, n));
		[...results.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === chosen)));
		results.children[chosen]?.scrollIntoView({ block: "nearest" });
		input.setAttribute("aria-activedescendant", list.length ? `found-${chosen}` : "");
	}
	function open(thing) {
		dialog.close();
		if (thing)
			go(thing.to);
	}
	function draw() {
		list = asked(input.value);
		fill(results, list.map((t, i) => h("li", { role: "option", id: `found-${i}` },
			h("a", { href: href(t.to), tabindex: "-1",
				onclick: e => { e.preventDefault(); e.stopPropagation(); open(t); } },
				h("span", { class: "what" }, t.what), h("span", { class: "text" }, t.text),
					h("span", { class: "more" }, t.more ?? "")))),
			!list.length && h("li", { class: "empty" }, "Nothing is called that."));
		choose(0);
	}
	input.addEventListener("input", draw);
	input.addEventListener("keydown", event => {
		const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
		if (step) {
			event.preventDefault();
			choose(chosen + step);
		} else if (event.key === "Enter") {
			event.preventDefault();
			open(list[chosen]);
		}
	});
	document.body.append(dialog);
	dialog.showModal();
	input.focus();
	draw();
	if (performance.now() - readAt > 5000)
		collect().then(() => dialog.open && draw());
}
