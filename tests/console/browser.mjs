// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium with a fresh profile, and what went wrong in it: console errors, exceptions, and what
// the content security policy had to stop.
import { chromium } from "playwright-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
	"--disable-background-networking",
	"--disable-component-update", "--disable-sync"];

export class Browser {
	constructor() {
		this.troubles = [];
		this.expected = [];
	}

	async open({ width = 1440, height = 900, scale = 1, scheme = "light" } = {}) {
		this.folder = mkdtempSync(join(tmpdir(), "gemel-console-"));
		this.context = await chromium.launchPersistentContext(this.folder, {
			executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args,
				ignoreHTTPSErrors: true, acceptDownloads: true,
			viewport: { width, height }, deviceScaleFactor: scale, colorScheme: scheme,
		});
		await this.context.addInitScript(() => {
			addEventListener("securitypolicyviolation", e =>
				console.error(`policy violated: ${e.violatedDirective} by ${e.blockedURI || e.sourceFile}:${e.lineNumber}`));
		});
		this.page = this.context.pages()[0] ?? await this.context.newPage();
		this.page.on("console", m => {
			if (["error", "warning"].includes(m.type()))
				this.trouble(`${m.type()}: ${m.text()} ${m.location().url}`);
		});
		this.page.on("pageerror", e => this.trouble(`exception: ${e.stack ?? e.message}`));
		return this.page;
	}

	// A refusal that a step provokes on purpose is not a trouble.
	expect(pattern) {
		this.expected.push(pattern);
	}

	trouble(text) {
		if (!this.expected.some(pattern => pattern.test(text)))
			this.troubles.push(text);
	}

	async close() {
		await this.context?.close();
		rmSync(this.folder, { recursive: true, force: true });
	}
}
