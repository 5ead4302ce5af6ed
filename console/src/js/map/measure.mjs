// SPDX-License-Identifier: Apache-2.0
const measure = document.createElement("canvas").getContext("2d");

// In pixels, with some air at both ends.
export function labelWidth(label, size) {
	measure.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
	return Math.max(...label.split("\n").map(line => measure.measureText(line).width)) + 18;
}
