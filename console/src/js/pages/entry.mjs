// SPDX-License-Identifier: Apache-2.0
// One entry of the ledger: what it says, who may prove it, and its proof, checked here too.
import { fill, h } from "../dom.mjs";
import { get, getText } from "../api.mjs";
import { words } from "../format.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { facts, panel, problemBox, restOf } from "../panel.mjs";
import { go, link } from "../router.mjs";
import { since } from "../stamp.mjs";
import { state } from "../words.mjs";
import { checkProof, isCommitment } from "../proof.mjs";
import { prove, subjectCell } from "./ledger.mjs";

export const title = params => `Entry ${params.index}`;

const hexBytes = hex => Uint8Array.from(hex.match(/../g) ?? [], x => parseInt(x, 16));
const bytesOf = text => /^([0-9a-f]{2})+$/i.test(text) ? hexBytes(text) : Uint8Array.from(atob(text),
	c => c.charCodeAt(0));

async function check(e, text) {
	const vkey = await getText("/v1/ledger/vkey", { past: false });
	if (!e.leaf)
		return h("p", { class: "muted" }, "The leaf was not given, so that this browser cannot check it; a verifier that has it can.");
	const leaf = bytesOf(e.leaf), { proof, steps } = await checkProof(text, { leaf, vkey });
	const cosigned = proof.note.signatures.filter(s => s.time !== null);
	if (e.salt && e.record !== undefined)
		steps.unshift({ what: "what is shown is what was committed to", why: "salt and record give the leaf",
			good: await isCommitment(leaf, e.kind, bytesOf(e.salt), new TextEncoder().encode(e.record)) });
	return h("ul", { class: "steps-done" }, steps.map(s => h("li", {},
		state(s.good === null ? "not checked" : s.good ? "good" : "failed"), " ", s.what,
			h("span", { class: "muted" }, ` (${s.why})`))),
	cosigned.map(s => h("li", {}, state("cosigned"), " by witness ", s.name, " ", since(s.time * 1000))));
}

const json = value => h("pre", { class: "json" }, JSON.stringify(value, null, 1));
const isObject = value => value !== null && typeof value === "object";
const first = ["index", "kind", "time", "subject", "actor", "body", "signed"];

function entryFacts(e) {
	const body = isObject(e.body) ? Object.entries(e.body).map(([k, v]) => [words(k), isObject(v) ? json(v) : v])
		: [["body", e.body]];
	return [facts([
		["kind", h("code", {}, e.kind)], ["time", [since(e.time, "exact"), ", ", since(e.time)]],
		["subject", subjectCell(e)], ["actor", e.actor], ...body,
		["signed", e.signed === false ? state("not yet", "warn") : "a signed checkpoint covers it"],
	]), h("details", {}, h("summary", {}, "As it was hashed"),
		facts(restOf(e, first).map(([k, v]) => [k, h("code", { class: "long" }, v)])))];
}

export function open(outlet, { index }) {
	const number = Number(index);
	const p = panel(`Entry ${index}`), trouble = h("div", {}), result = h("div", { class: "proof",
		"aria-live": "polite" });
	let entry = null;
	const button = h("button", { type: "button", class: "main", disabled: true }, "Prove this entry");
	button.addEventListener("click", async () => {
		button.disabled = true;
		const text = await prove(number, trouble);
		try {
			fill(result, text && [h("p", {}, "Downloaded. Any verifier of c2sp.org/tlog-proof takes it, without this server."), await check(entry, text)]);
		} catch (e) {
			fill(result, problemBox({ title: "The proof does not hold", detail: e.message }));
		}
		button.disabled = false;
	});
	const content = h("div", {});
	p.body.append(content, h("div", { class: "buttons" },
		number > 0 ? link(`/ledger/${number - 1}`, "\u2039 Entry before", { class: "button" }) : "", button,
		link(`/ledger/${number + 1}`, "Next entry \u203a", { class: "button" })), trouble, result);
	outlet.append(p.node);
	const w = watch({
		load: signal => get(`/v1/ledger/entries/${index}`, { signal, past: false }), every: 0, past: false,
			fail: p.fail,
		show(answer) {
			entry = answer.body;
			p.show(answer);
			fill(content, entryFacts(entry));
			button.disabled = false;
		},
	});
	return bundle(w, pageKey("p", "prove this entry", () => button.click()),
		pageKey("ArrowLeft", "the entry before", () => number > 0 && go(`/ledger/${number - 1}`)),
		pageKey("ArrowRight", "the next entry", () => go(`/ledger/${number + 1}`)));
}
