// SPDX-License-Identifier: Apache-2.0
// A titled part of a page: its content, how old it is, and what the API said when it refused.
import { fill, h } from "./dom.mjs";
import { moment } from "./moment.mjs";
import { stamp } from "./stamp.mjs";
import { plain, words } from "./format.mjs";
import { watch } from "./live.mjs";

let number = 0;

// A refusal, in the API's words: title, detail, what to do next, the policy that decided.
export function problemBox(problem) {
	const decision = problem.decision;
	return h("div", { class: "problem", role: "alert" },
		h("strong", {}, problem.title ?? "Failed"),
		h("p", {}, problem.detail ?? problem.message ?? String(problem)),
		problem.fix && h("p", { class: "fix" }, problem.fix),
		decision && h("p", { class: "decision" }, "Decided by ",
			typeof decision === "object"
				? [h("b", {}, decision.policy ?? "a policy"), decision.fact ? `: ${decision.fact}` : ""]
				: h("b", {}, String(decision))));
}

// {node, body, head, show(answer), fail(problem)}. past: false, when the API has no past for it.
export function panel(title, { past = true, actions = [], level = 2, note } = {}) {
	const id = `p${++number}`;
	const stampNode = h("span", { class: "stamp" });
	const present = h("span", { class: "present" }, "as it is now") /* seen only in the past */;
	const head = h("header", {}, h(`h${level}`, { id }, title), ...actions, h("span", { class: "grow" }),
		!past && present, stampNode);
	const body = h("div", { class: "body" });
	const trouble = h("div", {});
	const node = h("section", { class: "panel", "aria-labelledby": id }, head,
		note && h("p", { class: "note" }, note), trouble, body);
	return {
		node, body, head,
		show(answer) {
			trouble.replaceChildren();
			node.classList.remove("old");
			stamp(stampNode, answer, past);
		},
		fail(problem) {
			node.classList.add("old"); // what is below it is the last that came
			if (problem.status !== 0) // that nobody answers is said once, above all
				fill(trouble, problemBox(problem));
		},
	};
}

// A panel that keeps itself true. draw(body, answer, panel) is called with each answer.
export function livePanel(title, { load, draw, on, every, past = true, ...rest }) {
	const p = panel(title, { past, ...rest });
	const w = watch({
		load, on, every, past, fail: p.fail,
		show(answer) {
			p.show(answer);
			draw(answer.body, answer, p);
		},
	});
	return { ...p, stop: w.stop, again: w.again };
}

// Names and values, two columns.
export function facts(rows) {
	return h("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) =>
		[h("dt", {}, name), h("dd", {}, value instanceof Node || Array.isArray(value) ? value : plain(value))]));
}

// What an answer holds besides what is shown elsewhere, so that a member that the server gains is seen.
export function restOf(object, shown) {
	return Object.entries(object ?? {})
		.filter(([key]) => !shown.includes(key) && !["as_of", "age_ms", "revision"].includes(key))
		.map(([key, value]) => [words(key), isDeep(value)
			? h("pre", { class: "json" }, JSON.stringify(value, null, 1)) : plain(value)]);
}

const isDeep = value => value !== null && typeof value === "object" &&
	Object.values(value).some(v => v !== null && typeof v === "object");

// Whether a part was last drawn from the same answer, but for its age: then it is left alone, with whatever
// has the focus in it.
export function unchanged(node, body) {
	const said = JSON.stringify(body, (key, value) => ["as_of", "age_ms", "revision"].includes(key) ? undefined
		: value) + moment.at;
	const same = node.dataset.said === said;
	node.dataset.said = said;
	return same;
}

export function empty(text) {
	return h("p", { class: "empty" }, text);
}
