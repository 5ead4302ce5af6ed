// SPDX-License-Identifier: Apache-2.0
// An interface's counters as rates over the last hour (or the hour before the moment shown), one plot for
// each interface that carried anything. After the first answer only what is new is asked for.
import { fill, h } from "../dom.mjs";
import { get, serverNow } from "../api.mjs";
import { bits, bitsShort, clockTime } from "../format.mjs";
import { empty, panel } from "../panel.mjs";
import { moment, onMoment } from "../moment.mjs";
import { watch } from "../live.mjs";
import { nameIn, rates, seriesOf, together } from "../series.mjs";
import { plot } from "../plot.mjs";

const spans = [["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400]];
const pagesMost = 20, pointsMost = 400;

async function history(device, path, from, to, signal) {
	const all = new Map();
	let last = null, cursor = null;
	for (let n = 0; n < pagesMost; n++) {
		const answer = await get("/v1/data:series", { signal, query: {
			device, path, from: new Date(from).toISOString(), to: to && new Date(to).toISOString(), points: pointsMost, cursor, purpose: "console, device page" } });
		last = answer;
		for (const [name, points] of seriesOf(answer.body))
			all.set(name, (all.get(name) ?? []).concat(points));
		cursor = answer.body.next;
		if (!cursor)
			break;
	}
	return { all, answer: last };
}

// What is known of one direction, kept between answers.
class Counters {
	constructor(device, leaf) {
		this.device = device;
		this.path = `/interfaces/interface[name=*]/state/counters/${leaf}`;
		this.forget();
	}
	forget() {
		this.points = new Map();
		this.newest = 0;
	}
	async read(from, to, signal) {
		const { all, answer } = await history(this.device, this.path, Math.max(from, this.newest + 1), to, signal);
		for (const [path, points] of all) {
			const name = nameIn(path) ?? path;
			const kept = (this.points.get(name) ?? []).concat(points).filter(p => p[0] >= from - 60000 && Number.isFinite(p[0]));
			this.points.set(name, kept);
			this.newest = Math.max(this.newest, kept.at(-1)?.[0] ?? 0);
		}
		return answer;
	}
	rates(name) {
		return rates(this.points.get(name) ?? [], 8);
	}
}

const lastOf = list => list.filter(p => p[1] !== null).at(-1)?.[1];

export function counterPlots(device) {
	let seconds = 3600, end = 0;
	const choose = h("select", { "aria-label": "Time plotted" }, spans.map(([name, s]) => h("option", { value: s, selected: s === seconds }, name)));
	const p = panel("Traffic", { actions: [choose, h("span", { class: "legend-line" }, h("i", { class: "full" }), "in ", h("i", { class: "dashed" }), "out")] });
	const inward = new Counters(device, "in-octets"), outward = new Counters(device, "out-octets");
	const plots = new Map();

	function forget() {
		inward.forget();
		outward.forget();
	}

	function draw() {
		const from = end - seconds * 1000;
		const names = [...new Set([...inward.points.keys(), ...outward.points.keys()])].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
		const busy = names.filter(name => [...inward.rates(name), ...outward.rates(name)].some(r => r[1] > 0));
		const quiet = names.filter(name => !busy.includes(name));
		for (const [name, entry] of plots)
			if (!busy.includes(name)) {
				entry.plot.end();
				plots.delete(name);
			}
		const nodes = busy.map(name => {
			if (!plots.has(name)) {
				const made = plot({ label: `Traffic of ${name}`, series: [{ label: "in" }, { label: "out", dash: [4, 3] }], format: bitsShort });
				const value = h("span", { class: "now-value" });
				plots.set(name, { plot: made, value, node: h("figure", { class: "port-plot" }, h("figcaption", {}, h("b", {}, name), value), made.node) });
			}
			const entry = plots.get(name), into = inward.rates(name), out = outward.rates(name);
			const at = Math.max(into.at(-1)?.[0] ?? 0, out.at(-1)?.[0] ?? 0);
			entry.plot.update(together(into, out), from / 1000, end / 1000);
			entry.value.textContent = `in ${bits(lastOf(into))}, out ${bits(lastOf(out))} at ${clockTime(at)}`;
			return entry.node;
		});
		if (nodes.length === 0 || nodes.length !== p.body.querySelectorAll("figure").length || quiet.join() !== p.body.dataset.quiet)
			fill(p.body, nodes, nodes.length === 0 && empty(names.length ? "Nothing was carried in this time." : "No counter was measured in this time."),
				quiet.length > 0 && nodes.length > 0 && h("p", { class: "muted" }, "Nothing carried: ", quiet.join(", ")));
		p.body.dataset.quiet = quiet.join();
	}

	const w = watch({
		async load(signal) {
			end = moment.at ?? serverNow();
			const from = end - seconds * 1000, to = moment.at;
			const [answer] = await Promise.all([inward.read(from, to, signal), outward.read(from, to, signal)]);
			return answer;
		},
		every: 5000, fail: p.fail,
		show(answer) {
			p.show(answer);
			draw();
		},
	});
	choose.addEventListener("change", () => {
		seconds = Number(choose.value);
		forget();
		w.again();
	});
	const leave = onMoment(forget);
	return {
		node: p.node,
		stop() {
			w.stop();
			leave();
			plots.forEach(entry => entry.plot.end());
		},
	};
}
