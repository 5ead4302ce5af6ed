// SPDX-License-Identifier: Apache-2.0
// Map.groupBy, which browsers older than 2024 do not have.
export function groupBy(list, key) {
	const groups = new Map();
	for (const item of list) {
		const k = key(item);
		if (groups.has(k))
			groups.get(k).push(item);
		else
			groups.set(k, [item]);
	}
	return groups;
}
