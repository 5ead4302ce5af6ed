// SPDX-License-Identifier: Apache-2.0
// The ledger's tail, its filters, the proof of any entry, and what the witnesses last said.
import { fill, h, say } from "../dom.mjs";
import { get, getText, itemsOf } from "../api.mjs";
import { count, plain, shortHashes, words } from "../format.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { facts, panel, problemBox } from "../panel.mjs";
import { deviceLink, entryLink, go, stay } from "../router.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state } from "../words.mjs";
import { download, parseNote, proofName, proofText } from "../proof.mjs";

export const title = () => "Ledger";

const fields = [["kind", "kind, or its beginning with a final ."], ["subject", "subject"], ["actor", "actor"]];

export async function prove(index, trouble) {
	try {
		const text = await proofText(index);
		download(proofName(index), text);
		fill(trouble);
		say(`The proof of entry ${index} was downloaded`);
		return text;
	} catch (problem) {
		fill(trouble, problemBox(problem));
		return null;
	}
}

function filterForm(query, changed) {
	const inputs = fields.map(([name, help]) => h("input", {
		type: "search", name, value: query.get(name) ?? "", placeholder: name, title: `Only this ${help}`,
			"aria-label": help, spellcheck: "false" }));
	const words = () => Object.fromEntries(inputs.map(i => [i.name, i.value.trim()]).filter(([, v]) => v));
	const form = h("form", { class: "filters", onsubmit: e => { e.preventDefault(); changed(); } }, inputs,
		h("button", { type: "submit" }, "Filter"));
	form.addEventListener("change", changed);
	return { form, words, first: inputs[0] };
}

function checkpointPanel() {
	const p = panel("Checkpoint", { past: false });
	p.node.classList.add("strip");
	let told = [], asked = -Infinity;
	// Why a witness is silent: only the repository knows.
	async function witnesses(signal) {
		if (performance.now() - asked < 30000)
			return;
		asked = performance.now();
		try {
			told = (await get("/v1/data:stats", { signal, past: false })).body.ledger?.witnesses ?? [];
		} catch {
			told = []; // who may not ask sees the signatures, which say enough
		}
	}
	const w = watch({
		async load(signal) {
			const [note] = await Promise.all([getText("/v1/ledger/checkpoint", { signal, past: false }),
				witnesses(signal)]);
			return { body: { note }, came: performance.now() };
		},
		on: ["ledger."], every: 10000, past: false, fail: p.fail,
		show(answer) {
			p.show(answer);
			const note = parseNote(answer.body.note), cosigned = note.signatures.filter(s => s.time !== null);
			const silent = told.filter(t => !cosigned.some(s => s.name === t.name));
			fill(p.body, facts([
				["ledger", note.origin], ["entries", count(note.size)],
				["root", h("code", { title: note.root }, `${note.root.slice(0, 20)}\u2026`)],
				...cosigned.map(s => ["witness", [state("cosigned"), " ", s.name, " ", since(s.time * 1000)]]),
				...silent.map(t => ["witness", [state("silent", "warn"), ` ${t.name}, last word `, since(t.last),
					t.why ? `: ${t.why}` : ""]]),
			]), cosigned.length + silent.length === 0 && h("p", {}, state("no witness", "warn"),
				" has cosigned it. Nobody else would notice if the ledger were rolled back."),
			h("div", { class: "buttons" },
				h("button", { type: "button", onclick: () => download("checkpoint", answer.body.note) },
					"Download checkpoint"),
				h("button", { type: "button", onclick: async () => download("vkey",
					await getText("/v1/ledger/vkey", { past: false })) }, "Download verifier key")));
		},
	});
	return { node: p.node, stop: w.stop };
}

const aboutDevice = e => /^(device|data|grant|telemetry)\./.test(e.kind ?? "") && /^[\w.-]+$/.test(e.subject ?? "");
export const subjectCell = e => aboutDevice(e) ? deviceLink(e.subject) : e.subject;

export function open(outlet, params, query) {
	const p = panel("Ledger");
	const trouble = h("div", {}), more = h("button", { type: "button", hidden: true }, "Older entries");
	let older = [], next = null, newest = [];
	const filter = filterForm(query, () => {
		stay(`/ledger?${new URLSearchParams(filter.words())}`.replace(/\?$/, ""));
		older = [];
		w.again();
	});
	const t = table({
		label: "Entries", id: e => e.index, open: e => go(`/ledger/${e.index}`), most: 2000,
			nothing: "No entry is like that.",
		columns: [
			{ key: "index", name: "entry", right: true, sort: null, cell: e => entryLink(e.index) },
			{ key: "time", name: "time", sort: null, cell: e => since(e.time, "exact") },
			{ key: "age", name: "age", right: true, sort: null, cell: e => since(e.time) },
			{ key: "kind", name: "kind", sort: null, cell: e => h("code", {}, e.kind) },
			{ key: "subject", name: "subject", sort: null, cell: subjectCell },
			{ key: "actor", name: "actor", sort: null },
			{ key: "summary", name: "", sort: null, wide: true, cell: e => h("span", { class: "muted" },
				summaryOf(e)) },
			{ key: "prove", name: "", sort: null, cell: e => h("button", { type: "button", class: "prove",
				title: `Download the proof of entry ${e.index}`,
				onclick: () => prove(e.index, trouble) }, "Prove this entry") },
		],
	});
	p.head.querySelector(".grow").before(filter.form);
	p.body.append(trouble, t.node, more);
	const checkpoint = checkpointPanel();
	outlet.append(checkpoint.node, p.node);

	function draw() {
		const seen = new Set(newest.map(e => e.index));
		t.update([...newest, ...older.filter(e => !seen.has(e.index))]);
		more.hidden = !next;
	}
	more.addEventListener("click", async () => {
		try {
			const { body } = await get("/v1/ledger/entries", { query: { ...filter.words(), limit: 200,
				cursor: next } });
			older = older.concat(itemsOf(body));
			next = body.next;
			draw();
		} catch (problem) {
			fill(trouble, problemBox(problem));
		}
	});
	const w = watch({
		load: signal => get("/v1/ledger/entries", { signal, query: { ...filter.words(), limit: 100 } }),
			on: ["ledger."], every: 10000, fail: p.fail,
		show(answer) {
			p.show(answer);
			const before = newest[0]?.index;
			newest = itemsOf(answer.body);
			if (before !== undefined && older.length === 0 && newest.length && newest.at(-1).index > before)
				older = []; // more came than one answer holds: what is between is asked for by "Older entries"
			if (older.length === 0)
				next = answer.body.next;
			draw();
		},
	});
	return bundle(w, checkpoint, pageKey("f", "to the filters", () => filter.first.focus()));
}

// What is readable of the body without opening it: what says most comes first, bookkeeping not at all.
const telling = ["reason", "detail", "text", "state"];
const silent = ["kind", "subject", "actor", "time", "record", "device", "id", "active", "first", "last",
	"severity", "fix",
	"step"];

export function summaryOf(e) {
	const body = e.body ?? {};
	if (typeof body !== "object")
		return String(body);
	const rank = ([key]) => telling.includes(key) ? telling.indexOf(key) : telling.length;
	return shortHashes(Object.entries(body)
		.filter(([k, v]) => v !== null && v !== "" && typeof v !== "object" && !silent.includes(k))
		.sort((x, y) => rank(x) - rank(y)).slice(0, 4)
		.map(([k, v]) => ["detail", "reason", "text"].includes(k) ? v : `${words(k)} ${plain(v)}`).join(", "));
}
