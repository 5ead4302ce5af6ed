// SPDX-License-Identifier: Apache-2.0
// How a device came in: from its token to production, each step with its ledger entry; and what its trust
// is made of.
import { fill, h } from "../dom.mjs";
import { plain, timeOf, words } from "../format.mjs";
import { empty, facts, panel, restOf, unchanged } from "../panel.mjs";
import { entryLink } from "../router.mjs";
import { since } from "../stamp.mjs";
import { state, stateKind } from "../words.mjs";
import { trustText } from "./devices.mjs";

// The member that holds the story: a list of things that happened at a time.
export function storyOf(body) {
	const list = body?.story ?? body?.history ?? body?.admission ?? body?.events ??
		Object.values(body ?? {}).find(v => Array.isArray(v) && v.length && v[0]?.time);
	return Array.isArray(list) ? [...list].sort((a, b) => timeOf(a.time) - timeOf(b.time)) : [];
}

const known = ["time", "kind", "event", "step", "state", "reason", "index", "ledger", "entry", "text", "what", "actor",
	"meaning", "fix", "detail"];

const loose = object => Object.entries(object).filter(([, v]) => v !== null && typeof v !== "object")
	.map(([k, v]) => `${words(k)} ${plain(v)}`).join(", ");

function stepNode(s) {
	const step = s.step ?? s.kind ?? s.event ?? s.what ?? "recorded";
	const index = s.index ?? s.ledger ?? s.entry;
	const failed = s.detail?.checks?.filter?.(c => c.verdict !== "pass").map(c => c.name).join(", ");
	const detail = [failed && `failed: ${failed}`, typeof s.detail === "string" ? s.detail : s.detail && loose(s.detail),
		loose(Object.fromEntries(Object.entries(s).filter(([k]) => !known.includes(k))))].filter(Boolean).join(", ");
	return h("li", { class: stateKind(s.reason ? "refused" : s.state) },
		h("div", { class: "line" }, h("b", {}, words(String(step).replace(/^device\./, "").replaceAll(".", " "))),
			s.state && state(s.state), s.reason && state(s.reason, "bad"),
			h("span", { class: "grow" }), Number.isInteger(index) && entryLink(index), since(s.time)),
		(s.text ?? s.meaning) && h("div", {}, s.text ?? s.meaning),
		s.fix && h("div", { class: "fix" }, s.fix),
		(detail || s.actor) && h("div", { class: "muted" }, [detail, s.actor && `by ${s.actor}`].filter(Boolean).join(", ")));
}

const shown = ["id", "state", "kind", "site", "domain", "role", "trust", "certificate", "evidence", "reason", "story", "history",
	"admission", "events", "last_seen", "created", "posture", "since", "attested", "certificate_until", "version", "tpm",
	"reason_meaning", "reason_detail", "fix", "batch_keys", "checks"];

const isTime = (key, value) => typeof value === "string" && /(_at|time|until|from|since|after|before|seen)$/.test(key) &&
	Number.isFinite(timeOf(value));

// Hashes are for comparing: their beginning tells them apart, all of it is there to hover over.
function short(value) {
	return typeof value === "string" && /^[0-9a-f]{40,}$/.test(value) ? h("code", { title: value }, `${value.slice(0, 16)}\u2026`) : plain(value);
}

function part(value) {
	return value && typeof value === "object" ? facts(Object.entries(value).filter(([, v]) => v !== null).map(([k, v]) =>
		[words(k), isTime(k, v) ? since(v) : short(v)])) : plain(value);
}

export function storyPanel() {
	const p = panel("Admission");
	return {
		...p,
		draw(answer, buttons) {
			const d = answer.body, story = storyOf(d);
			p.show(answer);
			if (unchanged(p.body, d))
				return;
			fill(p.body,
				facts([
					["state", [state(d.state), d.since ? [" ", h("span", { class: "muted" }, "since "), since(d.since)] : ""]],
					d.reason && ["reason", [state(d.reason, "warn"), h("div", {}, d.reason_meaning ?? "", " ", d.reason_detail ?? ""),
						d.fix && h("div", { class: "fix" }, d.fix)]],
					["kind", d.kind === "agent" ? "gemel-agent" : d.kind === "gnmi" ? "standard gNMI target" : d.kind],
					d.trust !== undefined && d.trust !== null && ["trust", trustText(d.trust)],
					...(d.trust && typeof d.trust === "object" ? restOf(d.trust, ["score"]).map(([k, v]) => [`\u2003${k}`, v]) : []),
					d.attested && ["attested", since(d.attested)],
					d.last_seen && ["last seen", since(d.last_seen)],
				]),
				h("h3", {}, "From token to production"),
				story.length ? h("ol", { class: "story" }, story.map(stepNode)) : empty("Nothing is recorded of how it came in."),
				d.checks?.length > 0 && [h("h3", {}, "Its test, as it would go now"), h("ul", { class: "plain" }, d.checks.map(c =>
					h("li", {}, state(c.verdict), " ", c.name, h("span", { class: "muted" }, c.detail ? ` ${c.detail}` : ""), c.fix && h("div", { class: "fix" }, c.fix))))],
				h("details", {}, h("summary", {}, "Certificate, TPM, evidence"), facts([
					d.certificate && ["certificate", part(d.certificate)],
					d.evidence && ["last evidence", part(d.evidence)],
					d.tpm && ["TPM", part(d.tpm)],
					d.batch_keys?.length > 0 && ["batch keys", d.batch_keys.map(part)],
					d.posture && ["posture", part(d.posture)],
					...restOf(d, shown).slice(0, 12),
				])),
				buttons());
		},
	};
}
