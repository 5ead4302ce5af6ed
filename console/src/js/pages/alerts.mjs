// SPDX-License-Identifier: Apache-2.0
// What needs someone's attention, newest first.
import { h } from "../dom.mjs";
import { get, itemsOf } from "../api.mjs";
import { filterField } from "../filter.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { panel } from "../panel.mjs";
import { deviceLink, link } from "../router.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state } from "../words.mjs";

export const title = () => "Alerts";

const textOf = a => a.detail ?? a.text ?? "";
const isDevice = a => /^(device|telemetry|admission)\./.test(a.kind ?? "") && /^[\w.-]+$/.test(a.subject ?? "");
const about = a => isDevice(a) ? deviceLink(a.subject) : a.subject;
const severity = a => a.active === false ? state("over", "off") : state(a.severity ?? "alert");
const what = a => [h("div", {}, textOf(a)), a.fix && h("div", { class: "fix" }, a.fix)];

export function open(outlet) {
	const p = panel("Alerts");
	let rows = [];
	const filter = filterField({ changed: draw });
	const t = table({
		label: "Alerts", id: a => a.id ?? `${a.first} ${a.kind} ${a.subject}`, most: 1000,
		nothing: "Nothing needs attention.",
		columns: [
			{ key: "severity", name: "severity", cell: severity, sort: a => `${a.active === false} ${a.severity}` },
			{ key: "last", name: "last", right: true, cell: a => since(a.last) },
			{ key: "first", name: "since", right: true, cell: a => since(a.first) },
			{ key: "kind", name: "kind", cell: a => h("code", {}, a.kind) },
			{ key: "subject", name: "about", cell: about },
			{ key: "text", name: "what", wide: true, cell: what, sort: textOf },
			{ key: "source", name: "from", seldom: true, cell: a => a.source || null },
			{ key: "count", name: "times", right: true },
			{ key: "ledger", name: "", sort: null,
				cell: a => link(`/ledger?subject=${encodeURIComponent(a.subject)}`, "in the ledger") },
		],
	});
	p.head.querySelector(".grow").before(filter.node);
	p.body.append(t.node);
	outlet.append(p.node);
	function draw() {
		t.update(rows.filter(a => filter.passes(JSON.stringify(a))));
	}
	const w = watch({
		load: signal => get("/v1/alerts", { signal, query: { limit: 1000 } }),
		on: ["alert", "device.", "integrity.", "forwarding.", "data.refused"], every: 10000, fail: p.fail,
		show(answer) {
			p.show(answer);
			rows = itemsOf(answer.body);
			draw();
		},
	});
	return bundle(w, pageKey("f", "to the filter", () => filter.node.focus()));
}
