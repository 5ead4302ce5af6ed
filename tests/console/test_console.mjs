// SPDX-License-Identifier: Apache-2.0
// The console in a browser, as a person uses it. Steps print TAP; screenshots go to GEMEL_SCREENSHOTS.
//     node test_console.mjs CONSOLE_TWIN     against our own server (fixture.mjs)
//     GEMEL_CONSOLE_URL=https://127.0.0.1:8444 GEMEL_ACCOUNT=admin GEMEL_PASSWORD_FILE=FILE node
// test_console.mjs
// The second is against a running gemeld; the steps that change the network are left out there.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Browser } from "./browser.mjs";
import * as own from "./fixture.mjs";
import { verifyProof } from "./verify.mjs";

const real = process.env.GEMEL_CONSOLE_URL;
const shots = process.env.GEMEL_SCREENSHOTS;
const fixture = real ? null : await new own.Fixture(process.argv[2]).open();
const url = (real ?? fixture.url).replace(/\/$/, "");
const account = process.env.GEMEL_ACCOUNT ?? own.account;
const password = process.env.GEMEL_PASSWORD_FILE ? readFileSync(process.env.GEMEL_PASSWORD_FILE, "utf8").trim()
	: own.password;

const browser = new Browser();
let page, number = 0, failed = 0;
const wait = 15000; // for what must come; nothing is said of how fast

async function shot(name) {
	if (!shots)
		return;
	mkdirSync(shots, { recursive: true });
	await page.screenshot({ path: join(shots, `${name}.png`) });
}

async function step(name, run) {
	number++;
	try {
		await run();
		console.log(`ok ${number} - ${name}`);
	} catch (e) {
		failed++;
		console.log(`not ok ${number} - ${name}\n# ${(e.stack ?? String(e)).replaceAll("\n", "\n# ")}`);
		await shot(`failed-${number}`);
		await page.keyboard.press("Escape").catch(() => {});
	}
}

const ask = path => page.evaluate(async p => (await fetch(p)).json(), path);
const text = selector => page.locator(selector).first().innerText();
const seen = (selector, options) => page.locator(selector).first().waitFor({ timeout: wait, ...options });
const until = (f, arg) => page.waitForFunction(f, arg, { timeout: wait });

async function visit(path) {
	await page.goto(url + path);
	await seen(path.startsWith("/network") || path === "/" ? "#map canvas" : "main .panel");
}

// The map is a canvas: where a device stands on it, the drawing itself knows.
async function clickDevice(id) {
	const at = await page.evaluate(name => {
		const node = document.getElementById("map")._cyreg.cy.getElementById(name);
		const box = document.getElementById("map").getBoundingClientRect(), p = node.renderedPosition();
		return node.nonempty() ? { x: box.x + p.x, y: box.y + p.y } : null;
	}, id);
	assert.ok(at, `${id} is not on the map`);
	await page.mouse.click(at.x, at.y);
}

const mapped = () => page.evaluate(() => {
	const cy = document.getElementById("map")._cyreg.cy;
	return { devices: cy.nodes(".device").map(n => n.id()), links: cy.edges(".link").length,
		way: cy.edges(".way").length,
		places: cy.nodes(".device").map(n => [n.id(), Math.round(n.position("x")),
			Math.round(n.position("y"))].join()).sort().join(" "),
		labels: cy.nodes(".device").map(n => n.data("label")) };
});

// --- steps

async function logIn() {
	browser.expect(/401 .*\/v1\/sessions/);
	await page.goto(url + "/");
	await seen("dialog[open] #account");
	await shot("log-in");
	await page.fill("#account", account);
	await page.fill("#password", "not the pass phrase");
	await page.keyboard.press("Enter");
	await seen("dialog[open] .problem");
	assert.match(await text("dialog[open] .problem"), /\S+\n/, "the refusal has no words");
	await page.fill("#password", password);
	await page.keyboard.press("Enter");
	await seen("dialog[open]", { state: "detached" });
	await seen("#nav .account b");
	assert.equal(await text("#nav .account b"), account);
}

async function mapAppears() {
	await until(() => document.getElementById("map")?._cyreg?.cy.nodes(".device").length > 1);
	const topology = await ask("/v1/topology"), map = await mapped();
	assert.deepEqual(map.devices.sort(), topology.nodes.map(n => n.id).sort());
	assert.equal(map.links, topology.links.length);
	assert.ok(map.labels.every(l => l.includes("\n")), "a device has no word for its state");
	assert.match(await text(".map .stamp"), /old|as at/, "the map does not say how old it is");
	await seen("#nav .state:text-is('live')");
	await shot("network");
	const paint = () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
	const cold = await paint();
	await page.reload();
	await until(() => document.getElementById("map")?._cyreg?.cy.nodes(".device").length > 1);
	console.log(`# first paint after ${Math.round(cold)} ms in a new browser, ${Math.round(await paint())} ms the second time`);
}

// Two that packets pass between, if there are.
async function pair() {
	const { nodes, hosts } = await ask("/v1/topology");
	const ids = nodes.filter(n => n.interfaces_up > 1 && !n.stale).map(n => n.id);
	return fixture ? ["access-staff", "servers-1"] : [ids[0], ids.at(-1), hosts];
}

async function traceByTwoClicks() {
	const [from, to] = await pair();
	await clickDevice(from);
	await until(name => document.querySelector(".ask [name=from]").value === name, from);
	await clickDevice(to);
	await seen(".trace .verdict .state");
	const answer = await ask(`/v1/paths:trace?from=${from}&to=${to}&protocol=icmp`);
	assert.equal(await text(".trace .verdict .state"), answer.verdict);
	assert.equal(await page.locator(".hops > li").count(), answer.hops.length);
	assert.ok((await mapped()).way > 0, "the way is not drawn");
	const address = new URL(page.url());
	assert.equal(address.searchParams.get("from"), from);
	assert.equal(address.searchParams.get("to"), to);
	await shot("trace");
	await page.reload();
	await seen(".trace .verdict .state");
	assert.equal(await text(".trace .verdict .state"), answer.verdict, "the link does not show the same");
}

// Of the packets between hosts the one with the longest way that arrives.
async function packetBetweenHosts() {
	const { hosts } = await ask("/v1/topology"), found = [];
	const own = hosts.filter(x => hosts.filter(y => y.address === x.address).length === 1); // not the management's
	const some = own.filter((x, i) => own.findIndex(y => y.device === x.device) === i).slice(0, 6);
	for (const a of some)
		for (const b of some.filter(x => x.device !== a.device)) {
			const words = `from=${a.address}&to=${b.address}&protocol=icmp`;
			const { verdict, hops } = await ask(`/v1/paths:trace?${words}`);
			found.push({ words, verdict, hops: hops?.length ?? 0, score: (verdict === "delivered" ? 100
				: 0) + (hops?.length ?? 0) });
		}
	const [best] = found.sort((x, y) => y.score - x.score);
	assert.ok(best, "no two hosts are known");
	await visit(`/network?${best.words}`);
	await seen(".trace .verdict .state");
	assert.equal(await text(".trace .verdict .state"), best.verdict);
	assert.equal(await page.locator(".hops > li").count(), best.hops);
	await page.waitForTimeout(500); // for the picture
	await shot("packet");
}

async function refusedTrace() {
	browser.expect(/404 .*paths:trace/);
	await visit("/network?from=nobody&to=nowhere");
	await seen(".packet-panel .problem");
	assert.match(await text(".packet-panel .problem"), /nobody|nowhere/);
}

async function blockedTrace() {
	await visit("/network?from=10.20.0.10&to=10.30.0.10&protocol=tcp&port=443");
	await seen(".trace .verdict .state.bad");
	assert.match(await text(".hops"), /guest-not-finance/, "the rule that decided is not named");
	await shot("trace-dropped");
}

async function timeSlider() {
	await visit("/network");
	const before = (await mapped()).places, slider = page.locator("input.slider");
	await slider.focus();
	for (let i = 0; i < 3; i++)
		await page.keyboard.press("PageDown");
	await until(() => document.documentElement.hasAttribute("data-past"));
	const at = new URL(page.url()).searchParams.get("at");
	assert.ok(Date.parse(at) < Date.now(), `at is ${at}`);
	await until(() => /^as at/.test(document.querySelector(".map .stamp").textContent));
	const { nodes } = await ask(`/v1/topology?at=${at}`);
	await until(n => document.getElementById("map")._cyreg.cy.nodes(".device").length === n, nodes.length);
	await shot("past");
	await page.keyboard.press("Escape");
	await page.locator("#timebar .now").click();
	await until(() => !document.documentElement.hasAttribute("data-past"));
	await until(n => document.getElementById("map")._cyreg.cy.nodes(".device").length === n,
		before.split(" ").length);
	assert.equal((await mapped()).places, before, "the map has moved");
}

async function changesMarked() {
	await visit("/network");
	await until(() => document.querySelectorAll(".ticks line").length > 0);
	await page.locator("#map").focus();
	await page.keyboard.press("[");
	await until(() => document.documentElement.hasAttribute("data-past"));
	assert.match(await text("#timebar .told"), /ago/);
	const first = new URL(page.url()).searchParams.get("at");
	await page.keyboard.press("[");
	await until(at => new URL(location.href).searchParams.get("at") !== at, first);
	assert.ok(Date.parse(new URL(page.url()).searchParams.get("at")) < Date.parse(first));
	await page.keyboard.press("n");
	await until(() => !document.documentElement.hasAttribute("data-past"));
}

// In our own network it is known what was: core-1 to core-4 was cut 52 to 44 minutes ago.
async function pathThen() {
	const at = new Date(fixture.start - 48 * 60e3).toISOString();
	await visit(`/network?from=core-1&to=core-4&at=${at}`);
	await seen(".trace .verdict .state");
	assert.ok(await page.locator(".hops > li").count() > 2, "the way then went round the cut link");
	await page.locator("#timebar .now").click();
	await until(() => document.querySelectorAll(".hops > li").length === 2);
}

async function cutLive() {
	await visit("/network");
	const down = n => until(links => document.querySelector(".map .summary").textContent.endsWith(`${links} down`), n);
	await down(1);
	await fixture.change(Date.now(), true, "core-3", "core-4");
	await down(2);
	await until(() => /core-3 . core-4 down/.test(document.querySelector(".changes").textContent));
	await fixture.change(Date.now(), false, "core-3", "core-4");
	await down(1);
}

async function awayAndBack() {
	browser.expect(/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_CLOSED/);
	await visit("/network");
	await until(() => /down$/.test(document.querySelector(".map .summary").textContent));
	const { port } = fixture;
	await fixture.goAway();
	await seen(".banner .state.bad");
	assert.match(await text(".banner"), /cannot be reached/);
	await shot("no-answer");
	await fixture.change(Date.now(), true, "core-3", "core-4");
	await fixture.serve(port);
	await seen(".banner", { state: "hidden" });
	await until(() => /2 down$/.test(document.querySelector(".map .summary").textContent));
	await fixture.change(Date.now(), false, "core-3", "core-4");
}

async function chosenLink() {
	const { links } = await ask("/v1/topology");
	await visit(`/network?link=${encodeURIComponent(links[0].id)}`);
	await until(() => /LLDP|subnet/.test(document.querySelector(".side").textContent));
	await page.locator("details.links summary").click();
	assert.equal(await page.locator("details.links tbody tr").count(), links.length);
}

async function devicePage() {
	await visit("/devices");
	const { nodes } = await ask("/v1/topology");
	await until(n => document.querySelectorAll("tbody tr").length >= n, nodes.length);
	await shot("devices");
	const id = fixture ? "core-1" : nodes.find(n => n.interfaces_up > 1).id;
	await page.locator(`tbody a.name:text-is("${id}")`).click();
	await seen(".port-plot canvas");
	await until(() => [...document.querySelectorAll(".port-plot canvas")].every(c => c.width > 100));
	const drawn = await page.evaluate(() => {
		const c = document.querySelector(".port-plot canvas"), pixels = c.getContext("2d").getImageData(0, 0,
			c.width, c.height).data;
		return pixels.filter((v, i) => i % 4 === 3 && v > 0).length;
	});
	assert.ok(drawn > 500, "the plot is empty");
	await seen(".story li");
	await shot("device");
	for (const [key, part, row] of [["2", "interfaces", "tbody tr"], ["3", "routes", "tbody tr"],
		["4", "acls", ".body"], ["5", "neighbours", "tbody tr"], ["6", "values", "tbody tr"]]) {
		await page.keyboard.press(key);
		await page.waitForURL(`**/devices/${id}/${part}`);
		await seen(`.panel ${row}`);
	}
	if (fixture) {
		await visit("/devices/fw-1/acls");
		await seen("tbody tr");
		assert.match(await text("main"), /guest-not-finance/);
		await shot("access-lists");
	}
}

async function refusal() {
	browser.expect(/403 .*revoke/);
	await visit("/devices/fw-1");
	await page.locator("button:text-is('Revoke')").click();
	assert.match(await text("dialog[open]"), /certificate of fw-1 is revoked/,
		"it is not said what will be touched");
	await page.locator("dialog[open] button.main").click();
	await seen("dialog[open] .problem");
	assert.match(await text("dialog[open] .problem"), /Not permitted[^]*operator-runs-devices/);
	await page.locator("dialog[open] button:text-is('Close')").click();
}

async function ledgerProof() {
	await visit("/ledger");
	await seen("tbody tr");
	await shot("ledger");
	const { items } = await ask("/v1/ledger/entries?limit=20");
	const { index } = items.find(e => e.index <= items[0].index - 2) ?? items[0];
	const [download] = await Promise.all([
		page.waitForEvent("download", { timeout: wait }),
		page.locator("tr", { has: page.locator(`a:text-is("#${index}")`) }).locator("button.prove").click(),
	]);
	const proof = readFileSync(await download.path(), "utf8");
	const entry = await ask(`/v1/ledger/entries/${index}`);
	const vkey = await page.evaluate(async () => (await fetch("/v1/ledger/vkey")).text());
	const { size, witnesses } = verifyProof(proof, { leaf: Buffer.from(entry.leaf, "hex"), vkey, index });
	console.log(`# entry ${index} of ${size} proved offline, ${witnesses} cosignatures`);
	await page.locator(`a:text-is("#${index}")`).click();
	await page.waitForURL(`**/ledger/${index}`);
	await seen(".facts");
	const [again] = await Promise.all([page.waitForEvent("download", { timeout: wait }),
		page.locator("button.main").click()]);
	assert.match(again.suggestedFilename(), new RegExp(`${index}.*tlog-proof`));
	await seen(".steps-done .state");
	const said = await page.locator(".steps-done li").allInnerTexts();
	assert.ok(said.some(s => /good the entry leads to the signed root/.test(s)), said.join("; "));
	assert.ok(!said.some(s => /failed/.test(s)), said.join("; "));
	await shot("proof");
}

// A flipped bit in the entry must be seen by the page: its check is not for show.
async function forgedEntry() {
	const { items } = await ask("/v1/ledger/entries?limit=20"), { index } = items.at(-1); // long since signed
	await page.route("**/v1/ledger/entries/*", async route => {
		const response = await route.fetch(), body = await response.json();
		body.record = body.record.replace(/.$/, " ");
		await route.fulfill({ response, json: body });
	});
	await visit(`/ledger/${index}`);
	await page.locator("button.main").click();
	await seen(".steps-done .state.bad");
	await page.unroute("**/v1/ledger/entries/*");
}

async function conformance() {
	await visit("/conformance");
	await seen("a.tile");
	await shot("conformance");
	const { items } = await ask("/v1/conformance?limit=1000");
	assert.equal(await page.locator("a.tile").count(), items.length);
	assert.ok(await page.locator(".tiles h3").count() > 3, "the tiles are not grouped");
	const named = items.find(i => i.verdict === "pass") ?? items[0];
	await page.locator(`a.tile[data-tile="${named.id}"]`).click();
	await seen("dialog.tile-open[open]");
	assert.match(await text("dialog.tile-open"), /verdict[^]*evidence/);
	assert.match(page.url(), /\/conformance\/./);
	await shot("requirement");
	const link = page.url();
	await page.keyboard.press("Escape");
	await page.goto(link);
	await seen("dialog.tile-open[open]");
	assert.ok((await text("dialog.tile-open h1")).includes(named.id), "the link opens another one");
	await page.keyboard.press("Escape");
}

async function otherPages() {
	await visit("/data");
	await seen("tbody tr");
	await page.locator("td button").first().click();
	await seen("dialog.lineage .facts");
	await shot("lineage");
	await page.keyboard.press("Escape");
	await visit("/status");
	await seen("tbody tr");
	assert.match(await text("main"), /repository[^]*sandbox|sandbox[^]*repository/);
	await shot("status");
	await visit("/alerts");
	await shot("alerts");
	await visit("/no/such/page");
	assert.match(await text("main"), /Nothing is here/);
}

async function keyboard() {
	await visit("/network");
	await page.keyboard.press("Tab");
	assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip/);
	await page.keyboard.press("/");
	await seen("dialog.search[open]");
	const { nodes } = await ask("/v1/topology"), id = nodes[0].id;
	await page.keyboard.type(id);
	await until(name => document.querySelector("#found li .text")?.textContent === name, id);
	await shot("search");
	await page.keyboard.press("Enter");
	await page.waitForURL(`**/devices/${id}`);
	await page.keyboard.press("g");
	await page.keyboard.press("l");
	await page.waitForURL("**/ledger");
	await seen("tbody tr");
	await page.keyboard.press("j");
	await page.keyboard.press("j");
	assert.equal(await page.evaluate(() =>
		[...document.querySelectorAll("tbody tr")].indexOf(document.activeElement)), 1);
	await page.keyboard.press("Enter");
	await page.waitForURL("**/ledger/*");
	await page.keyboard.press("?");
	await seen("dialog.help[open]");
	await shot("keyboard");
	await page.keyboard.press("Escape");
	await page.keyboard.press("g");
	await page.keyboard.press("n");
	await seen("#map canvas");
	await until(() => document.getElementById("map")._cyreg?.cy.nodes(".device").length > 1);
	await page.keyboard.press("m");
	await page.keyboard.press("ArrowRight");
	await page.keyboard.press("Enter");
	await until(() => document.querySelector(".ask [name=from]").value !== "");
	await page.keyboard.press("Escape");
	await until(() => document.querySelector(".ask [name=from]").value === "");
}

// WCAG 2.1: 4.5 to 1 for text.
function contrast(a, b) {
	const light = c => {
		const [r, g, bl] = c.match(/\w\w/g).map(x => parseInt(x, 16) / 255).map(v => v <= 0.04045 ? v / 12.92
			: ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
	};
	const [hi, lo] = [light(a), light(b)].sort((x, y) => y - x);
	return (hi + 0.05) / (lo + 0.05);
}

async function lights() {
	await visit("/network");
	const colours = () => page.evaluate(() => Object.fromEntries(["back", "panel", "text", "muted", "ok", "warn",
		"bad", "off"].map(n =>
		[n, getComputedStyle(document.documentElement).getPropertyValue(`--${n}`).trim()])));
	const light = await colours();
	await page.keyboard.press("T");
	await page.keyboard.press("T");
	await until(() => document.documentElement.dataset.theme === "dark");
	const dark = await colours();
	assert.notEqual(light.panel, dark.panel);
	for (const c of [light, dark])
		for (const name of ["text", "muted", "ok", "warn", "bad", "off"])
			for (const on of ["panel", "back"])
				assert.ok(contrast(c[name], c[on]) >= 4.5,
					`${name} on ${on}: ${contrast(c[name], c[on]).toFixed(2)} to 1`);
	await page.reload();
	await until(() => document.documentElement.dataset.theme === "dark");
	await until(() => document.getElementById("map")?._cyreg?.cy.nodes(".device").length > 1);
	await shot("network-dark");
	if (fixture) {
		await visit("/devices/core-1");
		await seen(".port-plot canvas");
		await shot("device-dark");
	}
	await page.keyboard.press("T");
	await until(() => !document.documentElement.dataset.theme);
}

// At 200 % a window of 1440 x 900 has 720 x 450 CSS pixels.
async function twiceAsLarge() {
	await page.setViewportSize({ width: 720, height: 450 });
	const id = (await ask("/v1/topology")).nodes[0].id;
	for (const path of ["/network", "/devices", `/devices/${id}`, `/devices/${id}/interfaces`, "/data", "/ledger",
		"/conformance", "/alerts", "/status"]) {
		await visit(path);
		const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
		assert.ok(wide <= inner, `${path} is ${wide} wide in ${inner}`);
		await shot(`large${path.replaceAll("/", "-")}`);
	}
	await page.setViewportSize({ width: 1440, height: 900 });
}

async function logOut() {
	await visit("/network");
	await page.locator("button:text-is('Log out')").click();
	await seen("dialog[open] #account");
	assert.equal(await page.evaluate(async () => (await fetch("/v1/topology")).status), 401,
		"the session has not ended");
	browser.expect(/401 .*\/v1\/topology/);
}

page = await browser.open();
browser.expect(/401 .*\/v1\/(topology|events)/); // of the log-out
await step("log in, after a refusal in the API's words", logIn);
await step("the map shows what /v1/topology tells", mapAppears);
await step("a packet is traced from two clicks, and its link shows the same", traceByTwoClicks);
await step("a packet between two hosts", packetBetweenHosts);
await step("what cannot be traced is refused in the API's words", refusedTrace);
await step("the slider shows the past and comes back; the map stays where it was", timeSlider);
await step("moments of change are marked and can be stepped through", changesMarked);
if (fixture) {
	await step("a dropped packet names the rule", blockedTrace);
	await step("the way then and now", pathThen);
	await step("a link cut appears without reload", cutLive);
	await step("the server goes away and comes back", awayAndBack);
	await step("a refusal names the policy, after saying what it would touch", refusal);
}
await step("a link that was chosen, and links as a table", chosenLink);
await step("devices, plots, and each part by its key", devicePage);
await step("the ledger's tail; a proof is downloaded, and holds offline and in the page", ledgerProof);
await step("the page notices a forged entry", forgedEntry);
await step("conformance tiles open their evidence", conformance);
await step("data with lineage, status, alerts, and an address that is none", otherPages);
await step("all by keyboard", keyboard);
await step("light and dark, each with enough contrast", lights);
await step("readable at 200 %", twiceAsLarge);
await step("log out", logOut);
await step("no error, no exception, nothing that the policy had to stop", () => assert.deepEqual(browser.troubles,
	[]));
console.log(`1..${number}`);
await browser.close();
await fixture?.close();
process.exit(failed ? 1 : 0);
