// SPDX-License-Identifier: Apache-2.0
// Making elements. Text is always text: nothing that came over the network is ever parsed as HTML.

// h("a", {href: "/x", class: "quiet", onclick: f, dataset: {id: 1}}, "text", child, [more])
export function h(tag, props, ...children) {
	const node = document.createElement(tag);
	for (const [key, value] of Object.entries(props ?? {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (key.startsWith("on"))
			node.addEventListener(key.slice(2), value);
		else if (key === "dataset")
			Object.assign(node.dataset, value);
		else if (key in properties)
			node[key] = value;
		else
			node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...flat(children));
	return node;
}

const properties = { value: 1, checked: 1, disabled: 1, selected: 1, indeterminate: 1, htmlFor: 1 };

const svgSpace = "http://www.w3.org/2000/svg";

export function svg(tag, attributes, ...children) {
	const node = document.createElementNS(svgSpace, tag);
	for (const [key, value] of Object.entries(attributes ?? {}))
		if (value !== undefined && value !== null)
			node.setAttribute(key, value);
	node.append(...flat(children));
	return node;
}

function flat(children) {
	return children.flat(Infinity)
		.filter(child => child !== null && child !== undefined && child !== false)
		.map(child => child instanceof Node ? child : String(child));
}

export function fill(node, ...children) {
	node.replaceChildren(...flat(children));
	return node;
}

export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

// Tells those who do not see the page what has changed on it.
export function say(text) {
	setText(document.getElementById("say"), text);
}

export function textField(target) {
	return target instanceof HTMLElement &&
		(target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName) ||
		 (target.tagName === "INPUT" && !["range", "checkbox", "radio", "button", "submit"].includes(target.type)));
}
