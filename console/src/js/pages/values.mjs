// SPDX-License-Identifier: Apache-2.0
// Values as the repository has them: each with its time and class, and the way back to the batch that
// brought it.
import { fill, h } from "../dom.mjs";
import { get, itemsOf } from "../api.mjs";
import { plain, words } from "../format.mjs";
import { watch } from "../live.mjs";
import { facts, panel, problemBox } from "../panel.mjs";
import { deviceLink, entryLink } from "../router.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";

const classes = ["", "public", "internal", "confidential", "restricted", "personal"];

function tree(value, key = "") {
	if (Number.isInteger(value) && /^(index|entry|ledger_index)$/.test(key))
		return entryLink(value);
	if (Array.isArray(value) && value.some(v => typeof v === "object"))
		return h("ol", { class: "plain" }, value.map(v => h("li", {}, tree(v, key))));
	if (value && typeof value === "object" && !Array.isArray(value))
		return facts(Object.entries(value).filter(([, v]) => v !== null && v !== "").map(([k, v]) => [words(k),
			tree(v, k)]));
	if (/(^|_)(time|at|from|to|until|received|since)$/.test(key) && typeof value === "string" &&
		/^\d{4}-/.test(value))
		return since(value, "exact");
	return typeof value === "string" && value.length > 40 ? h("code", { class: "long" }, value) : plain(value);
}

async function openLineage(v) {
	const body = h("div", {}, h("p", { class: "empty" }, "Loading."));
	const dialog = h("dialog", { class: "lineage", "aria-label": "Lineage", onclose: () => dialog.remove() },
		h("header", {}, h("h1", {}, "Where it came from"), h("span", { class: "grow" }),
			h("form", { method: "dialog" }, h("button", {}, "Close"))),
		h("p", {}, deviceLink(v.device), " ", h("code", {}, v.path)), body);
	document.body.append(dialog);
	dialog.showModal();
	try {
		const answer = await get("/v1/data:lineage", { query: { device: v.device, path: v.path } });
		const { as_of, age_ms, revision, device, path, ...rest } = answer.body;
		fill(body, tree(rest), h("p", { class: "muted" }, "as of ", since(as_of, "exact")));
	} catch (problem) {
		fill(body, problemBox(problem));
	}
}

export function valuesPanel({ device = "", path = "", className = "", address = () => {} }) {
	const p = panel("Values");
	const fields = {
		device: h("input", { type: "search", placeholder: "device", "aria-label": "device", value: device,
			spellcheck: "false" }),
		path: h("input", { type: "search", class: "wide",
			placeholder: "path or pattern, such as /interfaces/interface[name=*]/state/...",
			"aria-label": "path or pattern", value: path, spellcheck: "false" }),
		class: h("select", { "aria-label": "class" },
			classes.map(c => h("option", { value: c, selected: c === className }, c || "any class"))),
	};
	fields.device.hidden = Boolean(device);
	const more = h("button", { type: "button", hidden: true }, "More values"), trouble = h("div", {});
	let first = [], further = [], next = null;
	const query = () => ({ device: device || fields.device.value.trim(), path: fields.path.value.trim(),
		class: fields.class.value, purpose: "console" });
	const t = table({
		label: "Values", id: v => `${v.device} ${v.path}`, open: openLineage, most: 5000,
			nothing: "No value is like that, or none that this account may read.",
		columns: [
			...(device ? [] : [{ key: "device", name: "device", cell: v => deviceLink(v.device) }]),
			{ key: "path", name: "path", wide: true, cell: v => h("code", { class: "path" }, v.path) },
			{ key: "value", name: "value", cell: v => h("code", { class: "value" }, plain(v.value)) },
			{ key: "time", name: "age", right: true, cell: v => since(v.time) },
			{ key: "class", name: "class" },
			{ key: "lineage", name: "", sort: null, cell: v => h("button", { type: "button", class: "quiet",
				onclick: () => openLineage(v) }, "Lineage") },
		],
	});
	const form = h("form", { class: "filters", onsubmit: e => { e.preventDefault(); again(); } }, fields.device,
		fields.path, fields.class, h("button", { type: "submit" }, "Ask"));
	form.addEventListener("change", () => again());
	p.head.querySelector(".grow").before(form);
	p.body.append(trouble, t.node, more);

	function draw() {
		t.update([...first, ...further]);
		more.hidden = !next;
	}
	const w = watch({
		load: signal => get("/v1/data:query", { signal, query: { ...query(), limit: 200 } }), every: 5000,
			fail: p.fail,
		show(answer) {
			p.show(answer);
			first = itemsOf(answer.body);
			if (further.length === 0)
				next = answer.body.next;
			draw();
		},
	});
	function again() {
		further = [];
		address(query());
		w.again();
	}
	more.addEventListener("click", async () => {
		try {
			const { body } = await get("/v1/data:query", { query: { ...query(), limit: 200, cursor: next } });
			further = further.concat(itemsOf(body));
			next = body.next;
			draw();
		} catch (problem) {
			fill(trouble, problemBox(problem));
		}
	});
	return { node: p.node, stop: w.stop, focus: () => fields.path.focus() };
}
