// SPDX-License-Identifier: Apache-2.0
// Before the first paint, so that nobody's dark room is lit for a moment. Not a module: it must not wait.
(function () {
	"use strict";
	var theme = null;
	try {
		theme = localStorage.getItem("gemel.theme");
	} catch (e) {
		// storage is forbidden: the system's choice it is
	}
	if (theme === "light" || theme === "dark")
		document.documentElement.dataset.theme = theme;
})();
