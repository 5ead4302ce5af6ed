// SPDX-License-Identifier: Apache-2.0
// Proving an entry. The file that is handed out is c2sp.org/tlog-proof@v1, which any public verifier takes;
// and the browser checks it too: that the entry's leaf, hashed up the path, gives the root that the ledger
// signed. RFC 6962 section 2.1.1, c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature.
import { getText } from "./api.mjs";

const bytesOf = base64 => Uint8Array.from(atob(base64), c => c.charCodeAt(0));
const sha256 = async bytes => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const equal = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

function join(...parts) {
	const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
	let at = 0;
	for (const p of parts) {
		all.set(p, at);
		at += p.length;
	}
	return all;
}

// origin, size, root; signatures: {name, time (of a cosignature, seconds) or null, bytes}
export function parseNote(note) {
	const split = note.indexOf("\n\n");
	const text = note.slice(0, split + 1), [origin, size, root] = text.split("\n");
	const signatures = note.slice(split + 2).split("\n").filter(line => line.startsWith("\u2014 ")).map(line => {
		const [, name, data] = line.split(" "), bytes = bytesOf(data);
		const time = bytes.length === 76 ? Number(new DataView(bytes.buffer).getBigUint64(4)) : null;
		return { name, time, bytes };
	});
	return { origin, size: Number(size), root, text, signatures };
}

export function parseProof(text) {
	const lines = text.split("\n"), blank = lines.indexOf("");
	if (lines[0] !== "c2sp.org/tlog-proof@v1" || blank < 0)
		throw new Error("it is not a proof of the form c2sp.org/tlog-proof@v1");
	const index = lines.slice(1, blank).find(l => l.startsWith("index "));
	const hashes = lines.slice(1, blank).filter(l => !/^(index|extra) /.test(l)).map(bytesOf);
	return { index: Number(index?.slice(6)), hashes, note: parseNote(lines.slice(blank + 1).join("\n")) };
}

// The root that a leaf's hash and its path give. RFC 9162 section 2.1.3.2.
async function rootOf(leaf, { index, hashes, note }) {
	let hash = leaf, fn = index, sn = note.size - 1;
	for (const p of hashes) {
		if (sn === 0)
			return null;
		if (fn % 2 === 1 || fn === sn) {
			hash = await sha256(join([1], p, hash));
			while (fn % 2 === 0 && fn !== 0) {
				fn = Math.floor(fn / 2);
				sn = Math.floor(sn / 2);
			}
		} else {
			hash = await sha256(join([1], hash, p));
		}
		fn = Math.floor(fn / 2);
		sn = Math.floor(sn / 2);
	}
	return sn === 0 ? hash : null;
}

const leafHash = leaf => sha256(join([0], leaf));

// A leaf is: version 1, kind with its length, time (8 bytes), SHA-256(salt, record). src/repository/ledger.h.
export async function isCommitment(leaf, kind, salt, record) {
	const name = new TextEncoder().encode(kind), head = join([1, name.length], name);
	return leaf.length === head.length + 40 && equal(leaf.slice(0, head.length), head) &&
		equal(leaf.slice(head.length + 8), await sha256(join(salt, record)));
}

// "NAME+KEYID+BASE64(type, key)": {name, type, key}
function parseVkey(vkey) {
	const [, name, data] = vkey.trim().match(/^([^+]+)\+[0-9a-f]+\+(.*)$/) ?? [];
	const bytes = bytesOf(data ?? "");
	return { name, type: bytes[0], key: bytes.slice(1) };
}

// true, false, or null when this browser has no Ed25519.
async function signed(note, vkey) {
	const { name, type, key } = parseVkey(vkey);
	const line = note.signatures.find(s => s.name === name && s.time === null);
	if (!line || type !== 1)
		return false;
	try {
		const k = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
		return await crypto.subtle.verify("Ed25519", k, line.bytes.slice(4), new TextEncoder().encode(note.text));
	} catch {
		return null;
	}
}

// steps: [{what, good (true, false, null: could not be checked here), why}]
export async function checkProof(text, { leaf, vkey }) {
	const proof = parseProof(text), steps = [];
	const hash = await rootOf(await leafHash(leaf), proof);
	const fits = hash !== null && equal(hash, bytesOf(proof.note.root));
	steps.push({ what: "the entry leads to the signed root", good: fits,
		why: `entry ${proof.index} of ${proof.note.size}, ${proof.hashes.length} hashes up` });
	const key = await signed(proof.note, vkey);
	steps.push({ what: "the ledger's key signed that root", good: key, why: key === null
		? "this browser cannot check Ed25519" : proof.note.origin });
	return { proof, steps };
}

export function download(name, text, type = "text/plain") {
	const url = URL.createObjectURL(new Blob([text], { type }));
	const a = Object.assign(document.createElement("a"), { href: url, download: name });
	a.click();
	setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export const proofText = index => getText(`/v1/ledger/entries/${index}/proof`, { past: false });
export const proofName = index => `gemel-entry-${index}.tlog-proof`;
