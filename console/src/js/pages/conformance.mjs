// SPDX-License-Identifier: Apache-2.0
// One tile for each requirement, grouped as in X.2011, with the verdict of its last live check. A tile
// opens its evidence: what was observed, in which run, and where the ledger has it.
import { fill, h } from "../dom.mjs";
import { get, itemsOf } from "../api.mjs";
import { plain, words } from "../format.mjs";
import { groupBy } from "../lists.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { empty, facts, panel, unchanged } from "../panel.mjs";
import { encode, entryLink, href, link } from "../router.mjs";
import { groupOf, groups, inOrder } from "../requirements.mjs";
import { since } from "../stamp.mjs";
import { state } from "../words.mjs";

export const title = params => params.id ?? "Conformance";

const textOf = r => r.requirement ?? r.title ?? r.text ?? r.name ?? "";
const timeOf = r => r.when ?? r.time ?? r.at ?? r.checked_at;
const wordOf = r => ({ pass: "pass", fail: "fail" })[r.verdict] ?? "no check yet";
const kindOf = r => ({ pass: "ok", fail: "bad" })[r.verdict] ?? "off";

// Evidence is text, a ledger index, or anything in between.
function evidence(value, key = "") {
	if (Number.isInteger(value) && /index|ledger|entry/.test(key))
		return entryLink(value);
	if (Array.isArray(value))
		return value.length ? h("ul", { class: "plain" }, value.map(v => h("li", {}, evidence(v, key)))) : "none";
	if (value && typeof value === "object")
		return facts(Object.entries(value).map(([k, v]) => [words(k), evidence(v, k)]));
	return typeof value === "string" && value.includes("\n") ? h("pre", { class: "json" }, value) : plain(value);
}

const shown = ["id", "verdict", "requirement", "title", "text", "name", "when", "time", "at", "checked_at", "run",
	"nonce", "index", "ledger", "evidence", "shown_by"];

function details(r) {
	return h("div", { class: "evidence" },
		h("p", { class: "requirement" }, textOf(r)),
		r.shown_by && h("p", { class: "muted" }, "Shown by: ", r.shown_by),
		facts([
			["verdict", state(wordOf(r), kindOf(r))],
			["checked", timeOf(r) ? [since(timeOf(r)), ", ", since(timeOf(r), "exact")] : "never"],
			["run", r.run ?? r.nonce],
			Number.isInteger(r.index ?? r.ledger) && ["ledger", entryLink(r.index ?? r.ledger)],
			["evidence", r.evidence ? evidence(r.evidence) : r.verdict === "none" ? "There is no live check for it yet." : "none"],
			...Object.entries(r).filter(([k]) => !shown.includes(k)).map(([k, v]) => [words(k), evidence(v, k)]),
		]));
}

function openTile(r, all) {
	const at = all.findIndex(x => x.id === r.id);
	const dialog = h("dialog", { class: "tile-open", "aria-label": `Requirement ${r.id}`, onclose() {
		dialog.remove();
		if (location.pathname.startsWith("/conformance/"))
			history.replaceState(null, "", href("/conformance"));
		document.querySelector(`[data-tile="${CSS.escape(r.id)}"]`)?.focus();
	} });
	const turn = step => {
		const other = all[at + step];
		if (other) {
			dialog.remove();
			history.replaceState(null, "", href(`/conformance/${encode(other.id)}`));
			openTile(other, all);
		}
	};
	dialog.append(h("header", {}, h("h1", {}, r.id), h("span", { class: "grow" }),
		h("button", { type: "button", disabled: at <= 0, onclick: () => turn(-1) }, "\u2039 Before"),
		h("button", { type: "button", disabled: at >= all.length - 1, onclick: () => turn(1) }, "Next \u203a"),
		h("form", { method: "dialog" }, h("button", { autofocus: true }, "Close"))), details(r));
	dialog.addEventListener("keydown", e => {
		if (e.key === "ArrowLeft" || e.key === "ArrowRight")
			turn(e.key === "ArrowLeft" ? -1 : 1);
	});
	document.body.append(dialog);
	dialog.showModal();
}

function tile(r) {
	return link(`/conformance/${encode(r.id)}`, [
		h("span", { class: "line" }, h("b", {}, r.id), h("span", { class: "grow" }), state(wordOf(r), kindOf(r))),
		h("span", { class: "text" }, textOf(r)),
		h("span", { class: "stamp" }, timeOf(r) ? since(timeOf(r)) : "never checked"),
	], { class: "tile", dataset: { tile: r.id }, title: textOf(r) });
}

export function open(outlet, { id }) {
	const p = panel("Conformance to X.2011"), summary = h("span", { class: "summary" });
	const kinds = [["", "all"], ["pass", "pass"], ["fail", "fail"], ["none", "no check yet"]];
	const which = h("select", { "aria-label": "Which" }, kinds.map(([value, text]) => h("option", { value }, text)));
	let all = [], first = true;
	p.head.querySelector(".grow").before(summary, which);
	outlet.append(p.node);

	function draw() {
		const shown = all.filter(r => !which.value || (r.verdict ?? "none") === which.value);
		const byGroup = groupBy(shown, r => groupOf(r.id));
		const n = verdict => all.filter(r => (r.verdict ?? "none") === verdict).length;
		summary.textContent = `${n("pass")} pass, ${n("fail")} fail, ${n("none")} without a check`;
		fill(p.body, all.length === 0 && empty("No result has been handed in yet. Run: gemel conformance"),
			groups.filter(([key]) => byGroup.has(key)).map(([key, clause, name]) => h("section", { class: "tiles" },
				h("h3", {}, clause && h("span", { class: "clause" }, clause), name),
				h("div", { class: "grid" }, byGroup.get(key).sort((a, b) => inOrder(a.id, b.id)).map(tile)))));
	}
	which.addEventListener("change", draw);

	function openNamed() {
		const r = all.find(x => x.id === id);
		if (r)
			openTile(r, [...all].sort((a, b) => inOrder(a.id, b.id)));
		else
			fill(p.body, p.body.firstChild, h("p", { class: "why" }, `There is no requirement ${id}.`));
	}
	const click = event => {
		const a = event.target.closest("a.tile");
		if (!a || event.ctrlKey || event.metaKey || event.shiftKey || event.button)
			return;
		event.preventDefault();
		history.replaceState(null, "", a.href);
		openTile(all.find(r => r.id === a.dataset.tile), [...all].sort((x, y) => inOrder(x.id, y.id)));
	};
	outlet.addEventListener("click", click);
	const w = watch({
		load: signal => get("/v1/conformance", { signal, query: { limit: 1000 } }), on: ["conformance."],
		every: 15000, fail: p.fail,
		show(answer) {
			p.show(answer);
			all = itemsOf(answer.body);
			if (!unchanged(p.body, answer.body))
				draw();
			if (first && id)
				openNamed();
			first = false;
		},
	});
	return bundle(w, () => outlet.removeEventListener("click", click),
		() => document.querySelector("dialog.tile-open")?.close(),
		pageKey("x", "only those that fail; again: all", () => {
			which.value = which.value === "fail" ? "" : "fail";
			draw();
		}));
}

