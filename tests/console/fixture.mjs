// SPDX-License-Identifier: Apache-2.0
// A server for the console's test: the console's files with the headers of src/northbound/local.c, and the
// API as the processes answer it. Topology, traces, device states and checks come from the real engine
// (twin.c), the ledger is a real tree with real proofs; the rest is told in the shapes of the sources.
//     node fixture.mjs CONSOLE_TWIN [PORT]     serves it for looking at; log in as operator
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { randomBytes } from "node:crypto";
import { Ledger } from "./ledger.mjs";
import { Twin } from "./twin.mjs";
import * as told from "./told.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "../../console/dist");
export const account = "operator", password = "correct horse battery staple";

const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8" };

// Word for word what local.c sends: the console must live with it.
const fileHeaders = {
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
	"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
};

class Refusal extends Error {
	constructor(status, title, detail, fix, decision) {
		super(title);
		this.status = status;
		this.body = { type: `urn:gemel:problem:${status}`, title, status, detail, fix,
			...(decision && { decision }) };
	}
}

const refusalOf = answer => {
	const status = { "not-found": 404, usage: 400, limit: 429,
		conflict: 409 }[answer.code.toLowerCase().replace("_", "-")] ?? 500;
	return new Refusal(status, { 404: "Not found", 400: "The request is not right" }[status] ?? "Failed",
		answer.problem,
		status === 404 ? "Look at the list of devices." : "See /v1/openapi.json for what is possible.");
};

export class Fixture {
	constructor(program) {
		this.program = program;
		this.start = Date.now();
		this.ledger = new Ledger("gemel.example/campus");
		this.sessions = new Set();
		this.streams = new Set();
		this.events = [];
		this.nextEvent = this.start * 1000;
		this.pasts = new Map();
		this.revision = 48211;
		this.cuts = []; // {ms, down, a, b}
		this.devices = told.devices(this.start);
	}

	async open(port = 0) {
		this.live = new Twin(this.program, this.start - 7200e3);
		await this.live.say("count", "600");
		for (const [minutes, down, a, b] of told.history)
			await this.change(this.start - minutes * 60e3, down, a, b);
		told.record(this, this.start);
		await this.live.time(Date.now() - 2000);
		await this.live.say("count", "2");
		this.ticked = Date.now();
		this.timer = setInterval(() => this.tick(), 2000);
		await this.serve(port);
		return this;
	}

	async serve(port) {
		this.server = createServer((q, r) => this.answer(q, r).catch(e => this.refuse(r, e)));
		await new Promise(resolve => this.server.listen(port, "127.0.0.1", resolve));
		this.port = this.server.address().port;
		this.url = `http://127.0.0.1:${this.port}`;
	}

	// As when northbound is killed.
	async goAway() {
		this.streams.forEach(s => s.response.destroy());
		this.server.closeAllConnections();
		await new Promise(resolve => this.server.close(resolve));
	}

	async close() {
		clearInterval(this.timer);
		await this.goAway();
		[this.live, ...this.pasts.values()].forEach(t => t.end());
	}

	async tick() {
		await this.live.say("count", String((Date.now() - this.ticked) / 1000));
		this.ticked = Date.now();
		this.revision += 37;
	}

	// --- what happens

	async change(ms, down, a, b) {
		await this.live.time(ms);
		await this.live.say(down ? "cut" : "heal", a, b);
		this.cuts.push({ ms, down, a, b });
		const link = (await this.live.ask("topology")).links.find(l => [l.a.device,
			l.b.device].sort().join() === [a, b].sort().join());
		this.event(ms, `topology.link.${down ? "down" : "up"}`, link.id, {
			a: link.a, b: link.b, before: down ? "up" : "down", after: down ? "down" : "up",
				revision: ++this.revision,
			time: new Date(ms).toISOString(), delay_ms: 3.4 });
	}

	event(ms, type, subject, data) {
		const id = String(this.nextEvent++);
		const event = { id, text: `id: ${id}\ndata: ${JSON.stringify({ specversion: "1.0", id, source: "urn:gemel:process:models", type, subject,
			time: new Date(ms).toISOString(), gemelclass: "internal", data })}\n\n` };
		this.events.push(event);
		for (const s of this.streams)
			s.response.write(event.text);
	}

	record(ms, kind, subject, actor, body) {
		const index = this.ledger.add(ms, kind, subject, actor, body);
		this.event(ms, "ledger.appended", subject, { index, kind, size: index + 1 });
		return index;
	}

	// The twin as it was: another engine that is told only what had happened by then.
	async twinAt(at) {
		if (at === null)
			return this.live;
		const known = this.pasts.get(at);
		if (known)
			return known;
		const twin = new Twin(this.program, this.start - 7200e3);
		this.pasts.set(at, twin);
		twin.say("count", "600");
		for (const c of this.cuts.filter(c => c.ms <= at)) {
			twin.time(c.ms);
			twin.say(c.down ? "cut" : "heal", c.a, c.b);
		}
		twin.time(at - 4000);
		twin.say("count", "2"); // a rate needs two
		await twin.say("count", "2");
		if (this.pasts.size > 12) {
			const [oldest, old] = this.pasts.entries().next().value;
			old.end();
			this.pasts.delete(oldest);
		}
		return twin;
	}

	stamp(body, at) {
		const now = Date.now();
		return { ...body, as_of: new Date(at ?? now - 40).toISOString(), age_ms: at === null ? 40 : now - at,
			revision: at === null ? this.revision : this.revision - Math.round((now - at) / 55) };
	}

	// --- HTTP

	refuse(response, e) {
		if (!(e instanceof Refusal))
			console.error(e);
		const body = e.body ?? { title: "Failed", status: 500, detail: String(e) };
		response.writeHead(body.status, { "Content-Type": "application/problem+json",
			"Cache-Control": "no-store" });
		response.end(JSON.stringify(body));
	}

	file(path, response) {
		const name = normalize(path === "/" ? "/index.html" : path);
		let bytes = null, type = types[extname(name)];
		try {
			bytes = type && readFileSync(join(dist, name));
		} catch {
			// an object's address
		}
		if (!bytes && !name.split("/").at(-1).includes(".")) {
			bytes = readFileSync(join(dist, "index.html"));
			type = types[".html"];
		}
		if (!bytes)
			throw new Refusal(404, "Not found", `${path} is not there`);
		response.writeHead(200, { ...fileHeaders, "Content-Type": type });
		response.end(bytes);
	}

	async answer(request, response) {
		const url = new URL(request.url, this.url), q = url.searchParams, changes = request.method !== "GET";
		if (!/^\/(v1|restconf|metrics|healthz)([/?:]|$)/.test(url.pathname))
			return this.file(url.pathname, response);
		if (changes && request.headers["x-gemel"] !== "1")
			throw new Refusal(403, "Not permitted",
				"the header \"X-Gemel: 1\" is missing on a call that changes something");
		let body = "";
		for await (const part of request)
			body += part;
		const token = request.headers.cookie?.match(/gemel_session=([^;]+)/)?.[1];
		if (url.pathname === "/v1/sessions" && changes)
			return this.login(JSON.parse(body), response);
		if (url.pathname === "/healthz")
			return this.json(response, { status: "ok", away: [] });
		if (!this.sessions.has(token))
			throw new Refusal(401, "Not logged in", "this needs a session", "Log in.");
		if (request.method === "DELETE" && url.pathname === "/v1/sessions/current") {
			this.sessions.delete(token);
			return this.json(response, {});
		}
		if (url.pathname === "/v1/events")
			return this.stream(q, response);
		const at = q.has("at") ? Date.parse(q.get("at")) : null;
		if (at !== null && !(at <= Date.now()))
			throw new Refusal(400, "The request is not right", `at: ${q.get("at")} is in the future`);
		const text = this.ledgerText(url.pathname);
		if (text !== null) {
			response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" });
			return response.end(text);
		}
		return this.json(response, changes ? await this.act(url.pathname)
			: await this.get(decodeURIComponent(url.pathname), q, at));
	}

	json(response, body) {
		response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
		response.end(JSON.stringify(body));
	}

	login(body, response) {
		if (body.account !== account || body.password !== password)
			throw new Refusal(401, "Not logged in", "the account or the pass phrase is wrong",
				"Try again; after five wrong ones the account waits.");
		const token = randomBytes(32).toString("hex");
		this.sessions.add(token);
		response.setHeader("Set-Cookie", `gemel_session=${token}; Path=/; HttpOnly; SameSite=Strict`);
		return this.json(response, { account, roles: ["operator"] });
	}

	stream(q, response) {
		const last = q.get("last_event_id"), oldest = Number(this.events[0]?.id ?? this.nextEvent);
		response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
		response.write("retry: 1000\n: gemel\n\n");
		if (last !== null && Number(last) + 1 < oldest)
			response.write(`id: ${oldest - 1}\nevent: gap\ndata: {"after":"${last}","resumed_after":"${oldest - 1}","fix":"Read the present state again."}\n\n`);
		for (const e of this.events)
			if (last !== null && Number(e.id) > Number(last))
				response.write(e.text);
		const entry = { response };
		this.streams.add(entry);
		response.on("close", () => this.streams.delete(entry));
	}

	ledgerText(path) {
		const proof = path.match(/^\/v1\/ledger\/entries\/(\d+)\/proof$/);
		if (path === "/v1/ledger/checkpoint")
			return this.ledger.checkpoint();
		if (path === "/v1/ledger/vkey")
			return this.ledger.log.vkey;
		if (!proof)
			return null;
		if (Number(proof[1]) >= this.ledger.entries.length)
			throw new Refusal(404, "Not found", `the ledger has no entry ${proof[1]}`);
		return this.ledger.proof(Number(proof[1]));
	}

	async act(path) {
		const [, id, verb] = path.match(/^\/v1\/devices\/([^/:]+):(\w+)$/) ?? [];
		if (verb === "revoke")
			throw new Refusal(403, "Not permitted", `${account} may not delete Device ${id}`,
				"Ask a security officer.",
				{ policy: "operator-runs-devices", fact: "revoking needs the role security-officer" });
		if (verb !== "test")
			throw new Refusal(404, "Not found", "no such operation here");
		this.record(Date.now(), "device.tested", id, account, { passed: true });
		return { id, state: "production" };
	}

	async get(path, q, at) {
		const device = path.match(/^\/v1\/devices\/([^/]+)(\/state)?$/),
			twin = /topology|paths|checks|\/state$/.test(path) ? await this.twinAt(at) : null;
		const asked = async (...words) => {
			const answer = await twin.ask(...words);
			if (answer.problem)
				throw refusalOf(answer);
			return this.stamp(answer, at);
		};
		if (path === "/v1/topology")
			return asked("topology");
		if (path === "/v1/forwarding/checks")
			return asked("checks");
		if (path === "/v1/paths:trace")
			return asked("trace", q.get("from"), q.get("to"), q.get("source"), q.get("protocol"),
				q.get("source_port"), q.get("destination_port"));
		if (device?.[2])
			return asked("device", device[1]);
		if (path === "/v1/data:series")
			return told.series(this, q, at);
		if (path === "/v1/alerts" && q.has("fields")) {
			const list = (await told.answer(this, path, q, at)).items, names = q.get("fields").split(",");
			return this.stamp({ items: list.map(a => Object.fromEntries(names.map(n => [n, a[n]]))), next: null },
				at);
		}
		const entry = path.match(/^\/v1\/ledger\/entries\/(\d+)$/);
		if (entry && !this.ledger.entries[entry[1]])
			throw new Refusal(404, "Not found", `the ledger has no entry ${entry[1]}`);
		const answer = entry ? this.ledger.entries[entry[1]] : await told.answer(this, path, q, at, device?.[1]);
		if (!answer)
			throw new Refusal(404, "Not found", `${path} is not there`,
				"See /v1/openapi.json for what is possible.");
		return this.stamp(answer, at);
	}
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const fixture = await new Fixture(process.argv[2]).open(Number(process.argv[3] ?? 0));
	console.log(`${fixture.url}   account ${account}, pass phrase "${password}"`);
}
