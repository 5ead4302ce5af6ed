// SPDX-License-Identifier: Apache-2.0
// One device: what management admitted, what the twin hears, what was measured. The parts have addresses
// of their own: /devices/fw-1/routes.
import { fill, h } from "../dom.mjs";
import { get } from "../api.mjs";
import { bundle, watch } from "../live.mjs";
import { pageKey } from "../keys.mjs";
import { facts, panel, problemBox } from "../panel.mjs";
import { encode, go, link } from "../router.mjs";
import { age, since, stamp } from "../stamp.mjs";
import { state } from "../words.mjs";
import { actions } from "./device-actions.mjs";
import { storyPanel } from "./device-story.mjs";
import { counterPlots } from "./device-plots.mjs";
import { aclsPart, interfacesPart, neighboursPart, routesPart } from "./device-tables.mjs";
import { valuesPanel } from "./values.mjs";

export const title = params => params.id;

const parts = [["", "Overview"], ["interfaces", "Interfaces"], ["routes", "Routes"], ["acls", "Access lists"],
	["neighbours", "Neighbours"], ["values", "All values"]];

function tabs(id, part) {
	return h("nav", { class: "tabs", "aria-label": `Parts of ${id}` }, parts.map(([path, name], i) =>
		link(`/devices/${encode(id)}${path ? `/${path}` : ""}`, name, {
			"aria-current": path === part ? "page" : null, title: `key ${i + 1}` })));
}

function headOf(id) {
	const words = h("span", { class: "words" }), stampNode = h("span", { class: "stamp" }), trouble = h("div", {});
	const node = h("div", { class: "object-head" }, h("h1", {}, id), words, h("span", { class: "grow" }),
		stampNode);
	let admitted = null, twin = null;
	function draw() {
		fill(words, admitted?.state && state(admitted.state),
			twin && [state(twin.body.stale ? "stale" : "present"), h("span", { class: "muted" }, "heard ",
				age(twin.body.age_ms, twin.came))],
			h("span", { class: "muted" }, [admitted?.role, admitted?.site,
				admitted?.domain].filter(Boolean).join(", ")));
	}
	return {
		node, trouble,
		admitted(body) { admitted = body; draw(); },
		twin(answer) { twin = answer; stamp(stampNode, answer); draw(); },
	};
}

function summaryPanel() {
	const p = panel("State");
	return {
		...p,
		draw(answer) {
			const b = answer.body, ports = b.interfaces ?? [];
			const up = ports.filter(i => i.oper_status === "UP").length;
			p.show(answer);
			fill(p.body, facts([
				["twin", [state(b.stale ? "stale" : "present"), b.complete === false
					? " not all of its state has come yet" : ""]],
				["heard", age(b.age_ms, answer.came)],
				["interfaces", `${up} of ${ports.length} up`],
				["routes", b.routes?.length ?? 0],
				["access lists", b.acls ? `${b.acls.length} with ${b.acls.reduce((n, a) => n + a.rules.length, 0)} rules` : "withheld: they are confidential"],
				["host name", b.hostname], ["software", b.software], ["agent", b.agent],
				["its own clock", since(b.device_time, "exact")],
				b.refused_values > 0 && ["refused values", b.refused_values],
			]), b.not_modelled?.length > 0 && h("p", { class: "why" }, "Not modelled: ", b.not_modelled.join("; "),
				". Verdicts through this device are inconclusive."));
		},
	};
}

export function open(outlet, { id, part = "" }) {
	const head = headOf(id), story = storyPanel(), summary = summaryPanel(), ends = [];
	const tables = { interfaces: interfacesPart, routes: routesPart, acls: aclsPart,
		neighbours: neighboursPart }[part]?.(id);
	outlet.className = "device";
	outlet.append(head.node, tabs(id, part), head.trouble);
	if (part === "") {
		const plots = counterPlots(id);
		ends.push(plots);
		outlet.append(h("div", { class: "two" }, h("div", {}, plots.node), h("div", {}, summary.node, story.node)));
	} else if (part === "values") {
		const values = valuesPanel({ device: id });
		ends.push(values.stop);
		outlet.append(values.node);
	} else if (tables) {
		outlet.append(tables.node);
	} else {
		outlet.append(h("p", { class: "empty" }, "A device has no such part."));
	}
	const ofManagement = watch({
		load: signal => get(`/v1/devices/${encode(id)}`, { signal }), on: ["device."], every: 10000,
		show(answer) {
			head.admitted(answer.body);
			story.draw(answer, () => actions(id, answer.body, () => ofManagement.again()));
		},
		fail: story.fail,
	});
	const ofTwin = watch({
		load: signal => get(`/v1/devices/${encode(id)}/state`, { signal }), on: ["topology."], every: 5000,
		show(answer) {
			head.twin(answer);
			fill(head.trouble);
			summary.draw(answer);
			tables?.draw(answer);
		},
		fail(problem) {
			(tables ?? summary).fail(problem);
			if (part !== "" && !tables)
				fill(head.trouble, problemBox(problem));
		},
	});
	return bundle(ofManagement, ofTwin, ...ends,
		...parts.map(([path, name], i) => pageKey(String(i + 1), name,
			() => go(`/devices/${encode(id)}${path ? `/${path}` : ""}`))));
}

