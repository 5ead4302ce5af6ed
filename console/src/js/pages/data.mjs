// SPDX-License-Identifier: Apache-2.0
// What is kept, by class and age; whether it is all as it was written; and any value with its origin.
import { fill, h } from "../dom.mjs";
import { get } from "../api.mjs";
import { bytes, count, plain, timeOf, words } from "../format.mjs";
import { bundle } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { empty, facts, livePanel, panel, problemBox } from "../panel.mjs";
import { stay } from "../router.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state } from "../words.mjs";
import { valuesPanel } from "./values.mjs";

export const title = () => "Data";

function cell(key, value) {
	if (/bytes/.test(key) && !/per/.test(key) && typeof value === "number")
		return bytes(value);
	if (typeof value === "number")
		return Number.isInteger(value) ? count(value) : value.toFixed(2);
	if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) && Number.isFinite(timeOf(value)))
		return since(value);
	return plain(value);
}

const isRows = v => Array.isArray(v) && v.length > 0 && v.every(x => x && typeof x === "object");

// Every list of the answer as a table by its shape, so that a member that the server gains is seen.
function shapeTable(name, rows) {
	const keys = [...new Set(rows.flatMap(r => Object.keys(r)))].filter(k =>
		rows.every(r => typeof r[k] !== "object" || r[k] === null));
	const t = table({
		label: words(name), id: (r => keys.map(k => r[k]).join()), nothing: "None.",
		columns: keys.map(k => ({
			key: k, name: words(k), right: typeof rows[0][k] === "number", cell: r => cell(k, r[k]) })),
	});
	t.update(rows);
	return h("section", {}, h("h3", {}, words(name)), t.node);
}

const stampMembers = ["as_of", "age_ms", "revision"];
const isPlain = v => typeof v !== "object" || v === null;

// Facts, then every list as a table, one level down.
function shape(name, object) {
	const entries = Object.entries(object).filter(([k]) => !stampMembers.includes(k));
	return h("section", {}, name && h("h3", {}, words(name)),
		facts(entries.filter(([, v]) => isPlain(v)).map(([k, v]) => [words(k), cell(k, v)])),
		entries.filter(([, v]) => isRows(v)).map(([k, v]) => shapeTable(k === "classes" ? "by class" : k, v)),
		entries.filter(([, v]) => !isPlain(v) && !Array.isArray(v)).map(([k, v]) => shape(k, v)));
}

function statsPanel() {
	return livePanel("Kept", {
		past: false, every: 15000,
		load: signal => get("/v1/data:stats", { signal, past: false }),
		draw: (body, _, p) => fill(p.body, shape("", body)),
	});
}

function verifyPanel() {
	const p = panel("Integrity", { past: false });
	const button = h("button", { type: "button" }, "Check all of it now");
	const result = h("div", { "aria-live": "polite" });
	button.addEventListener("click", async () => {
		button.disabled = true;
		fill(result, empty("Reading and checking every row. The work of the twin goes on meanwhile."));
		try {
			const answer = await get("/v1/data:verify", { past: false }), b = answer.body, damaged = b.damaged ?? [];
			const took = Number.isFinite(b.took_ms) ? `, checked in ${count(b.took_ms)} ms` : "";
			p.show(answer);
			fill(result, h("p", {}, state(b.ok ? "intact" : "altered"), took),
				b.checked && facts(Object.entries(b.checked).map(([k, v]) => [words(k), cell(k, v)])),
				isRows(damaged) && h("ul", { class: "plain" },
					damaged.map(d => h("li", {}, state(d.what ?? "damaged", "bad"), " ", d.text ?? plain(d)))));
		} catch (problem) {
			fill(result, problemBox(problem));
		}
		button.disabled = false;
	});
	p.body.append(h("p", { class: "muted" },
		"Compares every stored row with its manifest and the ledger. It is also done by itself every six hours."),
		button, result);
	return p;
}

export function open(outlet, params, query) {
	const values = valuesPanel({
		path: query.get("path") ?? "", className: query.get("class") ?? "",
		address: q => stay(`/data?${new URLSearchParams(Object.entries(q).filter(([k, v]) => v && k !== "purpose"))}`.replace(/\?$/, "")),
	});
	const stats = statsPanel(), verify = verifyPanel();
	outlet.className = "with-side";
	outlet.append(h("div", { class: "left" }, values.node), h("div", { class: "side" }, stats.node, verify.node));
	return bundle(values, stats, pageKey("f", "to the path field", values.focus));
}
