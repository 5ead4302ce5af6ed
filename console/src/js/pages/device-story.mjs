// SPDX-License-Identifier: Apache-2.0
// How a device came in: from its token to production, each step with its reason; what its test would say
// now; and what its trust rests on.
import { fill, h } from "../dom.mjs";
import { dayTime, plain, shortHashes, timeOf, words } from "../format.mjs";
import { empty, facts, panel, restOf, unchanged } from "../panel.mjs";
import { since } from "../stamp.mjs";
import { state, stateKind } from "../words.mjs";
import { trustText } from "./devices.mjs";

const kinds = { agent: "gemel-agent", gnmi: "standard gNMI target" };

const loose = object => Object.entries(object ?? {}).filter(([, v]) => v !== null && typeof v !== "object")
	.map(([k, v]) => `${words(k)} ${isTime(k, v) ? dayTime(timeOf(v)) : shortHashes(plain(v))}`).join(", ");

// A step's detail is text or an object, which may hold the checks of a test.
function detailOf({ detail, actor }) {
	const failed = detail?.checks?.filter(c => c.verdict !== "pass").map(c => c.name).join(", ");
	return [failed && `failed: ${failed}`, typeof detail === "string" ? detail : loose(detail), actor && `by ${actor}`]
		.filter(Boolean).join(", ");
}

function stepNode(s, i, all) {
	const changed = s.state && s.state !== all[i - 1]?.state;
	return h("li", { class: stateKind(s.reason ? "refused" : s.state) },
		h("div", { class: "line" }, h("b", {}, words(s.step ?? "recorded")), changed && state(s.state),
			s.reason && state(s.reason, "bad"), h("span", { class: "grow" }), since(s.time)),
		s.meaning && h("div", {}, s.meaning),
		s.fix && h("div", { class: "fix" }, s.fix),
		h("div", { class: "muted" }, detailOf(s)));
}

function checkNode(c) {
	return h("li", {}, state(c.verdict), " ", c.name, c.detail && h("span", { class: "muted" }, ` ${c.detail}`),
		c.fix && h("div", { class: "fix" }, c.fix));
}

const isTime = (key, value) => /(_at|time|until|from|since|after|before|seen)$/.test(key) &&
	typeof value === "string" && Number.isFinite(timeOf(value));

// Hashes are for comparing: their beginning tells them apart, all of it is there to hover over.
function short(value) {
	const isHash = typeof value === "string" && /^[0-9a-f]{40,}$/.test(value);
	return isHash ? h("code", { title: value }, `${value.slice(0, 16)}\u2026`) : plain(value);
}

function part(value) {
	if (!value || typeof value !== "object")
		return plain(value);
	const rows = Object.entries(value).filter(([, v]) => v !== null);
	return facts(rows.map(([k, v]) => [words(k), isTime(k, v) ? since(v) : short(v)]));
}

function reasonNode(d) {
	return [state(d.reason, "warn"), h("div", {}, [d.reason_meaning, d.reason_detail].filter(Boolean).join(" ")),
		d.fix && h("div", { class: "fix" }, d.fix)];
}

function standing(d) {
	const parts = d.trust && typeof d.trust === "object" ? restOf(d.trust, ["score"]) : [];
	return facts([
		["state", [state(d.state), d.since ? [h("span", { class: "muted" }, " since "), since(d.since)] : ""]],
		d.reason && ["reason", reasonNode(d)],
		["kind", kinds[d.kind] ?? d.kind],
		d.trust !== undefined && d.trust !== null && ["trust", trustText(d.trust)],
		...parts.map(([k, v]) => [`\u2003${k}`, v]),
		d.attested && ["attested", since(d.attested)],
		d.last_seen && ["last seen", since(d.last_seen)],
	]);
}

const shown = ["id", "state", "kind", "site", "domain", "role", "trust", "certificate", "evidence", "reason", "story",
	"last_seen", "posture", "since", "attested", "certificate_until", "version", "tpm", "reason_meaning",
	"reason_detail", "fix", "batch_keys", "checks"];

function credentials(d) {
	return h("details", {}, h("summary", {}, "Certificate, TPM, evidence"), facts([
		d.certificate && ["certificate", part(d.certificate)],
		d.evidence && ["last evidence", part(d.evidence)],
		d.tpm && ["TPM", part(d.tpm)],
		d.batch_keys?.length > 0 && ["batch keys", d.batch_keys.map(part)],
		d.posture && ["posture", part(d.posture)],
		...restOf(d, shown),
	]));
}

export function storyPanel() {
	const p = panel("Admission");
	return {
		...p,
		draw(answer, buttons) {
			const d = answer.body, story = d.story ?? [];
			p.show(answer);
			if (unchanged(p.body, { ...d, last_seen: null }))
				return;
			fill(p.body, standing(d), h("h3", {}, "From token to production"),
				story.length ? h("ol", { class: "story" }, story.map(stepNode))
					: empty("Nothing is recorded of how it came in."),
				d.checks?.length > 0 && [h("h3", {}, "Its test, as it would go now"),
					h("ul", { class: "plain" }, d.checks.map(checkNode))],
				credentials(d), buttons());
		},
	};
}
