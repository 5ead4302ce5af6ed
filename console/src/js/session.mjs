// SPDX-License-Identifier: Apache-2.0
// Who is logged in, and the log-in dialogue. The token lives in a cookie that scripts cannot read; what is
// known here is a name. A session that ends while a page is open is asked for again over that page:
// after it, everything is where it was.
import { call, get, post, whenLoggedOut } from "./api.mjs";
import { fill, h } from "./dom.mjs";
import { startEvents, stopEvents } from "./events.mjs";
import { problemBox } from "./panel.mjs";

let dialog = null, onChange = () => {};
export const session = { account: null, roles: [], until: null, initial: false };

function take(body) {
	session.account = body.account ?? body.name ?? null;
	session.roles = body.roles ?? [];
	session.until = body.until ?? null;
	session.initial = body.initial_password === true;
	onChange();
	startEvents();
}

export async function whoami() {
	try {
		take((await get("/v1/sessions/current", { past: false })).body);
		return true;
	} catch (problem) {
		if (problem.status === 401)
			return false;
		onChange();
		startEvents(); // management is away for a moment; the rest may well be there
		return true;
	}
}

function form(reason, done) {
	const trouble = h("div", {}, reason);
	const account = h("input", { id: "account", name: "account", autocomplete: "username", required: true,
		autocapitalize: "none", spellcheck: "false", maxlength: "64", value: session.account ?? "" });
	const password = h("input", { id: "password", name: "password", type: "password", required: true,
		autocomplete: "current-password", maxlength: "1024" });
	const button = h("button", { type: "submit", class: "main" }, "Log in");
	async function submit(event) {
		event.preventDefault();
		button.disabled = true;
		try {
			const body = await post("/v1/sessions", { account: account.value, password: password.value });
			password.value = "";
			take({ account: account.value, ...body });
			done();
		} catch (problem) {
			fill(trouble, problemBox(problem));
			password.select();
		} finally {
			button.disabled = false;
		}
	}
	return h("form", { class: "login", method: "post", action: "/login", onsubmit: submit },
		h("h1", {}, "Gemel"),
		h("p", { class: "where" }, `The twin at ${location.host}`), trouble,
		h("label", { for: "account" }, "Account"), account,
		h("label", { for: "password" }, "Pass phrase"), password, button);
}

function ask(problem) {
	if (dialog?.open)
		return;
	const reason = problem && session.account ? problemBox(problem) : null;
	dialog = h("dialog", { class: "login-dialog", "aria-label": "Log in", oncancel: e => e.preventDefault() },
		form(reason, () => {
			dialog.close();
			dialog.remove();
			dispatchEvent(new Event("gemel:login"));
		}));
	document.body.append(dialog);
	dialog.showModal();
	dialog.querySelector(session.account ? "#password" : "#account").focus();
}

export async function logout() {
	try {
		await call("DELETE", "/v1/sessions/current");
	} catch {
		// whatever was said: here it is over
	}
	stopEvents();
	session.account = null;
	location.assign("/");
}

export function startSession(changed) {
	onChange = changed;
	whenLoggedOut(problem => {
		stopEvents();
		ask(problem);
	});
}
