// SPDX-License-Identifier: Apache-2.0
// The map by keyboard: arrows aim at the next node in their direction, Enter chooses it, o opens it.
import { say } from "../dom.mjs";

const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function aimed(cy) {
	const node = cy.nodes(".aim");
	return node.nonempty() ? node[0] : null;
}

// The nearest that lies that way; what lies aside counts as further.
function next(cy, [dx, dy]) {
	const from = aimed(cy), all = cy.nodes(".device, .stub").toArray();
	if (!from)
		return all[0];
	const p = from.position();
	let best = null;
	for (const node of all) {
		const q = node.position(), along = (q.x - p.x) * dx + (q.y - p.y) * dy;
		const aside = Math.abs((q.x - p.x) * dy) + Math.abs((q.y - p.y) * dx);
		if (node.id() !== from.id() && along > 4 && (!best || along + 2.2 * aside < best.cost))
			best = { node, cost: along + 2.2 * aside };
	}
	return best?.node ?? from;
}

function aim(cy, node) {
	cy.nodes().removeClass("aim");
	node.addClass("aim");
	say(node.data("label").replace("\n", ", "));
	const p = node.renderedPosition();
	if (p.x < 0 || p.y < 0 || p.x > cy.width() || p.y > cy.height())
		cy.center(node);
}

export function walkWithKeys(cy, container, on, zoomed) {
	container.addEventListener("keydown", event => {
		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		const node = aimed(cy);
		if (directions[event.key]) {
			const to = next(cy, directions[event.key]);
			if (to)
				aim(cy, to);
		} else if (event.key === "Enter" && node) {
			on.node(node.id());
		} else if (event.key === "o" && node) {
			on.open(node.id());
		} else if (event.key === "+" || event.key === "-") {
			zoomed();
			cy.zoom({
				level: cy.zoom() * (event.key === "+" ? 1.2 : 1 / 1.2),
				renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 },
			});
		} else {
			return;
		}
		event.preventDefault();
	});
	container.addEventListener("blur", () => cy.nodes().removeClass("aim"));
}
