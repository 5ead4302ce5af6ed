#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Builds console/dist from console/src and two libraries. The console is served as it is written: no
// bundler stands between the source that is read and the code that runs. The build copies, joins the
// style sheets, tells the page which modules to fetch at once (so that one round trip brings them all),
// and refuses what the server's content security policy would refuse later in front of a person.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const from = join(here, "src"), to = join(here, "dist"), modules = join(here, "node_modules");

const libraries = [
	["cytoscape/dist/cytoscape.esm.min.mjs", "lib/cytoscape.mjs"],
	["cytoscape/LICENSE", "lib/cytoscape.license.txt"],
	["uplot/dist/uPlot.esm.js", "lib/uplot.mjs"],
];
const styles = [join(modules, "uplot/dist/uPlot.min.css"), ...["base", "parts", "pages"].map(name => join(from,
	`style/${name}.css`))];

function files(folder) {
	return readdirSync(folder, { withFileTypes: true }).flatMap(entry =>
		entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]);
}

// What the first page needs. Pages and libraries that are imported when they are opened stay out.
function wantedAtOnce(module, seen = new Set()) {
	if (seen.has(module))
		return seen;
	seen.add(module);
	for (const [, name] of readFileSync(module, "utf8").matchAll(/^(?:import|export) .*?from "(\.[^"]+)";$/gm))
		wantedAtOnce(join(dirname(module), name), seen);
	return seen;
}

function refuseInline(html) {
	const wrong = html.match(/<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|javascript:/i);
	if (wrong)
		throw new Error(`index.html: "${wrong[0]}" is forbidden by the content security policy`);
}

rmSync(to, { recursive: true, force: true });
cpSync(from, to, { recursive: true });
mkdirSync(join(to, "lib"), { recursive: true });
try {
	for (const [source, target] of libraries)
		cpSync(join(modules, source), join(to, target));
	writeFileSync(join(to, "style.css"), styles.map(file => readFileSync(file, "utf8")).join("\n"));
} catch (e) {
	console.error(`console: ${e.message}\nconsole: are the modules there? npm ci --ignore-scripts (in ${here})`);
	process.exit(1);
}
rmSync(join(to, "style"), { recursive: true });
const page = join(to, "index.html");
const html = readFileSync(page, "utf8");
refuseInline(html);
const preload = [...wantedAtOnce(join(to, "js/main.mjs"))]
	.map(file => `<link rel="modulepreload" href="/${relative(to, file)}">`);
writeFileSync(page, html.replace("<!-- modules -->", preload.join("\n")));

const all = files(to);
const bytes = all.reduce((sum, file) => sum + readFileSync(file).length, 0);
console.log(`console: ${all.length} files, ${Math.ceil(bytes / 1024)} KiB, in ${relative(process.cwd(), to) || "."}`);
