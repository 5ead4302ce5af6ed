#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gemel abe as its users have it: no twin, no session, no network. usage: test_cli.py GEMEL; prints TAP."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

GEMEL = os.path.abspath(sys.argv[1])
FOLDER = tempfile.TemporaryDirectory(prefix="gemel-abe-")
DIR = pathlib.Path(FOLDER.name)
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": str(DIR / "nobody"), "TMPDIR": str(DIR / "spool"), "LC_ALL": "C.UTF-8",
               "GEMEL_URL": "https://192.0.2.1:1"}
POLICY = "(role = traffic-model AND domain = core) OR 2 of (level:8 >= 4, site = a, site = b)"
CANNOT = (1, b"", b"cannot decrypt\n")


def run(*arguments, data=b"", **more):
    r = subprocess.run([GEMEL, "abe", *map(str, arguments)], input=data, capture_output=True, cwd=DIR,
                       env=ENVIRONMENT, **more)
    return r.returncode, r.stdout, r.stderr


def good(*arguments, data=b""):
    code, out, said = run(*arguments, data=data)
    assert code == 0, (arguments, code, said)
    return out


def mode(path):
    return (DIR / path).stat().st_mode & 0o7777


def names():
    return sorted(p.name for p in DIR.iterdir())


def decrypt(key="reader.key", *rest, data=b""):
    return run("decrypt", "--key", key, "--public", "keys/public.key", *rest, data=data)


def test_setup():
    out = good("setup", "keys")
    assert out.splitlines()[2].startswith(b"fingerprint "), out
    assert mode("keys/master.key") == 0o600 and mode("keys") == 0o700
    before = (DIR / "keys/master.key").read_bytes()
    assert run("setup", "keys")[0] == 1
    (DIR / "keys/public.key").rename(DIR / "kept")
    code, _, said = run("setup", "keys")
    assert code == 1 and b"master.key" in said, said
    assert not (DIR / "keys/public.key").exists()
    (DIR / "kept").rename(DIR / "keys/public.key")
    assert (DIR / "keys/master.key").read_bytes() == before
    (DIR / "link").mkdir()
    (DIR / "link/master.key").symlink_to(DIR / "elsewhere")
    assert run("setup", "link")[0] == 1 and not (DIR / "elsewhere").exists()


def test_keygen():
    good("keygen", "--master", "keys/master.key", "--attributes", "role=traffic-model,domain=core,level:8=3",
         "-o", "reader.key")
    good("keygen", "--master", "keys/master.key", "--attributes", "role=traffic-model,site=a", "-o", "other.key")
    assert mode("reader.key") == 0o600
    old = os.umask(0)
    try:
        good("keygen", "--master", "keys/master.key", "--attributes", "a=1", "-o", "open.key")
    finally:
        os.umask(old)
    assert mode("open.key") == 0o600
    master = (DIR / "keys/master.key").read_bytes()
    for target in ["keys/master.key", "keys/../keys/master.key"]:
        code, _, said = run("keygen", "--master", "keys/master.key", "--attributes", "a=1", "-o", target)
        assert code == 1 and b"never overwritten" in said, said
    (DIR / "alias").symlink_to("keys/master.key")
    assert run("keygen", "--master", "keys/master.key", "--attributes", "a=1", "-o", "alias")[0] == 1
    assert run("encrypt", "--public", "keys/public.key", "--policy", "a=1", "-o", "alias", data=b"x")[0] == 1
    assert (DIR / "keys/master.key").read_bytes() == master
    for bad in ["role", "a=1,a=1", "l:8=3,l:8=4", ""]:
        assert run("keygen", "--master", "keys/master.key", "--attributes", bad, "-o", "bad.key")[0] == 2
    assert run("keygen", "--master", "keys/public.key", "--attributes", "a=1", "-o", "bad.key")[0] == 1
    assert run("keygen", "--master", "keys/master.key", "--attributes", "a=1")[0] == 2
    assert not (DIR / "bad.key").exists()


def test_check():
    assert b"domain = core, level:8 = 3" in good("check", "reader.key", "--public", "keys/public.key")
    good("setup", "foreign")
    code, out, said = run("check", "reader.key", "--public", "foreign/public.key")
    assert (code, out) == (1, b"") and b"another public key" in said
    changed = bytearray((DIR / "reader.key").read_bytes())
    changed[-1] ^= 1
    (DIR / "changed.key").write_bytes(changed)
    assert run("check", "changed.key", "--public", "keys/public.key")[0] == 1


def test_files_and_pipes():
    for size in [0, 1, 65535, 65536, 65537, 5_000_000]:
        plain = os.urandom(size)
        (DIR / "plain").write_bytes(plain)
        good("encrypt", "--public", "keys/public.key", "--policy", POLICY, "-o", "sealed", "plain")
        assert decrypt("reader.key", "sealed") == (0, plain, b"")
        assert decrypt("reader.key", "-o", "opened", "sealed")[0] == 0
        assert (DIR / "opened").read_bytes() == plain and mode("opened") == 0o600
        sealed = good("encrypt", "--public", "keys/public.key", "--policy", POLICY, "-", data=plain)
        assert decrypt("reader.key", data=sealed) == (0, plain, b"")
        assert decrypt("reader.key", "-o", "-", "-", data=sealed) == (0, plain, b"")
    assert b"\0" in sealed and plain[:1000] not in sealed
    assert list((DIR / "spool").iterdir()) == []


def test_nothing_on_failure():
    plain = os.urandom(300_000)
    sealed = good("encrypt", "--public", "keys/public.key", "--policy", POLICY, data=plain)
    (DIR / "opened").write_bytes(b"as it was")
    before = names()
    late = bytearray(sealed)
    late[-1] ^= 1
    for data in [late, sealed[:-1], sealed[:200_000], sealed + b"x", sealed[:100], b"", plain]:
        assert decrypt("reader.key", data=bytes(data)) == CANNOT
        (DIR / "bad").write_bytes(data)
        assert decrypt("reader.key", "-o", "new", "bad") == CANNOT
        assert decrypt("reader.key", "-o", "opened", "bad") == CANNOT
        (DIR / "bad").unlink()
    assert names() == before and (DIR / "opened").read_bytes() == b"as it was"
    assert list((DIR / "spool").iterdir()) == []


def test_one_answer():
    """Who is not entitled, with a wrong key or a wrong file of keys, learns the same."""
    sealed = good("encrypt", "--public", "keys/public.key", "--policy", POLICY, data=b"secret")
    good("keygen", "--master", "foreign/master.key", "--attributes", "role=traffic-model,domain=core", "-o", "foreign.key")
    for key in ["other.key", "foreign.key", "changed.key", "keys/public.key", "keys/master.key"]:
        assert decrypt(key, data=sealed) == CANNOT, key
    foreign = run("decrypt", "--key", "foreign.key", "--public", "foreign/public.key", data=sealed)
    assert foreign == CANNOT
    assert run("decrypt", "--key", "reader.key", "--public", "reader.key", data=sealed) == CANNOT


def test_usage():
    for arguments in [("decrypt", "--key", "reader.key"), ("decrypt", "--public", "keys/public.key"),
                      ("encrypt", "--public", "keys/public.key"), ("setup",), ("policy",), ("check",),
                      ("encrypt", "--public", "keys/public.key", "--policy", "role"), ("setup", "a", "b"),
                      ("encrypt", "--master", "x"), ()]:
        code, out, said = run(*arguments)
        assert (code, out) == (2, b"") and said, (arguments, code, out, said)
    before = names()
    assert run("nonsense")[0] == 1 and names() == before
    code, _, said = decrypt("reader.key", "no-such-file")
    assert code == 1 and b"no-such-file" in said


def test_outputs_that_are_not_files():
    sealed = good("encrypt", "--public", "keys/public.key", "--policy", POLICY, data=b"secret")
    assert decrypt("reader.key", "-o", "/dev/null", data=sealed)[0] == 0
    assert pathlib.Path("/dev/null").is_char_device()
    code, _, said = decrypt("reader.key", "-o", "/dev/full", data=sealed)
    assert code == 1 and b"/dev/full" in said, said
    (DIR / "target").write_bytes(b"")
    (DIR / "pointer").symlink_to("target")
    assert decrypt("reader.key", "-o", "pointer", data=sealed)[0] == 0
    assert (DIR / "pointer").is_symlink() and (DIR / "target").read_bytes() == b"secret"
    (DIR / "same").write_bytes(b"in its own place")
    good("encrypt", "--public", "keys/public.key", "--policy", POLICY, "-o", "same", "same")
    assert decrypt("reader.key", "same")[1] == b"in its own place"


def test_inspect():
    good("encrypt", "--public", "keys/public.key", "--policy", POLICY, "-o", "sealed", data=b"x" * 100_000)
    about = json.loads(good("inspect", "sealed", "--json"))
    assert about["policy"] == json.loads(good("policy", POLICY, "--json"))["policy"]
    assert about["payload_bytes"] == 100_000 and about["rows"] == 10
    secret = (DIR / "keys/master.key").read_bytes()[7:39].hex()
    for name in ["keys/master.key", "keys/public.key", "reader.key"]:
        text = good("inspect", name).decode()
        assert secret not in text and "FABEO" in text
    prints = [json.loads(good("inspect", n, "--json")) for n in ["keys/master.key", "keys/public.key", "reader.key"]]
    assert prints[0]["public_key"] == prints[1]["fingerprint"] == prints[2]["public_key"]
    assert run("inspect", "opened")[0] == 1
    with open(DIR / "sealed", "r+b") as f:
        f.truncate(40)
    assert run("inspect", "sealed")[0] == 1


def peak(process):
    """Waits; the most memory that it held, in MiB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


def test_bounded_memory():
    """256 MiB through pipes."""
    block = os.urandom(1 << 20)
    command = [GEMEL, "abe", "encrypt", "--public", "keys/public.key", "--policy", POLICY, "-o", "large"]
    p = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=DIR, env=ENVIRONMENT)
    for _ in range(256):
        p.stdin.write(block)
    p.stdin.close()
    assert peak(p) < 150
    p = subprocess.Popen([GEMEL, "abe", "decrypt", "--key", "reader.key", "--public", "keys/public.key", "large"],
                         stdout=subprocess.PIPE, cwd=DIR, env=ENVIRONMENT)
    for _ in range(256):
        assert p.stdout.read(1 << 20) == block
    assert p.stdout.read() == b""
    assert peak(p) < 150
    p.stdout.close()
    (DIR / "large").unlink()


def main():
    (DIR / "spool").mkdir()
    failed = 0
    for name, check in list(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            check()
            print("ok", name[5:])
        except Exception as e:  # each check by itself
            failed += 1
            import traceback
            traceback.print_exc()
            print("not ok", name[5:], repr(e)[:200])
    FOLDER.cleanup()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
