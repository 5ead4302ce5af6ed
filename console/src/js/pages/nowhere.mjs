// SPDX-License-Identifier: Apache-2.0
import { h } from "../dom.mjs";
import { link } from "../router.mjs";

export const title = () => "Nothing here";

export function open(outlet) {
	outlet.append(h("section", { class: "panel" }, h("header", {}, h("h2", {}, "Nothing is here")),
		h("p", {}, "No page of the console has the address ", h("code", {}, location.pathname), ". ",
			link("/network", "To the network"), ", or press ", h("kbd", {}, "/"), " to search.")));
}
