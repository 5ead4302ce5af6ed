// SPDX-License-Identifier: Apache-2.0
// An offline verifier of c2sp.org/tlog-proof@v1, for what the console let a person download.
import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts.map(p => Buffer.from(p)))).digest();

// RFC 6962 section 2.1.1, by recursion over the tree's shape.
function rootOf(leaf, index, size, hashes) {
	if (size === 1) {
		assert.equal(hashes.length, 0, "hashes are left over");
		return leaf;
	}
	const k = 2 ** Math.ceil(Math.log2(size) - 1), sibling = Buffer.from(hashes.at(-1) ?? "", "base64");
	assert.equal(sibling.length, 32, "a hash is missing or has not 32 bytes");
	return index < k ? sha256([1], rootOf(leaf, index, k, hashes.slice(0, -1)), sibling)
		: sha256([1], sibling, rootOf(leaf, index - k, size - k, hashes.slice(0, -1)));
}

// Gives the checkpoint's size and how many witnesses cosigned it.
export function verifyProof(text, { leaf, vkey, index }) {
	const [head, ...note] = text.split("\n\n"), lines = head.split("\n");
	assert.equal(lines[0], "c2sp.org/tlog-proof@v1");
	assert.ok(lines.includes(`index ${index}`), `the proof is not of entry ${index}`);
	const hashes = lines.slice(1).filter(l => !/^(index|extra) /.test(l));
	const signed = `${note[0]}\n`, [origin, size, root] = note[0].split("\n");
	assert.equal(rootOf(sha256([0], leaf), index, Number(size), hashes).toString("base64"), root,
		"the entry does not lead to the root");
	const [, name, data] = vkey.trim().match(/^([^+]+)\+[0-9a-f]{8}\+(.*)$/), key = Buffer.from(data, "base64");
	assert.equal(name, origin);
	const signatures = note[1].split("\n").filter(l => l.startsWith("\u2014 ")).map(l => l.split(" "));
	const own = signatures.find(s => s[1] === name);
	assert.ok(own, "the log has not signed");
	const publicKey = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519",
		x: key.subarray(1).toString("base64url") } });
	assert.ok(verify(null, Buffer.from(signed), publicKey, Buffer.from(own[2], "base64").subarray(4)),
		"the log's signature is not good");
	return { size: Number(size), witnesses: signatures.length - 1 };
}
