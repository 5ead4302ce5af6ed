// SPDX-License-Identifier: Apache-2.0
// Labels of links side by side: each takes the first place along its line, from the middle outwards, where it
// covers neither another label nor a node.
import { labelWidth } from "./measure.mjs";

const along = [0.5, 0.4, 0.6, 0.32, 0.68, 0.24, 0.76];
const most = 400; // links; with more nobody reads labels

const meet = (a, b) => Math.abs(a.x - b.x) * 2 < a.w + b.w && Math.abs(a.y - b.y) * 2 < a.h + b.h;

export function placeLabels(cy) {
	const taken = cy.nodes(".device, .stub").map(n => ({ ...n.position(), w: n.data("w"), h: n.hasClass("stub")
		? 30 : 38 }));
	const links = cy.edges(".link").filter(e => e.data("label"));
	if (links.length > most)
		return;
	for (const link of links) {
		const a = link.source().position(), b = link.target().position();
		const size = { w: labelWidth(link.data("label"), 10) - 10, h: 14 };
		const boxes = along.map(t => ({ t, x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t, ...size }));
		const box = boxes.find(place => !taken.some(other => meet(place, other))) ?? boxes[0];
		taken.push(box);
		link.data({ mx: (b.x - a.x) * (box.t - 0.5), my: (b.y - a.y) * (box.t - 0.5) });
	}
}
