#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A log written by lib/tlog, verified by Go's own transparency-log packages; and every file of it
changed, cut and taken away in turn, which must be seen.

usage: run.py TLOG-WRITER VERIFY-LEDGER"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

WRITER, VERIFY = sys.argv[1], sys.argv[2]
WORK = tempfile.TemporaryDirectory()


def write(entries, round_):
    folder = tempfile.mkdtemp(dir=WORK.name)
    witness = subprocess.run([WRITER, folder, str(entries), str(round_)], check=True, capture_output=True,
                             text=True).stdout.strip()
    return folder, witness


def verify(folder, *more):
    r = subprocess.run([VERIFY, *more, folder], capture_output=True, text=True, check=False)
    return r.returncode, r.stdout + r.stderr


def files(folder):
    for base, dirs, names in os.walk(folder):
        dirs[:] = sorted(d for d in dirs if d != ".stage")
        for name in sorted(names):
            yield os.path.join(base, name)


class Interop(unittest.TestCase):
    def good(self, folder, *more):
        code, text = verify(folder, *more)
        self.assertEqual(code, 0, text)
        return text

    def bad(self, folder, words, *more):
        code, text = verify(folder, *more)
        self.assertEqual(code, 1, text)
        self.assertIn(words, text)

    def test_sizes(self):
        for entries, round_ in ((0, 1), (1, 1), (2, 1), (255, 100), (256, 256), (257, 13), (512, 512), (1000, 7),
                                (65536, 9999), (70000, 12345)):
            with self.subTest(entries=entries):
                folder, witness = write(entries, round_)
                text = self.good(folder, "-witness", witness, "-quorum", "1")
                self.assertIn(f" {entries} entries,", text)
                self.assertIn(f" {min(entries, 1000) if entries < 1001 else -(-entries // -(-entries // 1000))} proofs",
                              text)
                shutil.rmtree(folder)

    def test_who_signed(self):
        folder, witness = write(300, 50)
        other, stranger = write(300, 50)
        self.bad(folder, "0 of the 1 required", "-quorum", "1")
        self.bad(folder, "0 of the 1 required", "-quorum", "1", "-witness", stranger)
        with open(os.path.join(other, "vkey"), encoding="ascii") as f:
            self.bad(folder, "checkpoint", "-vkey", f.read().strip())
        with open(os.path.join(folder, "checkpoint"), "r+b") as f:  # a cosignature of a known witness, forged
            data = f.read()
            f.seek(0)
            f.write(data[:-20] + (b"A" if data[-20:-19] != b"A" else b"B") + data[-19:])
        self.bad(folder, "checkpoint", "-witness", witness)
        self.good(folder)

    def test_changed(self):
        """One bit in the beginning, the middle and the end of every file."""
        folder, witness = write(600, 600)
        more = ("-witness", witness, "-quorum", "1")
        self.good(folder, *more)
        seen = 0
        for path in list(files(folder)):
            name = os.path.relpath(path, folder)
            with open(path, "rb") as f:
                data = f.read()
            for at in sorted({0, 1, len(data) // 2, len(data) - 2}):
                with open(path, "r+b") as f:
                    f.seek(at)
                    f.write(bytes([data[at] ^ 1]))
                code, text = verify(folder, *more)
                self.assertEqual(code, 1, f"{name}: byte {at} was changed unseen: {text}")
                seen += 1
                with open(path, "r+b") as f:
                    f.write(data)
            os.truncate(path, len(data) - 1)
            if name != "vkey":  # its last byte is a newline
                self.assertEqual(verify(folder, *more)[0], 1, f"{name}: cut")
            with open(path, "wb") as f:
                f.write(data)
            os.rename(path, path + ".aside")
            os.rename(path + ".aside", os.path.join(WORK.name, "aside"))
            code, text = verify(folder, *more)
            self.assertEqual((code, "no such file" in text), (1, True), f"{name}: taken away: {text}")
            os.rename(os.path.join(WORK.name, "aside"), path)
        self.assertGreaterEqual(seen, 4 * 9)
        self.good(folder, *more)
        with open(os.path.join(folder, "tile", "more"), "wb") as f:
            f.write(b"x")
        self.bad(folder, "tile/more: does not belong")

    def test_names_the_first_wrong_thing(self):
        folder, _ = write(600, 600)
        path = os.path.join(folder, "tile", "0", "001")
        with open(path, "r+b") as f:
            f.seek(77 * 32)
            f.write(b"\0" * 32)
        self.bad(folder, "tile/0/001: hash 77 is not that of the entries")

    def test_left_over_partials(self):
        """What an earlier export fetched stays valid, and is checked too."""
        folder, _ = write(300, 300)
        older = os.path.join(folder, "tile", "0", "001.p", "17")
        with open(os.path.join(folder, "tile", "0", "001.p", "44"), "rb") as f:
            data = f.read()[:17 * 32]
        with open(older, "wb") as f:
            f.write(data)
        self.good(folder)
        with open(older, "r+b") as f:
            f.write(bytes([data[0] ^ 1]))
        self.bad(folder, "tile/0/001.p/17: hash 0")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
