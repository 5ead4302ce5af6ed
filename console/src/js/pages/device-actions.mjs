// SPDX-License-Identifier: Apache-2.0
// What can be done to a device. Before anything is done it is said what it will touch.
import { fill, h, say } from "../dom.mjs";
import { post } from "../api.mjs";
import { moment } from "../moment.mjs";
import { plain, words } from "../format.mjs";
import { facts, problemBox } from "../panel.mjs";
import { encode } from "../router.mjs";

const all = [
	{ verb: "enrol", name: "New token", touches: id =>
		`A token is made with which ${id} can be enrolled once within one hour. It is shown once. ` +
		"A token made before stays good." },
	{ verb: "test", name: "Test", touches: id =>
		`${id} is asked for fresh evidence and tested. If it passes it rises to its next state; if it fails, ` +
		"only its health data is collected." },
	{ verb: "quarantine", name: "Quarantine", reason: true, touches: id =>
		`Collection from ${id} is reduced to its health data, and nothing is sent to it, until it is tested ` +
		"again. The map keeps its last state and calls it stale." },
	{ verb: "revoke", name: "Revoke", reason: true, touches: id =>
		`The certificate of ${id} is revoked and its sessions end. It must be enrolled anew with a new token.` },
];

function confirm(id, action, done) {
	const trouble = h("div", {}), result = h("div", {});
	const reason = h("input", { type: "text", id: "reason", maxlength: "256", placeholder: "why, for the ledger" });
	const go = h("button", { type: "submit", class: "main" }, `${action.name}: ${id}`);
	const dialog = h("dialog", {
		class: "confirm", "aria-label": `${action.name} ${id}`, onclose: () => dialog.remove() },
		h("form", {
			async onsubmit(event) {
				event.preventDefault();
				go.disabled = true;
				try {
					const said = action.reason && reason.value ? { reason: reason.value } : {};
					const body = await post(`/v1/devices/${encode(id)}:${action.verb}`, said);
					fill(trouble);
					go.hidden = true;
					fill(result, h("p", {}, "Done."), facts(Object.entries(body).map(([k, v]) =>
						[words(k), k === "token" ? h("code", { class: "token" }, v) : plain(v)])));
					say("Done");
					done();
				} catch (problem) {
					fill(trouble, problemBox(problem));
					go.disabled = false;
				}
			},
		},
		h("h1", {}, `${action.name}: ${id}`), h("p", {}, action.touches(id)),
		action.reason && [h("label", { htmlFor: "reason" }, "Reason"), reason], trouble, result,
		h("div", { class: "buttons" }, go, h("button", { type: "button", onclick: () => dialog.close() },
			"Close"))));
	document.body.append(dialog);
	dialog.showModal();
}

export function actions(id, device, done) {
	if (moment.at !== null)
		return h("p", { class: "muted" }, "In the past nothing can be done.");
	return h("div", { class: "buttons" }, all.map(action =>
		h("button", { type: "button", title: action.touches(id), onclick: () => confirm(id, action, done) },
			action.name)));
}
