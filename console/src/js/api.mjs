// SPDX-License-Identifier: Apache-2.0
// The public API, on the origin that the page came from. What it refuses is thrown as a Problem with
// the API's own words (RFC 9457); what it answers carries how old it is.
import { moment } from "./moment.mjs";

export class Problem extends Error {
	constructor({ title, detail, fix, decision, status }) {
		super(title);
		this.title = title || "Failed";
		this.detail = detail || "";
		this.fix = fix || "";
		this.decision = decision ?? null;
		this.status = status ?? 0;
	}
}

const away = new Problem({
	title: "No answer",
	detail: `${location.host} cannot be reached from this browser.`,
	fix: "What is shown is the last that came. It is asked again by itself.",
});

// Called when a session is missing or over.
let onLogin = () => {};
export function whenLoggedOut(f) {
	onLogin = f;
}

// The twin's clock, as seen from here: ages must not depend on this machine's clock being right.
let ahead = 0, aheadKnown = false;
export function serverNow() {
	return Date.now() + ahead;
}

function learnClock(body) {
	const asOf = Date.parse(body?.as_of);
	if (moment.at !== null || !Number.isFinite(asOf) || !Number.isFinite(body.age_ms))
		return;
	const seen = asOf + body.age_ms - Date.now();
	ahead = aheadKnown ? ahead + (seen - ahead) / 8 : seen;
	aheadKnown = true;
}

export function target(path, query = {}, past = true) {
	const words = new URLSearchParams();
	for (const [key, value] of Object.entries(query))
		if (value !== undefined && value !== null && value !== "")
			words.set(key, value);
	if (past && moment.at !== null)
		words.set("at", new Date(moment.at).toISOString());
	const text = words.toString();
	return text ? `${path}?${text}` : path;
}

async function problemOf(response) {
	let body = null;
	try {
		body = await response.json();
	} catch {
		// not the API's words; the status must do
	}
	return new Problem({ title: `Status ${response.status}`, ...body, status: response.status });
}

export async function call(method, path, { query, body, past = true, signal, accept = "application/json" } = {}) {
	const headers = { Accept: `${accept}, application/problem+json` };
	if (method !== "GET")
		headers["X-Gemel"] = "1"; // what another site's form cannot send
	if (body !== undefined)
		headers["Content-Type"] = "application/json";
	let response;
	try {
		response = await fetch(target(path, query, past && method === "GET"), {
			method, headers, signal, cache: "no-store", credentials: "same-origin",
			body: body === undefined ? undefined : JSON.stringify(body),
		});
	} catch (e) {
		if (e.name === "AbortError")
			throw e;
		throw away;
	}
	if (response.ok)
		return response;
	const problem = await problemOf(response);
	if (response.status === 401 && path !== "/v1/sessions")
		onLogin(problem);
	throw problem;
}

// A JSON answer; `came` is when, on this machine's steady clock.
export async function get(path, options) {
	const response = await call("GET", path, options);
	const body = await response.json();
	learnClock(body);
	return { body, came: performance.now() };
}

export async function getText(path, options) {
	return (await call("GET", path, { accept: "text/plain", ...options })).text();
}

export async function post(path, body) {
	const response = await call("POST", path, { body: body ?? {} });
	return response.status === 204 ? {} : response.json();
}

// The list in an answer, whatever its name is.
export function itemsOf(body) {
	if (Array.isArray(body))
		return body;
	if (Array.isArray(body?.items))
		return body.items;
	return Object.values(body ?? {}).find(v => Array.isArray(v) && v.every(x => x && typeof x === "object")) ?? [];
}
