// SPDX-License-Identifier: Apache-2.0
// The house itself: its processes, each with its user, its sandbox and its restarts.
import { fill, h } from "../dom.mjs";
import { get, itemsOf } from "../api.mjs";
import { bytes, count, plain, words } from "../format.mjs";
import { bundle } from "../live.mjs";
import { facts, livePanel, restOf } from "../panel.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state } from "../words.mjs";

export const title = () => "Status";

function processesPanel() {
	const t = table({
		label: "Processes", id: r => r.name, nothing: "None is known.",
		columns: [
			{ key: "name", name: "process", cell: r => h("b", {}, r.name) },
			{ key: "running", name: "state", cell: r => state(r.running ? "running" : "stopped") },
			{ key: "sandbox", name: "sandbox", wide: true, cell: r => r.sandbox || state("none", "warn") },
			{ key: "uid", name: "user", right: true }, { key: "pid", name: "pid", right: true },
			{ key: "rss_bytes", name: "memory", right: true, cell: r => bytes(r.rss_bytes) },
			{ key: "restarts", name: "restarts", right: true },
			{ key: "started", name: "started", right: true, cell: r => since(r.started ?? r.started_at) },
			{ key: "last_exit", name: "last end", seldom: true, cell: r => r.last_exit || null },
		],
	});
	const p = livePanel("Processes", {
		past: false, every: 3000, on: ["process."],
		load: signal => get("/v1/status", { signal, past: false }),
		draw(body, _, self) {
			const list = body.processes ?? itemsOf(body);
			t.update(list);
			if (!t.node.isConnected)
				self.body.append(t.node, h("div", { class: "rest" }));
			fill(self.body.querySelector(".rest"), facts(restOf(body, ["processes", "items", "next"])));
		},
	});
	return p;
}

function twinPanel() {
	return livePanel("The twin", {
		past: false, every: 3000,
		load: signal => get("/v1/models/status", { signal, past: false }),
		draw(b, _, p) {
			fill(p.body, facts([
				["state", [state(b.ready ? "ready" : "not ready", b.ready ? "ok" : "warn"), b.rebuilding
					? " being rebuilt" : ""]],
				["stale devices", b.stale_devices?.length ? [state("stale"), " ", b.stale_devices.join(", ")]
					: "none"],
				...Object.entries(b).filter(([k]) => !["ready", "rebuilding", "stale_devices", "as_of", "age_ms",
					"revision"].includes(k))
					.map(([k, v]) => [words(k), /bytes/.test(k) ? bytes(v) : typeof v === "number" ? count(v)
						: plain(v)]),
			]));
		},
	});
}

function healthPanel() {
	return livePanel("Health", {
		past: false, every: 5000,
		load: async signal => {
			const response = await fetch("/healthz",
				{ signal, cache: "no-store" }); // says what is away with status 503
			return { body: await response.json(), came: performance.now() };
		},
		draw(b, _, p) {
			fill(p.body, facts([
				["API", state(b.status)],
				b.away?.length > 0 && ["away", b.away.map(name => [state("away"), ` ${name} `])],
			]), h("p", { class: "muted" }, "Figures for Prometheus are at ", h("code", {}, "/metrics"),
				"; the API describes itself at ",
				h("a", { href: "/v1/openapi.json", target: "_blank", rel: "noopener" }, "/v1/openapi.json"), "."));
		},
	});
}

export function open(outlet) {
	const processes = processesPanel(), twin = twinPanel(), health = healthPanel();
	outlet.append(processes.node, h("div", { class: "two even" }, twin.node, health.node));
	return bundle(processes, twin, health);
}
