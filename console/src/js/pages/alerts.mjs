// SPDX-License-Identifier: Apache-2.0
// What needs someone's attention, newest first.
import { h } from "../dom.mjs";
import { get, itemsOf } from "../api.mjs";
import { filterField } from "../filter.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { panel } from "../panel.mjs";
import { deviceLink, entryLink } from "../router.mjs";
import { since } from "../stamp.mjs";
import { table } from "../table.mjs";
import { state } from "../words.mjs";

export const title = () => "Alerts";

const textOf = a => a.text ?? a.title ?? a.detail ?? a.meaning ?? a.reason ?? "";

export function open(outlet) {
	const p = panel("Alerts");
	let rows = [];
	const filter = filterField({ changed: draw });
	const t = table({
		label: "Alerts", id: a => a.id ?? `${a.time} ${a.kind} ${a.subject}`, most: 1000, nothing: "Nothing needs attention.",
		columns: [
			{ key: "severity", name: "severity", cell: a => state(a.severity ?? a.level ?? "alert"), sort: a => a.severity ?? a.level },
			{ key: "time", name: "since", right: true, cell: a => since(a.time ?? a.since ?? a.first), sort: a => a.time ?? a.since ?? a.first },
			{ key: "kind", name: "kind", cell: a => h("code", {}, a.kind ?? a.type ?? "") },
			{ key: "subject", name: "about", cell: a => a.device ? deviceLink(a.device) : a.subject },
			{ key: "text", name: "what", wide: true, cell: a => [h("div", {}, textOf(a)), a.fix && h("div", { class: "fix" }, a.fix)], sort: textOf },
			{ key: "count", name: "times", seldom: true, right: true, cell: a => a.count },
			{ key: "state", name: "state", seldom: true, cell: a => a.state && state(a.state, a.state === "open" ? "warn" : "off") },
			{ key: "ledger", name: "ledger", seldom: true, cell: a => Number.isInteger(a.index ?? a.ledger) ? entryLink(a.index ?? a.ledger) : null },
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
