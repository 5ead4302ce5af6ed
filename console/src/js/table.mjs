// SPDX-License-Identifier: Apache-2.0
// A table that is brought up to date in place: rows keep their identity, so that focus, selection and
// the place on the page stay while it lives. Rows can be walked with arrows and opened with Enter.
import { fill, h } from "./dom.mjs";
import { count, unknown } from "./format.mjs";

function signature(content) {
	const list = Array.isArray(content) ? content : [content];
	return list.map(c => c instanceof Node ? c.outerHTML : String(c)).join("\u0001");
}

const isEmpty = v => v === null || v === undefined || v === "";

function compare(a, b) {
	if (a === b)
		return 0;
	if (isEmpty(a) || isEmpty(b))
		return isEmpty(a) ? 1 : -1;
	if (typeof a === "number" && typeof b === "number")
		return a - b;
	return String(a).localeCompare(String(b), "en", { numeric: true });
}

// columns: [{key, name, cell(row) -> text or nodes, sort(row), right, wide, help, seldom}]; a seldom one is
// shown only when some row has it. id(row): what a row is known by. open(row): Enter, or a click that hits
// no link. sort: column or "-column". nothing: what to say when there are none.
class Table {
	constructor({ columns, id, open, sort = null, most = 500, nothing = "Nothing.", label }) {
		Object.assign(this, { columns, id, open, most, nothing });
		this.rows = [];
		this.shown = new Map();
		this.by = sort?.replace(/^-/, "") ?? null;
		this.downwards = sort?.startsWith("-") ?? false;
		this.head = h("tr", {}, columns.map(c => this.headCell(c)));
		this.body = h("tbody", { onkeydown: event => this.walk(event) });
		this.foot = h("p", { class: "empty", hidden: true });
		this.node = h("div", { class: "table", tabindex: "-1" },
			h("table", { "aria-label": label }, h("thead", {}, this.head), this.body), this.foot);
	}

	headCell(c) {
		const sort = () => {
			this.downwards = this.by === c.key ? !this.downwards : false;
			this.by = c.key;
			this.draw();
		};
		return h("th", { scope: "col", class: c.right && "right", title: c.help, dataset: { key: c.key } },
			c.sort === null ? c.name : h("button", { type: "button", class: "sort", onclick: sort }, c.name));
	}

	sorted() {
		const c = this.columns.find(x => x.key === this.by);
		if (!c)
			return this.rows;
		const value = c.sort ?? (row => row[c.key]);
		const order = [...this.rows].sort((a, b) => compare(value(a), value(b)));
		return this.downwards ? order.reverse() : order;
	}

	newRow(row) {
		const entry = { row, cells: [], node: h("tr", { tabindex: this.open ? "0" : null }) };
		for (const c of this.columns) {
			const td = h("td", { class: [c.right && "right", c.wide && "wide"].filter(Boolean).join(" ") || null });
			entry.cells.push({ td, text: null });
			entry.node.append(td);
		}
		if (!this.open)
			return entry;
		entry.node.addEventListener("click", event => {
			if (!event.target.closest("a, button, input") && !String(getSelection()))
				this.open(entry.row);
		});
		entry.node.addEventListener("keydown", event => {
			if (event.key === "Enter" && event.target === entry.node)
				this.open(entry.row);
		});
		return entry;
	}

	rowNode(row) {
		const key = String(this.id(row));
		if (!this.shown.has(key))
			this.shown.set(key, this.newRow(row));
		const entry = this.shown.get(key);
		entry.row = row;
		this.columns.forEach((c, i) => {
			const content = (c.cell ? c.cell(row) : row[c.key]) ?? unknown;
			const text = signature(content), cell = entry.cells[i];
			if (cell.text !== text) {
				cell.text = text;
				fill(cell.td, content);
			}
		});
		return entry.node;
	}

	draw() {
		const list = this.sorted().slice(0, this.most).map(row => this.rowNode(row)), wanted = new Set(list);
		for (const [key, entry] of this.shown)
			if (!wanted.has(entry.node)) {
				entry.node.remove();
				this.shown.delete(key);
			}
		list.forEach((tr, i) => {
			if (this.body.children[i] !== tr)
				this.body.insertBefore(tr, this.body.children[i] ?? null);
		});
		this.drawHead(list);
		const { rows, most } = this;
		this.foot.hidden = rows.length > 0 && rows.length <= most;
		this.foot.textContent = rows.length === 0 ? this.nothing
			: `${count(most)} of ${count(rows.length)} are shown. Filter to see others.`;
		this.node.firstChild.hidden = rows.length === 0;
	}

	drawHead(list) {
		this.columns.forEach((c, i) => {
			const th = this.head.children[i];
			const hide = Boolean(c.seldom) && list.every(tr => tr.children[i].textContent === unknown);
			if (th.hidden !== hide || hide)
				for (const tr of [this.head, ...list])
					tr.children[i].hidden = hide;
			if (c.key === this.by)
				th.setAttribute("aria-sort", this.downwards ? "descending" : "ascending");
			else
				th.removeAttribute("aria-sort");
		});
	}

	walk(event) {
		const tr = event.target.closest("tr"), step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
		if (!step || event.target !== tr)
			return;
		event.preventDefault();
		(step > 0 ? tr.nextElementSibling : tr.previousElementSibling)?.focus();
	}

	update(rows) {
		this.rows = rows;
		this.draw();
	}
}

export const table = options => new Table(options);
