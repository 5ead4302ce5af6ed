// SPDX-License-Identifier: Apache-2.0
// usage: node test_abe.mjs VECTORS GEMEL
// An independent implementation on an independent pairing opens the frozen vectors and makes the same
// bytes; it opens what gemel abe seals now, and gemel opens what it seals. Prints TAP.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { decapsulate, encapsulate, openFile, readKey, readPublic, sealFile } from './abe.mjs';

const [vectors, gemel] = process.argv.slice(2).map((p) => resolve(p));
const dir = mkdtempSync(join(tmpdir(), 'gemel-abe-'));
let number = 0, failed = 0;

function test(name, run) {
  number++;
  try {
    run();
    console.log(`ok ${number} - ${name}`);
  } catch (e) {
    failed++;
    console.log(`not ok ${number} - ${name}\n# ${String(e.stack).replaceAll('\n', '\n# ')}`);
  }
}

function cases() {
  return readFileSync(vectors, 'utf8').split('\n\n').map((block) => {
    const v = {};
    for (const line of block.split('\n'))
      if (line && !line.startsWith('#')) v[line.slice(0, line.indexOf(' '))] = line.slice(line.indexOf(' ') + 1);
    return v;
  }).filter((v) => v.ciphertext);
}
const hex = (s) => Buffer.from(s, 'hex');

for (const v of cases()) {
  test(`frozen: ${v.policy}`, () => {
    const pub = readPublic(hex(v.public)), key = readKey(hex(v.key));
    assert.equal(key.attributes, v.attributes);
    assert.equal(decapsulate(key, pub, hex(v.ciphertext)).toString('hex'), v.shared);
    assert.equal(encapsulate(pub, v.policy, hex(v.m)).ciphertext.toString('hex'), v.ciphertext);
    const changed = hex(v.ciphertext);
    changed[changed.length - 1] ^= 1;
    assert.throws(() => decapsulate(key, pub, changed));
  });
}

function run(args, input) {
  const r = spawnSync(gemel, ['abe', ...args], { cwd: dir, input, maxBuffer: 1 << 28 });
  return { code: r.status, out: r.stdout, said: String(r.stderr) };
}
function good(args, input) {
  const r = run(args, input);
  assert.equal(r.code, 0, r.said);
  return r.out;
}

const attributes = 'role=traffic-model,domain=core,level:8=200,zone{core,edge}=edge,valid:date=2026-11-25';
good(['setup', '.']);
good(['keygen', '--master', 'master.key', '--attributes', attributes, '-o', 'reader.key']);
good(['keygen', '--master', 'master.key', '--attributes', 'role=other,level:8=10', '-o', 'other.key']);
const pub = readPublic(readFileSync(join(dir, 'public.key')));
const key = readKey(readFileSync(join(dir, 'reader.key')));
const other = readKey(readFileSync(join(dir, 'other.key')));
const policies = ['role = traffic-model', '(role=traffic-model and level:8 >= 77) or x=y',
  '2 of (role=traffic-model, level:8 < 3, zone{core,edge} != core, a=b)',
  '(role=traffic-model or x=y) and (role=traffic-model or z=y)', 'valid:date >= 2026-11-01 AND NOT level:8 = 7'];

for (const policy of policies) {
  const size = [0, 5, 65536, 65537, 200000][policies.indexOf(policy)];
  const plain = randomBytes(size);
  test(`gemel seals, we open: ${policy}`, () => {
    const sealed = good(['encrypt', '--public', 'public.key', '--policy', policy], plain);
    assert.ok(openFile(key, pub, sealed).equals(plain));
    assert.throws(() => openFile(other, pub, sealed), /not permitted/);
  });
  test(`we seal, gemel opens: ${policy}`, () => {
    const canonical = JSON.parse(good(['policy', policy, '--json'])).policy;
    writeFileSync(join(dir, 'sealed'), sealFile(pub, canonical, plain));
    assert.ok(good(['decrypt', '--public', 'public.key', '--key', 'reader.key', 'sealed']).equals(plain));
    const refused = run(['decrypt', '--public', 'public.key', '--key', 'other.key', 'sealed']);
    assert.deepEqual([refused.code, refused.said, refused.out.length], [1, 'cannot decrypt\n', 0]);
  });
}

rmSync(dir, { recursive: true });
console.log(`1..${number}`);
process.exit(failed ? 1 : 0);
