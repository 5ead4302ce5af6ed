// SPDX-License-Identifier: Apache-2.0
// The scheme of src/lib/abe/abe.h on @noble/curves: encapsulation, decapsulation with its check, and
// sealed files. Written from the description there, for tests only: nothing is in constant time.
import { bls12_381 } from '@noble/curves/bls12-381';
import { expand_message_xmd } from '@noble/curves/abstract/hash-to-curve';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2';
import { createCipheriv, createDecipheriv, hkdfSync, createHmac, randomBytes } from 'node:crypto';
import { coefficients, matrix, readAttributes, readPolicy, sha256 } from './policy.mjs';

const { Fr, Fp12 } = bls12_381.fields;
const G1 = bls12_381.G1.Point ?? bls12_381.G1.ProjectivePoint;
const G2 = bls12_381.G2.Point ?? bls12_381.G2.ProjectivePoint;
const hash = (message, DST) => G1.fromAffine(bls12_381.G1.hashToCurve(message, { DST }).toAffine());
const H = (id) => hash(id, 'GEMEL-ABE-V01-ATTRIBUTE-with-BLS12381G1_XMD:SHA-256_SSWU_RO_');
const blind = hash(Buffer.from('h_b'), 'GEMEL-ABE-V01-BLIND-with-BLS12381G1_XMD:SHA-256_SSWU_RO_');
const coinTag = 'GEMEL-ABE-V01-COIN-with-expander-SHA256-128';
const suite = Buffer.from([0, 1]);
const header = (kind) => Buffer.concat([Buffer.from('GABE'), Buffer.from([kind]), suite]);
const hkdf = (salt, ikm, info, n) => Buffer.from(hkdfSync('sha256', ikm, Buffer.from(salt), Buffer.from(info), n));
const number = (bytes) => BigInt('0x' + Buffer.from(bytes).toString('hex'));
const pair = (p, q) => bls12_381.pairing(p, q);

// --- objects

class Bytes {
  constructor(b) { this.b = Buffer.from(b); this.at = 0; }
  take(n) {
    if (this.at + n > this.b.length) throw new Error('too short');
    this.at += n;
    return this.b.subarray(this.at - n, this.at);
  }
  u16() { return this.take(2).readUInt16BE(); }
  head(kind) { if (!this.take(7).equals(header(kind))) throw new Error('another object'); }
  g1() { return point(G1, this.take(48)); }
  g2() { return point(G2, this.take(96)); }
  end() { if (this.at !== this.b.length) throw new Error('bytes behind'); }
}

function point(G, bytes) {
  const p = G.fromHex(Buffer.from(bytes).toString('hex'));
  p.assertValidity();
  if (p.equals(G.ZERO) || !p.isTorsionFree()) throw new Error('point not allowed');
  return p;
}

export function readPublic(bytes) {
  const r = new Bytes(bytes);
  r.head(1);
  const a = Fp12.fromBytes(Uint8Array.from(r.take(576)));
  r.end();
  return { a, hash: sha256(bytes) };
}

export function readKey(bytes) {
  const r = new Bytes(bytes);
  r.head(3);
  const key = { publicHash: r.take(32), attributes: r.take(r.u16()).toString('utf8') };
  key.sk1 = r.g2();
  key.sk3 = r.g1();
  key.sk2 = new Map(readAttributes(key.attributes).map((id) => [id.toString('hex'), r.g1()]));
  r.end();
  return key;
}

// --- encapsulation from the coins m

function coin(m, context, index) {
  const i = Buffer.alloc(4);
  i.writeUInt32BE(index);
  const message = Uint8Array.from(Buffer.concat([m, context, i]));
  return Fr.create(number(expand_message_xmd(message, Buffer.from(coinTag), 48, nobleSha256)));
}

const contextOf = (pub, text) => sha256('gemel abe context v1\n', suite, pub.hash, text);
const maskOf = (d, context) => hkdf('gemel abe mask v1', Buffer.concat([Fp12.toBytes(d), context]), 'mask', 32);
const xor = (a, b) => Buffer.from(a.map((x, i) => x ^ b[i]));
const sharedOf = (m, ciphertext) => hkdf('gemel abe key v1', Buffer.concat([m, sha256(ciphertext)]), 'key', 32);

export function encapsulate(pub, text, m = randomBytes(32)) {
  const policy = readPolicy(text);
  const context = contextOf(pub, text);
  const v = Array.from({ length: policy.columns }, (_, i) => coin(m, context, i));
  const spread = Array.from({ length: policy.repeat }, (_, j) => coin(m, context, 2 ** 31 + j));
  const rows = matrix(policy, Fr).map((row, i) => {
    const share = row.reduce((sum, x, c) => Fr.add(sum, Fr.mul(x, v[c])), 0n);
    return blind.multiply(share).add(H(policy.rows[i].id).multiply(spread[policy.rows[i].occurrence]));
  });
  const c0 = xor(m, maskOf(Fp12.pow(pub.a, v[0]), context));
  const name = Buffer.from(text, 'utf8');
  const length = Buffer.from([name.length >> 8, name.length & 255]);
  const ciphertext = Buffer.concat([header(4), length, name, c0, G2.BASE.multiply(v[0]).toBytes(true),
    ...spread.map((s) => G2.BASE.multiply(s).toBytes(true)), ...rows.map((p) => p.toBytes(true))]);
  return { ciphertext, shared: sharedOf(m, ciphertext) };
}

export function decapsulate(key, pub, bytes) {
  const r = new Bytes(bytes);
  r.head(4);
  const text = r.take(r.u16()).toString('utf8');
  const policy = readPolicy(text);
  const c0 = r.take(32), ct1 = r.g2();
  const ct2 = Array.from({ length: policy.repeat }, () => r.g2());
  const ct3 = policy.rows.map(() => r.g1());
  r.end();
  const parts = policy.rows.map((row) => key.sk2.get(row.id.toString('hex')));
  const gamma = coefficients(matrix(policy, Fr), parts.map(Boolean), Fr);
  if (!gamma) throw new Error('not permitted');
  let d = pair(key.sk3, ct1);
  for (const [i, g] of gamma) {
    d = Fp12.mul(d, pair(parts[i].multiply(g), ct2[policy.rows[i].occurrence]));
    d = Fp12.mul(d, pair(ct3[i].multiply(g).negate(), key.sk1));
  }
  const m = xor(c0, maskOf(d, contextOf(pub, text)));
  const again = encapsulate(pub, text, m);
  if (!again.ciphertext.equals(Buffer.from(bytes))) throw new Error('not what its coins make');
  return again.shared;
}

// --- sealed files

const CHUNK = 65536;

function stream(shared, head) { // HKDF-Expand alone, RFC 5869 section 2.3
  let keys = Buffer.alloc(0), last = Buffer.alloc(0);
  for (let i = 1; keys.length < 39; i++) {
    last = createHmac('sha256', shared).update(last).update('gemel abe payload v1').update(Buffer.from([i])).digest();
    keys = Buffer.concat([keys, last]);
  }
  const nonce = (i, end) => {
    const n = Buffer.alloc(12);
    keys.copy(n, 0, 32, 39);
    n.writeUInt32BE(i, 7);
    n[11] = end ? 1 : 0;
    return n;
  };
  return { key: keys.subarray(0, 32), nonce, aad: sha256(head) };
}

export function sealFile(pub, text, plain) {
  const { ciphertext, shared } = encapsulate(pub, text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(ciphertext.length);
  const head = Buffer.concat([header(5), length, ciphertext]);
  const s = stream(shared, head);
  const out = [head];
  const chunks = Math.max(1, Math.ceil(plain.length / CHUNK));
  for (let i = 0; i < chunks; i++) {
    const c = createCipheriv('aes-256-gcm', s.key, s.nonce(i, i === chunks - 1));
    c.setAAD(s.aad);
    out.push(c.update(plain.subarray(i * CHUNK, (i + 1) * CHUNK)), c.final(), c.getAuthTag());
  }
  return Buffer.concat(out);
}

export function openFile(key, pub, bytes) {
  const r = new Bytes(bytes);
  r.head(5);
  const ciphertext = r.take(r.take(4).readUInt32BE());
  const s = stream(decapsulate(key, pub, ciphertext), bytes.subarray(0, r.at));
  const out = [];
  for (let i = 0; r.at < bytes.length; i++) {
    const sealed = r.take(Math.min(CHUNK + 16, bytes.length - r.at));
    const d = createDecipheriv('aes-256-gcm', s.key, s.nonce(i, r.at === bytes.length));
    d.setAAD(s.aad);
    d.setAuthTag(sealed.subarray(-16));
    out.push(d.update(sealed.subarray(0, -16)), d.final());
  }
  return Buffer.concat(out);
}
