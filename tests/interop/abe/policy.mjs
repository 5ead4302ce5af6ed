// SPDX-License-Identifier: Apache-2.0
// Canonical policies and attribute lists, read a second time and apart from the C code: from text to
// rows {id, occurrence} and to shares. Only the canonical form is read.
import { createHash } from 'node:crypto';

const u16 = (n) => Buffer.from([n >> 8, n & 255]);
const text = (s) => { const b = Buffer.from(s, 'utf8'); return Buffer.concat([u16(b.length), b]); };

// --- reading

class Reader {
  constructor(s) { this.s = s; this.at = 0; }
  take(literal) {
    if (!this.s.startsWith(literal, this.at)) return false;
    this.at += literal.length;
    return true;
  }
  need(literal) { if (!this.take(literal)) throw new Error(`expected ${literal} at ${this.at} of ${this.s}`); }
  match(re) {
    re.lastIndex = this.at;
    const m = re.exec(this.s);
    if (!m) throw new Error(`unexpected text at ${this.at} of ${this.s}`);
    this.at += m[0].length;
    return m[0];
  }
  name() { return this.match(/[a-z][a-z0-9_.-]*/y); }
  value() {
    if (!this.take('"')) return this.match(/[A-Za-z0-9._@+:/\u0080-\uffff-]+/y);
    let out = '';
    while (!this.take('"')) { this.take('\\'); out += this.s[this.at++]; }
    return out;
  }
}

const days = (date) => BigInt(Date.parse(date + 'T00:00:00Z') / 86400000);

function term(r) {
  const t = { space: '', name: r.name() };
  if (r.take('/')) { t.space = t.name; t.name = r.name(); }
  if (r.take('{')) {
    t.members = [r.value()];
    while (r.take(',')) t.members.push(r.value());
    r.need('}');
  } else if (r.take(':date')) {
    t.type = 'd';
    t.width = 16;
  } else if (r.take(':')) {
    t.type = 'u';
    t.width = Number(r.match(/\d+/y));
  }
  t.op = r.match(/ (=|>=|<=) /y).trim();
  t.value = r.value();
  if (t.width) t.number = t.type === 'd' ? days(t.value) : BigInt(t.value);
  return t;
}

function identity(kind, t, value) {
  return Buffer.concat([Buffer.from([kind]), text(t.space), text(t.name), u16(value.length), value]);
}

function whole(t) {
  if (t.members)
    return identity(2, t, Buffer.concat([text(t.value), u16(t.members.length), ...t.members.map(text)]));
  if (!t.width) return identity(1, t, Buffer.from(t.value, 'utf8'));
  const v = Buffer.alloc(10);
  v.write(t.type, 'latin1');
  v[1] = t.width;
  v.writeBigUInt64BE(t.number, 2);
  return identity(3, t, v);
}

const bit = (t, i, b) => identity(4, t, Buffer.from([t.type.charCodeAt(0), t.width, i, b]));

// x >= c and x <= c over bits from the highest; `i` is the bit in hand.
function compare(t, i) {
  const least = t.op === '>=';
  const row = { id: bit(t, i, least ? 1 : 0) };
  const mask = (1n << BigInt(i)) - 1n;
  const set = (t.number >> BigInt(i) & 1n) === 1n;
  if ((t.number & mask) === (least ? 0n : mask) && set === least) return row;
  const rest = compare(t, i - 1);
  return { k: set === least ? 2 : 1, of: [row, rest] };
}

function leaf(r) {
  const t = term(r);
  return t.op === '=' ? { id: whole(t) } : compare(t, t.width - 1);
}

function operand(r) {
  if (r.take('(')) {
    const g = formula(r);
    r.need(')');
    return g;
  }
  if (!/\d/y.test(r.s[r.at])) return leaf(r);
  const k = Number(r.match(/\d+/y));
  r.need(' OF (');
  const of = [formula(r)];
  while (r.take(', ')) of.push(formula(r));
  r.need(')');
  return { k, of };
}

function formula(r) {
  const of = [operand(r)];
  for (const word of [' AND ', ' OR ']) {
    while (r.take(word)) of.push(operand(r));
    if (of.length > 1) return { k: word === ' AND ' ? of.length : 1, of };
  }
  return of[0];
}

// --- rows and shares

export function readPolicy(s) {
  const r = new Reader(s);
  const root = formula(r);
  if (r.at !== s.length) throw new Error('text behind the policy');
  const rows = [];
  const seen = new Map();
  (function number(g) {
    if (g.of) return g.of.forEach(number);
    const key = g.id.toString('hex');
    g.row = rows.length;
    g.occurrence = seen.get(key) ?? 0;
    seen.set(key, g.occurrence + 1);
    rows.push(g);
  })(root);
  const columns = (g) => g.of ? g.k - 1 + g.of.reduce((n, c) => n + columns(c), 0) : 0;
  return { root, rows, columns: 1 + columns(root), repeat: Math.max(...seen.values()) };
}

// The matrix, row by row, as its definition has it: arrays of field elements.
export function matrix(policy, F) {
  const out = [];
  let c = 1;
  (function walk(g, w) {
    if (!g.of) { out[g.row] = w; return; }
    const pad = (v, n) => [...v, ...Array(n - v.length).fill(0n)];
    if (g.k === 1) { g.of.forEach((o) => walk(o, w)); return; }
    if (g.k < g.of.length) {
      const base = c;
      c += g.k - 1;
      g.of.forEach((o, i) => {
        const v = pad(w, base);
        for (let j = 1; j < g.k; j++) v.push(F.pow(BigInt(i + 1), BigInt(j)));
        walk(o, v);
      });
      return;
    }
    g.of.forEach((o, i) => { // a AND (b AND (c ...))
      if (i === g.of.length - 1) { walk(o, w); return; }
      const here = c++;
      walk(o, [...pad(w, here), 1n]);
      w = [...Array(here).fill(0n), F.neg(1n)];
    });
  })(policy.root, [1n]);
  return out.map((r) => [...r, ...Array(policy.columns - r.length).fill(0n)]);
}

// Coefficients γ by row with Σ γ M_row = (1, 0, ..., 0), over the rows that are there, by elimination:
// nothing is known here of gates. null: there are none.
export function coefficients(M, have, F) {
  const rows = have.map((h, i) => h ? i : -1).filter((i) => i >= 0);
  const n = rows.length;
  const eqs = M[0].map((_, col) => [...rows.map((i) => M[i][col]), col === 0 ? 1n : 0n]); // one a column
  const pivots = [];
  let done = 0;
  for (let v = 0; v < n && done < eqs.length; v++) {
    const p = eqs.findIndex((e, i) => i >= done && e[v] !== 0n);
    if (p < 0) continue;
    [eqs[done], eqs[p]] = [eqs[p], eqs[done]];
    const inv = F.inv(eqs[done][v]);
    eqs[done] = eqs[done].map((x) => F.mul(x, inv));
    eqs.forEach((e, i) => {
      if (i !== done && e[v] !== 0n) {
        const f = e[v];
        eqs[i] = e.map((x, k) => F.sub(x, F.mul(f, eqs[done][k])));
      }
    });
    pivots[done++] = v;
  }
  if (eqs.slice(done).some((e) => e[n] !== 0n)) return null;
  const out = new Map();
  pivots.forEach((v, i) => { if (eqs[i][n] !== 0n) out.set(rows[v], eqs[i][n]); });
  return out;
}

export function readAttributes(s) {
  const r = new Reader(s);
  const out = [];
  do {
    const t = term(r);
    out.push(whole(t));
    for (let i = (t.width ?? 0) - 1; i >= 0; i--) out.push(bit(t, i, Number(t.number >> BigInt(i) & 1n)));
  } while (r.take(', '));
  if (r.at !== s.length) throw new Error('text behind the attributes');
  return out;
}

export const sha256 = (...parts) => {
  const h = createHash('sha256');
  parts.forEach((p) => h.update(p));
  return h.digest();
};
