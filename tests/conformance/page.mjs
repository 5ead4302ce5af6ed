// SPDX-License-Identifier: Apache-2.0
// The console in a browser: logs in and says, for each line of standard input that is a regular expression, what the
// list of changes and the map's summary say as soon as it matches; without a reload.
//     node page.mjs URL ACCOUNT    the pass phrase is the first line of standard input
import { createInterface } from "node:readline";
import { Browser } from "../console/browser.mjs";

const [url, account] = process.argv.slice(2), wait = 20000;
const browser = new Browser(), page = await browser.open();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;
const say = o => console.log(JSON.stringify(o));

try {
	await page.goto(`${url}/network`);
	await page.fill("#account", account, { timeout: wait });
	await page.fill("#password", await next());
	await page.keyboard.press("Enter");
	await page.locator("#nav .account b").waitFor({ timeout: wait });
	await page.waitForFunction(() => document.getElementById("map")?._cyreg?.cy.nodes(".device").length > 1, null,
		{ timeout: wait });
	say({ ready: true });
	for (let line; (line = await next()) !== undefined;) {
		await page.waitForFunction(p => new RegExp(p).test(document.querySelector(".changes")?.textContent ?? ""), line,
			{ timeout: wait });
		say(await page.evaluate(() => ({ at: Date.now(), summary: document.querySelector(".map .summary").textContent,
			changes: document.querySelector(".changes").innerText.slice(0, 300) })));
	}
} catch (e) {
	say({ failed: String(e.message ?? e).slice(0, 300) });
	process.exitCode = 1;
} finally {
	await browser.close();
}
