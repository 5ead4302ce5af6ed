// SPDX-License-Identifier: Apache-2.0
// How old things are. Each element made here counts on by itself, once a second, all in one go.
import { h, setText } from "./dom.mjs";
import { serverNow } from "./api.mjs";
import { moment } from "./moment.mjs";
import { dayTime, shortTime, span, timeOf, unknown } from "./format.mjs";

function tick() {
	for (const node of document.querySelectorAll("[data-since]"))
		setText(node, sinceText(node));
	for (const node of document.querySelectorAll("[data-came]"))
		setText(node, stampText(node));
}
setInterval(tick, 1000);

// In the past ages are counted from the moment that is shown.
const reference = () => moment.at ?? serverNow();

function sinceText(node) {
	const ms = Number(node.dataset.since), age = reference() - ms;
	if (node.dataset.form === "exact")
		return shortTime(ms, reference());
	if (age < -1500)
		return `in ${span(-age)}`;
	return moment.at === null ? `${span(age)} ago` : `${span(age)} before`;
}

// A time as its age, with the exact one to hover over. form "exact": the other way round.
export function since(value, form = "age") {
	const ms = timeOf(value);
	if (!Number.isFinite(ms))
		return unknown;
	const node = h("time", {
		datetime: new Date(ms).toISOString(), title: dayTime(ms, true),
		dataset: { since: ms, form },
	});
	node.textContent = sinceText(node);
	return node;
}

// An age that was measured by the server when it answered, going on since.
export function age(ms, came) {
	if (!Number.isFinite(ms))
		return unknown;
	return since(moment.at === null ? serverNow() - (performance.now() - came) - ms : moment.at - ms);
}

function stampText(node) {
	const ageMs = Number(node.dataset.age), asOf = Number(node.dataset.asof);
	const waited = performance.now() - Number(node.dataset.came);
	const revision = node.dataset.revision ? `, revision ${node.dataset.revision}` : "";
	if (moment.at !== null && Number.isFinite(asOf) && node.dataset.past === "1")
		return `as at ${shortTime(asOf, serverNow())}${revision}`;
	if (Number.isFinite(ageMs) && node.dataset.age !== "")
		return `${span(ageMs + waited)} old${revision}`;
	return `asked ${span(waited)} ago`;
}

// The stamp of an answer: as_of, age_ms and revision. past: whether it was asked as at the moment.
export function stamp(node, { body, came }, past = true) {
	node.dataset.came = came;
	node.dataset.age = Number.isFinite(body?.age_ms) ? body.age_ms : "";
	node.dataset.asof = timeOf(body?.as_of);
	node.dataset.revision = body?.revision ?? "";
	node.dataset.past = past ? "1" : "";
	const asOf = timeOf(body?.as_of);
	node.title = Number.isFinite(asOf) ? `as of ${dayTime(asOf, true)}` : "";
	setText(node, stampText(node));
}
