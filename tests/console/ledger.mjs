// SPDX-License-Identifier: Apache-2.0
// A small ledger for the console's test: real leaves, tree, checkpoint, cosignature and proofs in the forms
// of src/repository/ledger.h and of C2SP, written a second time, so that the two must agree.
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const sha256 = (...parts) => {
	const h = createHash("sha256");
	parts.forEach(p => h.update(p));
	return h.digest();
};

function u64(n) {
	const b = Buffer.alloc(8);
	b.writeBigUInt64BE(BigInt(n));
	return b;
}

class Key {
	constructor(name, type) {
		const { publicKey, privateKey } = generateKeyPairSync("ed25519");
		Object.assign(this, { name, type, privateKey });
		this.raw = Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
		this.id = sha256(name, "\n", Buffer.from([type]), this.raw).subarray(0, 4);
	}
	get vkey() {
		return `${this.name}+${this.id.toString("hex")}+${Buffer.concat([Buffer.from([this.type]), this.raw]).toString("base64")}\n`;
	}
	line(...data) {
		return `\u2014 ${this.name} ${Buffer.concat([this.id, ...data]).toString("base64")}\n`;
	}
}

const split = n => 2 ** Math.ceil(Math.log2(n) - 1);

function root(hashes) {
	if (hashes.length === 0)
		return sha256("");
	if (hashes.length === 1)
		return hashes[0];
	const k = split(hashes.length);
	return sha256(Buffer.from([1]), root(hashes.slice(0, k)), root(hashes.slice(k)));
}

function path(index, hashes) {
	if (hashes.length === 1)
		return [];
	const k = split(hashes.length);
	return index < k ? [...path(index, hashes.slice(0, k)), root(hashes.slice(k))]
		: [...path(index - k, hashes.slice(k)), root(hashes.slice(0, k))];
}

export class Ledger {
	constructor(origin) {
		this.log = new Key(origin, 1);
		this.witness = new Key("witness.partner.example", 4);
		this.entries = [];
		this.hashes = [];
	}
	add(ms, kind, subject, actor, body) {
		const time = new Date(ms).toISOString(), timeNs = BigInt(Math.round(ms)) * 1000000n;
		const text = JSON.stringify({ actor, body, kind, subject, time });
		const salt = randomBytes(32), index = this.entries.length;
		const leaf = Buffer.concat([Buffer.from([1, kind.length]), Buffer.from(kind), u64(timeNs),
			sha256(salt, text)]);
		this.entries.push({ index, time, kind, subject, actor, body, record: text, salt: salt.toString("hex"),
			leaf: leaf.toString("hex"), signed: true });
		this.hashes.push(sha256(Buffer.from([0]), leaf));
		return index;
	}
	checkpoint() {
		const text = `${this.log.name}\n${this.hashes.length}\n${root(this.hashes).toString("base64")}\n`;
		const seconds = Math.floor(Date.now() / 1000) - 2;
		const cosigned = sign(null, Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`),
			this.witness.privateKey);
		return `${text}\n${this.log.line(sign(null, Buffer.from(text), this.log.privateKey))}${this.witness.line(u64(seconds), cosigned)}`;
	}
	proof(index) {
		const hashes = path(index, this.hashes).map(x => x.toString("base64"));
		return ["c2sp.org/tlog-proof@v1", `index ${index}`, ...hashes, "", this.checkpoint()].join("\n");
	}
}
