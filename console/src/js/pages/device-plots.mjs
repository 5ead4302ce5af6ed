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

// All parts of an answer, joined: Map path -> points; and the last answer, for its stamp.
async function history(device, path, from, to, signal) {
	const all = new Map(), iso = ms => ms && new Date(ms).toISOString();
	let answer = null, cursor = null;
	for (let n = 0; n < pagesMost && (n === 0 || cursor); n++) {
		answer = await get("/v1/data:series", { signal, query: {
			device, path, from: iso(from), to: iso(to), points: pointsMost, cursor,
				purpose: "console, device page" } });
		for (const [name, points] of seriesOf(answer.body))
			all.set(name, (all.get(name) ?? []).concat(points));
		cursor = answer.body.next;
	}
	return { all, answer };
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
			const kept = (this.points.get(name) ?? []).concat(points).filter(p => p[0] >= from - 60000);
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
const byName = (a, b) => a.localeCompare(b, "en", { numeric: true });

class PortPlot {
	constructor(name) {
		this.name = name;
		this.plot = plot({ label: `Traffic of ${name}`, series: [{ label: "in" }, { label: "out", dash: [4, 3] }],
			format: bitsShort });
		this.value = h("span", { class: "now-value" });
		this.node = h("figure", { class: "port-plot" }, h("figcaption", {}, h("b", {}, name), this.value),
			this.plot.node);
	}

	update(into, out, from, to) {
		const at = Math.max(into.at(-1)?.[0] ?? 0, out.at(-1)?.[0] ?? 0);
		this.plot.update(together(into, out), from / 1000, to / 1000);
		this.value.textContent = `in ${bits(lastOf(into))}, out ${bits(lastOf(out))} at ${clockTime(at)}`;
	}
}

class TrafficPanel {
	constructor(device) {
		this.seconds = 3600;
		this.ways = [new Counters(device, "in-octets"), new Counters(device, "out-octets")];
		this.plots = new Map();
		const choose = h("select", { "aria-label": "Time plotted", onchange: () => {
			this.seconds = Number(choose.value);
			this.forget();
			this.watch.again();
		} }, spans.map(([name, s]) => h("option", { value: s, selected: s === this.seconds }, name)));
		this.panel = panel("Traffic", { actions: [choose,
			h("span", { class: "legend-line" }, h("i", { class: "full" }), "in ", h("i", { class: "dashed" }),
				"out")] });
		this.node = this.panel.node;
		this.leave = onMoment(() => this.forget());
		this.watch = watch({
			load: signal => this.load(signal), every: 5000, fail: this.panel.fail,
			show: answer => {
				this.panel.show(answer);
				this.draw();
			},
		});
	}

	forget() {
		this.ways.forEach(way => way.forget());
	}

	async load(signal) {
		this.end = moment.at ?? serverNow();
		this.begin = this.end - this.seconds * 1000;
		const [answer] = await Promise.all(this.ways.map(way => way.read(this.begin, moment.at, signal)));
		return answer;
	}

	draw() {
		const names = [...new Set(this.ways.flatMap(way => [...way.points.keys()]))].sort(byName);
		const busy = names.filter(name => this.ways.some(way => way.rates(name).some(r => r[1] > 0)));
		const quiet = names.filter(name => !busy.includes(name));
		for (const [name, p] of this.plots)
			if (!busy.includes(name)) {
				p.plot.end();
				this.plots.delete(name);
			}
		// No empty hours before the first point that is known.
		const first = Math.min(...this.ways.flatMap(way => [...way.points.values()].map(p => p[0]?.[0] ?? Infinity)));
		const begin = Number.isFinite(first) ? Math.max(this.begin, Math.min(first, this.end - 60000)) : this.begin;
		for (const name of busy) {
			if (!this.plots.has(name))
				this.plots.set(name, new PortPlot(name));
			this.plots.get(name).update(...this.ways.map(way => way.rates(name)), begin, this.end);
		}
		this.place(busy, quiet, names);
	}

	// Only when there are others than before: a plot that is moved forgets its cursor.
	place(busy, quiet, names) {
		const said = `${busy.join()};${quiet.join()}`;
		if (this.panel.body.dataset.said === said)
			return;
		this.panel.body.dataset.said = said;
		fill(this.panel.body, busy.map(name => this.plots.get(name).node),
			!busy.length && empty(names.length ? "Nothing was carried in this time."
				: "No counter was measured in this time."),
			busy.length > 0 && quiet.length > 0 && h("p", { class: "muted" }, "Nothing carried: ",
				quiet.join(", ")));
	}

	stop() {
		this.watch.stop();
		this.leave();
		this.plots.forEach(p => p.plot.end());
	}
}

export const counterPlots = device => new TrafficPanel(device);
