// SPDX-License-Identifier: Apache-2.0
// How Recommendation ITU-T X.2011 groups its requirements. The requirements themselves, their verdicts and
// evidence come from the API; the groups are the Recommendation's clauses.
export const groups = [
	["6", "6", "What a digital twin network is"],
	["8.1", "8.1", "Physical network layer"],
	["8.2", "8.2", "Interfaces"],
	["8.3.1", "8.3.1", "Unified data repository"],
	["8.3.2", "8.3.2", "Unified data models"],
	["8.3.3", "8.3.3", "Management and operation"],
	["8.4", "8.4", "Network applications"],
	["9", "9", "Countermeasures"],
	["A", "Annex A", "End-to-end attribute-based encryption"],
	["T", "7", "Threats, carried out as attacks"],
	["", "", "Others"],
];

export function groupOf(id) {
	return groups.find(([begin]) => begin && (id === begin || id.startsWith(`${begin}.`) ||
		id.startsWith(`${begin}-`)))?.[0] ?? "";
}

export function inOrder(a, b) {
	return a.localeCompare(b, "en", { numeric: true });
}
