// SPDX-License-Identifier: Apache-2.0
// The frame around the pages: navigation, the time bar, the state of the connection, keys.
import { fill, h, say, setText } from "./dom.mjs";
import { get, itemsOf, serverNow } from "./api.mjs";
import { startChanges } from "./changes.mjs";
import { onStream, stream } from "./events.mjs";
import { help, key, startKeys, tellKey } from "./keys.mjs";
import { watch } from "./live.mjs";
import { moment, onMoment, setMoment } from "./moment.mjs";
import { go, href, link, relink, route, show, startRouter } from "./router.mjs";
import { openSearch } from "./search.mjs";
import { logout, session, startSession, whoami } from "./session.mjs";
import { readChanges, step, startTimebar } from "./timebar.mjs";
import { nextTheme, themeName } from "./theme.mjs";
import { setState, state } from "./words.mjs";

const pages = [
	["network", "Network", "n"], ["devices", "Devices", "d"], ["data", "Data", "a"], ["ledger", "Ledger", "l"],
	["conformance", "Conformance", "c"], ["alerts", "Alerts", "e"], ["status", "Status", "s"],
];

route("/", () => import("./pages/network.mjs"));
route("/network", () => import("./pages/network.mjs"));
route("/devices", () => import("./pages/devices.mjs"));
route("/devices/:id", () => import("./pages/device.mjs"));
route("/devices/:id/:part", () => import("./pages/device.mjs"));
route("/data", () => import("./pages/data.mjs"));
route("/ledger", () => import("./pages/ledger.mjs"));
route("/ledger/:index", () => import("./pages/entry.mjs"));
route("/conformance", () => import("./pages/conformance.mjs"));
route("/conformance/:id", () => import("./pages/conformance.mjs"));
route("/alerts", () => import("./pages/alerts.mjs"));
route("/status", () => import("./pages/status.mjs"));

const connection = h("span", { class: "state off" }, "connecting");
const account = h("span", { class: "account" });
const alertCount = h("span", { class: "number", hidden: true });

// A link to what is shown, with its moment: "now" becomes the time that it is now.
async function copyLink() {
	const address = location.origin + href(location.pathname + location.search,
		moment.at ?? Math.floor(serverNow()));
	try {
		await navigator.clipboard.writeText(address);
		flash("Link copied, with its time");
	} catch {
		prompt("Link to this page as it is now", address);
	}
}

function flash(text) {
	const node = h("div", { class: "flash" }, text);
	document.body.append(node);
	say(text);
	setTimeout(() => node.remove(), 2500);
}

function drawNav(nav) {
	const theme = h("button", { type: "button", class: "quiet", title: "Light, dark, or as the system (T)" },
		themeName());
	theme.addEventListener("click", () => setText(theme, nextTheme()));
	key("T", "Anywhere", "light, dark, as the system", () => theme.click());
	fill(nav, link("/", "Gemel", { class: "home" }),
		h("span", { class: "pages" }, pages.map(([path, name]) =>
			link(`/${path}`, path === "alerts" ? [name, alertCount] : name, { dataset: { page: path } }))),
		h("span", { class: "grow" }),
		h("button", { type: "button", class: "quiet", onclick: openSearch, title: "Search everything (/)" },
			"Search ", h("kbd", {}, "/")),
		h("button", { type: "button", class: "quiet", onclick: copyLink,
			title: "Copy a link to this page at this time (y)" }, "Copy link"),
		theme,
		h("button", { type: "button", class: "quiet", onclick: help, title: "Keyboard (?)" }, h("kbd", {}, "?")),
		connection, account);
}

function drawAccount() {
	fill(account, session.account && [h("b", { title: session.roles.join(", ") }, session.account),
		session.initial && h("span", { class: "state warn",
			title: `Change it: gemel account update ${session.account} --password-stdin` }, "first pass phrase"),
		h("button", { type: "button", class: "quiet", onclick: logout }, "Log out")]);
}

function opened(path) {
	for (const a of document.querySelectorAll("#nav a[data-page]"))
		if (path.split("/")[1] === a.dataset.page || (path === "/" && a.dataset.page === "network"))
			a.setAttribute("aria-current", "page");
		else
			a.removeAttribute("aria-current");
}

function bindKeys() {
	key("/", "Anywhere", "search everything", openSearch);
	key("?", "Anywhere", "this help", help);
	key("y", "Anywhere", "copy a link to this page at this time", copyLink);
	for (const [path, name, letter] of pages)
		key(`g ${letter}`, "Go to", name, () => go(`/${path}`).then(() => document.getElementById("page").focus()));
	key("n", "Time", "now", () => setMoment(null));
	key("[", "Time", "the change before", () => step(-1));
	key("]", "Time", "the next change", () => step(1));
	key("j", "In a page", "into the first table; on down it",
		() => document.querySelector("main tbody tr[tabindex]")?.focus());
	tellKey("k", "In a page", "up a table");
	tellKey("Tab", "In a page", "next link, button or row");
	tellKey("Enter", "In a page", "open it");
}

const banner = h("div", { class: "banner", role: "alert", hidden: true });

function showConnection() {
	const away = stream.state === "reconnecting" && stream.why?.status === 0;
	banner.hidden = !away;
	fill(banner, away && [state("no answer", "bad"), h("span", {}, stream.why.detail, " ", stream.why.fix)]);
	setState(connection, stream.state === "ended" ? "offline" : stream.state);
	const { why } = stream;
	connection.title = why ? `${why.title}: ${why.detail}` : "Whether changes arrive as they happen";
}

// What needs someone, on every page.
function countAlerts() {
	watch({
		load: signal => get("/v1/alerts", { query: { limit: 1000, fields: "id,active" }, signal }),
		every: 15000,
		on: ["alert", "integrity.", "device.", "forwarding."],
		show: ({ body }) => {
			const open = itemsOf(body).filter(a => a.active !== false);
			alertCount.hidden = open.length === 0;
			setText(alertCount, String(open.length));
		},
		fail() { alertCount.hidden = true; },
	});
}

async function start() {
	const nav = document.getElementById("nav");
	drawNav(nav);
	startTimebar(document.getElementById("timebar"));
	document.getElementById("top").after(banner);
	startKeys();
	bindKeys();
	startSession(drawAccount);
	onStream(showConnection);
	onMoment(relink);
	startChanges();
	const main = document.getElementById("page");
	let counting = false, opening = null;
	async function loggedIn() {
		readChanges();
		await (opening ? show() : opening = startRouter(main, opened));
		if (!counting)
			countAlerts();
		counting = true;
	}
	addEventListener("gemel:login", loggedIn);
	if (await whoami())
		await loggedIn();
}

start();
