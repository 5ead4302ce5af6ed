// SPDX-License-Identifier: Apache-2.0
// The time on top of every page: now, or the whole console as it was at T. The track covers a window
// that ends now, or around T when T is older; ticks on it are moments of change.
import { fill, h, say, setText, svg } from "./dom.mjs";
import { serverNow } from "./api.mjs";
import { moment, onMoment, setMoment } from "./moment.mjs";
import { changes, changesOfLedger, onChanges } from "./changes.mjs";
import { clockTime, dayTime, shortTime, span } from "./format.mjs";

const windows = [["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800]];
const settle = 180; // ms that the slider rests before the past is asked for
let seconds = 3600, end = 0, timer = 0;

const range = h("input", { type: "range", step: "1", class: "slider", "aria-label": "Moment shown" });
const ticks = svg("svg", { class: "ticks", "aria-hidden": "true", preserveAspectRatio: "none",
	viewBox: "0 0 1000 10" });
const scale = h("div", { class: "scale", "aria-hidden": "true" });
const nowButton = h("button", { type: "button", class: "now", onclick: () => setMoment(null),
	title: "Show now (n)" }, "Now");
const text = h("input", {
	type: "text", class: "at", size: "19", spellcheck: "false", "aria-label": "Moment, as 2026-11-24 09:30:00",
	title: "The moment shown; type another one, or -5m",
});
const told = h("span", { class: "told" });
const back = h("button", { type: "button", title: "Change before ([)", onclick: () => step(-1),
	"aria-label": "Change before" }, "\u2039");
const on = h("button", { type: "button", title: "Next change (])", onclick: () => step(1),
	"aria-label": "Next change" }, "\u203a");
const choose = h("select", { "aria-label": "Length of the track", title: "Length of the track" },
	windows.map(([name, s]) => h("option", { value: s, selected: s === seconds }, name)));

function bounds() {
	const now = serverNow();
	if (moment.at === null)
		end = now;
	else if (moment.at > end || moment.at < end - seconds * 1000 || end > now)
		end = Math.min(now, moment.at + seconds * 500);
	return [end - seconds * 1000, end];
}

const shown = () => {
	const [from, to] = bounds();
	return changes().filter(c => c.ms >= from && c.ms <= to);
};

function drawTicks() {
	const [from, to] = bounds();
	fill(ticks, shown().map(c => {
		const x = ((c.ms - from) / (to - from) * 1000).toFixed(1);
		return svg("line", { x1: x, x2: x, y1: 0, y2: 10, "vector-effect": "non-scaling-stroke" });
	}));
}

const steps = [60, 300, 600, 1800, 3600, 7200, 21600, 86400, 172800];

// Times under the track, at round values, few enough to be read.
function drawScale() {
	const [from, to] = bounds(), wide = range.clientWidth || 800;
	const every = (steps.find(s => seconds / s <= Math.max(2, wide / 75)) ?? 172800) * 1000;
	const zone = new Date(to).getTimezoneOffset() * 60000;
	const labels = [];
	for (let t = Math.ceil((from - zone) / every) * every + zone; t <= to; t += every) {
		const part = (t - from) / (to - from);
		if (part < 0.03 || part > 0.97)
			continue;
		const label = h("span", {}, every >= 86400000 ? dayTime(t).slice(5, 10) : clockTime(t).slice(0, 5));
		label.style.left = `${(part * 100).toFixed(2)}%`;
		labels.push(label);
	}
	fill(scale, labels);
}

function nearest(ms) {
	const reach = seconds * 1000 / 150;
	return shown().reduce((best, c) => Math.abs(c.ms - ms) < Math.abs((best?.ms ?? -Infinity) - ms) &&
		Math.abs(c.ms - ms) < reach ? c : best, null);
}

function tellText() {
	if (moment.at === null) {
		const last = changes().at(-1);
		return last ? `last change ${span(serverNow() - last.ms)} ago: ${last.text}` : "no change is known";
	}
	const near = nearest(moment.at);
	const off = near && Math.abs(near.ms - moment.at) > 1500
		? `${span(Math.abs(near.ms - moment.at))} ${near.ms > moment.at ? "before" : "after"} ` : "";
	return `${span(serverNow() - moment.at)} ago${near ? `, ${off}${off ? "" : "at "}${near.text}` : ""}`;
}

function draw() {
	const [from, to] = bounds();
	range.min = Math.floor(from / 1000);
	range.max = Math.ceil(to / 1000);
	if (!timer)
		range.value = Math.round((moment.at ?? to) / 1000);
	range.setAttribute("aria-valuetext", moment.at === null ? "now" : dayTime(moment.at));
	if (document.activeElement !== text && !timer)
		text.value = dayTime(moment.at ?? serverNow());
	nowButton.setAttribute("aria-pressed", String(moment.at === null));
	setText(told, tellText());
	told.title = told.textContent;
	drawTicks();
	drawScale();
}

function follow() {
	document.documentElement.toggleAttribute("data-past", moment.at !== null);
	draw();
	say(moment.at === null ? "Showing now" : `Showing ${dayTime(moment.at)}`);
	if (moment.at !== null)
		readLedger();
}

function slide() {
	const ms = Number(range.value) * 1000, [, to] = bounds();
	clearTimeout(timer);
	text.value = dayTime(ms);
	timer = setTimeout(() => {
		timer = 0;
		setMoment(ms >= to - 500 && to > serverNow() - 2000 ? null : ms);
		draw();
	}, settle);
}

// One change back or on, from the moment that is shown. Just after it, so that it is to be seen.
export function step(way) {
	const at = moment.at ?? Infinity;
	const all = changes();
	const next = way < 0 ? all.filter(c => c.ms + 1 < at).at(-1) : all.find(c => c.ms + 1 > at);
	if (next)
		setMoment(Math.floor(next.ms) + 1);
	else if (way > 0)
		setMoment(null);
	setText(told, tellText());
	say(next ? `${next.text}, ${dayTime(next.ms)}` : way < 0 ? "No earlier change is known" : "Showing now");
}

function typed() {
	const words = text.value.trim();
	const ago = words.match(/^-\s*(\d+)\s*(s|m|min|h|d)$/);
	const unit = { s: 1000, m: 60000, min: 60000, h: 3600000, d: 86400000 };
	const today = /^\d{1,2}:\d{2}(:\d{2})?$/.test(words)
		? `${dayTime(serverNow()).slice(0, 10)} ${words.padStart(5, "0")}` : words;
	const ms = ago ? serverNow() - Number(ago[1]) * unit[ago[2]] : Date.parse(today.replace(" ", "T"));
	const wrong = words && words !== "now" && (!Number.isFinite(ms) || ms > serverNow());
	text.setAttribute("aria-invalid", String(wrong));
	if (wrong) {
		const why = Number.isFinite(ms) ? "that is in the future"
			: "not a time; write 2026-11-24 09:30:00, 09:30 or -5m";
		setText(told, why);
		say(why);
		return;
	}
	setMoment(!words || words === "now" ? null : ms);
	text.blur();
}

let read = [Infinity, -Infinity]; // of the ledger, so far

async function readLedger() {
	const [from, to] = bounds();
	if (from >= read[0] && to <= read[1])
		return;
	read = [Math.min(from, read[0]), Math.max(to, read[1])];
	try {
		await changesOfLedger(from, to);
	} catch {
		read = [Infinity, -Infinity]; // who may not read the ledger has fewer ticks
	}
}

function hover(event) {
	const box = range.getBoundingClientRect(), [from, to] = bounds();
	const ms = from + (event.clientX - box.left) / box.width * (to - from);
	const near = nearest(ms);
	range.title = near ? `${shortTime(near.ms, serverNow())} ${near.text}` : shortTime(ms, serverNow());
}

export function startTimebar(node) {
	fill(node, h("div", { class: "when" }, nowButton, text),
		h("div", { class: "track" }, ticks, range, scale),
		h("div", { class: "steps" }, back, on, choose), told);
	range.addEventListener("input", slide);
	range.addEventListener("pointermove", hover);
	text.addEventListener("keydown", e => e.key === "Enter" && typed());
	text.addEventListener("change", typed);
	text.addEventListener("blur", draw);
	choose.addEventListener("change", () => {
		seconds = Number(choose.value);
		draw();
		readLedger();
	});
	onMoment(follow);
	onChanges(draw);
	setInterval(draw, 1000);
	document.documentElement.toggleAttribute("data-past", moment.at !== null);
	draw();
}

export { readLedger as readChanges }; // once somebody is logged in
