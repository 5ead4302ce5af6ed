// SPDX-License-Identifier: Apache-2.0
// A table that is brought up to date in place: rows keep their identity, so that focus, selection and
// the place on the page stay while it lives. Rows can be walked with arrows and opened with Enter.
import { fill, h } from "./dom.mjs";
import { count, unknown } from "./format.mjs";

function signature(content) {
	const list = Array.isArray(content) ? content : [content];
	return list.map(c => c instanceof Node ? `${c.outerHTML}` : String(c)).join("\u0001");
}

function compare(a, b) {
	if (a === b)
		return 0;
	const empty = v => v === null || v === undefined || v === "";
	if (empty(a) || empty(b))
		return empty(a) ? 1 : -1;
	if (typeof a === "number" && typeof b === "number")
		return a - b;
	return String(a).localeCompare(String(b), "en", { numeric: true });
}

// columns: [{key, name, cell(row) -> text or nodes, sort(row), right, wide, help, seldom}]; a seldom one is
// shown only when some row has it.
// id(row): what a row is known by. open(row): Enter, or a click that hits no link. sort: column or
// "-column". nothing: what to say when there are none.
export function table({ columns, id, open, sort = null, most = 500, nothing = "Nothing.", label, mark }) {
	const head = h("tr", {});
	const bodyNode = h("tbody", {});
	const foot = h("p", { class: "empty", hidden: true });
	const node = h("div", { class: "table", tabindex: "-1" },
		h("table", { "aria-label": label }, h("thead", {}, head), bodyNode), foot);
	const shown = new Map();
	let rows = [], by = sort?.replace(/^-/, "") ?? null, downwards = sort?.startsWith("-") ?? false;

	for (const c of columns) {
		const button = c.sort === null ? c.name : h("button", {
			type: "button", class: "sort",
			onclick() {
				downwards = by === c.key ? !downwards : false;
				by = c.key;
				draw();
			},
		}, c.name);
		head.append(h("th", { scope: "col", class: c.right && "right", title: c.help, dataset: { key: c.key } }, button));
	}

	function sorted() {
		const c = columns.find(x => x.key === by);
		if (!c)
			return rows;
		const value = c.sort ?? (row => row[c.key]);
		const order = [...rows].sort((a, b) => compare(value(a), value(b)));
		return downwards ? order.reverse() : order;
	}

	function rowNode(row) {
		const key = String(id(row));
		let entry = shown.get(key);
		if (!entry) {
			entry = { node: h("tr", { tabindex: open ? "0" : null }), cells: [], row };
			for (const c of columns) {
				const td = h("td", { class: [c.right && "right", c.wide && "wide", c.class].filter(Boolean).join(" ") || null });
				entry.cells.push({ td, text: null });
				entry.node.append(td);
			}
			if (open) {
				entry.node.addEventListener("click", event => {
					if (!event.target.closest("a, button, input") && !String(getSelection()))
						open(entry.row);
				});
				entry.node.addEventListener("keydown", event => {
					if (event.key === "Enter" && event.target === entry.node)
						open(entry.row);
				});
			}
			shown.set(key, entry);
		}
		entry.row = row;
		columns.forEach((c, i) => {
			const content = (c.cell ? c.cell(row) : row[c.key]) ?? unknown;
			const text = signature(content), cell = entry.cells[i];
			if (cell.text !== text) {
				cell.text = text;
				fill(cell.td, content);
			}
		});
		const marked = mark?.(row) ?? "";
		if (entry.node.className !== marked)
			entry.node.className = marked;
		return entry.node;
	}

	function draw() {
		const list = sorted().slice(0, most).map(rowNode);
		const wanted = new Set(list);
		for (const [key, entry] of shown)
			if (!wanted.has(entry.node)) {
				entry.node.remove();
				shown.delete(key);
			}
		list.forEach((tr, i) => {
			if (bodyNode.children[i] !== tr)
				bodyNode.insertBefore(tr, bodyNode.children[i] ?? null);
		});
		columns.forEach((c, i) => {
			const hide = Boolean(c.seldom) && list.every(tr => tr.children[i].textContent === unknown);
			if (head.children[i].hidden !== hide || hide)
				for (const tr of [head, ...list])
					tr.children[i].hidden = hide;
		});
		for (const th of head.children) {
			if (th.dataset.key === by)
				th.setAttribute("aria-sort", downwards ? "descending" : "ascending");
			else
				th.removeAttribute("aria-sort");
		}
		foot.hidden = rows.length > 0 && rows.length <= most;
		foot.textContent = rows.length ? `${count(most)} of ${count(rows.length)} are shown. Filter to see others.` : nothing;
		node.firstChild.hidden = rows.length === 0;
	}

	node.addEventListener("keydown", event => {
		const tr = event.target.closest("tbody tr");
		const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
		if (!tr || !step || event.target !== tr)
			return;
		event.preventDefault();
		(step > 0 ? tr.nextElementSibling : tr.previousElementSibling)?.focus();
	});

	return {
		node,
		update(next) {
			rows = next;
			draw();
		},
		get rows() { return rows; },
		focusFirst() { bodyNode.querySelector("tr")?.focus(); },
	};
}
