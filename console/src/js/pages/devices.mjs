// SPDX-License-Identifier: Apache-2.0
// All devices: how they were admitted (management says) beside whether they are heard (the twin says).
import { get, itemsOf } from "../api.mjs";
import { percent } from "../format.mjs";
import { filterField } from "../filter.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { panel } from "../panel.mjs";
import { deviceLink, encode, go, stay } from "../router.mjs";
import { age, since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state } from "../words.mjs";

export const title = () => "Devices";

// Trust is a share, or a score of a hundred, or a word.
export function trustText(trust) {
	const score = typeof trust === "object" ? trust?.score : trust;
	if (typeof score !== "number")
		return score ?? null;
	return score <= 1 ? percent(score) : `${Math.round(score)}`;
}

export function open(outlet, params, query) {
	let devices = [], nodes = new Map(), nodesCame = 0;
	const p = panel("Devices", {});
	const filter = filterField({ value: query.get("filter") ?? "", changed(words) {
		stay(`/devices${words ? `?filter=${encodeURIComponent(words)}` : ""}`);
		draw();
	} });
	const t = table({
		label: "Devices", id: d => d.id, open: d => go(`/devices/${encode(d.id)}`), sort: "id",
		nothing: "No device is in the inventory. Add one with: gemel device create NAME",
		columns: [
			{ key: "id", name: "device", cell: d => deviceLink(d.id) },
			{ key: "state", name: "admission", cell: d => d.state && state(d.state),
				help: "From token to production, as management decided" },
			{ key: "heard", name: "twin", cell: d => d.node && state(d.node.state), sort: d => d.node?.state,
				help: "Whether the twin hears it" },
			{ key: "age", name: "heard", right: true, cell: d => d.node ? age(d.node.age_ms, nodesCame)
				: d.last_seen && since(d.last_seen), sort: d => d.node?.age_ms },
			{ key: "up", name: "ports up", right: true, cell: d => d.node &&
				`${d.node.interfaces_up} of ${d.node.interfaces}`, sort: d => d.node?.interfaces_up },
			{ key: "role", name: "role" }, { key: "site", name: "site" }, { key: "domain", name: "domain" },
				{ key: "kind", name: "kind" },
			{ key: "trust", name: "trust", seldom: true, right: true, cell: d => trustText(d.trust),
				sort: d => d.trust?.score ?? d.trust },
			{ key: "software", name: "software", cell: d => d.node?.software, sort: d => d.node?.software },
			{ key: "reason", name: "reason", wide: true, seldom: true },
		],
	});
	p.head.querySelector(".grow").before(filter.node);
	p.body.append(t.node);
	outlet.append(p.node);

	function draw() {
		const all = new Map(devices.map(d => [d.id, { ...d, node: nodes.get(d.id) }]));
		for (const [id, node] of nodes)
			if (!all.has(id))
				all.set(id, { id, node });
		const text = d => [...Object.values(d), d.node?.state, d.node?.software].filter(v => typeof v === "string").join(" ");
		t.update([...all.values()].filter(d => filter.passes(text(d))));
	}

	return bundle(
		watch({
			load: signal => get("/v1/devices", { query: { limit: 1000 }, signal }), on: ["device."], fail: p.fail,
			show(answer) {
				devices = itemsOf(answer.body);
				p.show(answer);
				draw();
			},
		}),
		watch({
			load: signal => get("/v1/topology", { signal }), on: ["topology."], every: 5000,
			show({ body, came }) {
				nodes = new Map((body.nodes ?? []).map(n => [n.id, n]));
				nodesCame = came;
				draw();
			},
			fail() { draw(); }, // the inventory is there without the twin
		}),
		pageKey("f", "to the filter", () => filter.node.focus()));
}
