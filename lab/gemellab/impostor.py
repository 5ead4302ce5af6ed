# SPDX-License-Identifier: Apache-2.0
"""Devices that must be refused, made real on the lab's rogue nodes.

    false-identity      a TLS client with a certificate in another device's name, by an authority
                        that it made itself
    copied-certificate  another device's certificate and key, copied whole, under the right agent
                        binary, with this node's TPM
    altered-agent       the agent with one byte more; needs a token: lab token NODE
    foreign-tpm         the right agent, a TPM of a manufacturer unknown to gemeld; needs a token
"""

import json
import os
import shutil
import subprocess

from . import gemel, trust

VARIANTS = ("false-identity", "copied-certificate", "altered-agent", "foreign-tpm")

# Runs in the rogue's namespaces. TLS 1.3 tells a client that it was refused only after the client
# has finished its own handshake, so the answer is waited for.
CLIENT = r"""
import json, socket, ssl, sys
address, port, chain, key = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
c.minimum_version = ssl.TLSVersion.TLSv1_3
c.set_alpn_protocols(["h2"])
c.load_cert_chain(chain, key)
said, refused = "", None
try:
    with socket.create_connection((address, port), timeout=5) as s, c.wrap_socket(s) as t:
        t.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        got = t.recv(9)
        refused, said = (not got), "closed" if not got else "answered in HTTP/2"
except ssl.SSLError as e:
    refused, said = True, e.reason or str(e)
except ConnectionResetError:
    refused, said = True, "connection reset"
except OSError as e:
    said = str(e)
print(json.dumps({"refused": refused, "said": said}))
"""


class ImpostorError(Exception):
    pass


def run(lab, node, variant, victim):
    if node.kind != "rogue":
        raise ImpostorError(f"{node.name} is no rogue node: an impostor runs on "
                            f"{', '.join(n.name for n in lab.topology.of_kind('rogue'))}")
    lab.processes.stop(node.name, "agent")
    shutil.rmtree(lab.spaces.folder(node.name, "agent"), ignore_errors=True)
    act = {"false-identity": _false_identity, "copied-certificate": _copied_certificate,
           "altered-agent": _altered_agent, "foreign-tpm": _foreign_tpm}[variant]
    return {"node": node.name, "variant": variant, **act(lab, node, victim)}


def _false_identity(lab, node, victim):
    at, name = lab.spaces.folder(node.name), victim or "core-1"
    key, chain = f"{at}/false-key.pem", f"{at}/false.pem"
    _openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key])
    _openssl(["req", "-x509", "-new", "-key", key, "-days", "7", "-subj", f"/CN={name}", "-addext",
              f"subjectAltName=URI:urn:gemel:device:{name}", "-addext",
              "extendedKeyUsage=clientAuth", "-out", chain])
    out = lab.processes.run(node.name, ["/usr/bin/python3", "-I", "-c", CLIENT, lab.topology.gemeld,
                                        str(gemel.TELEMETRY), chain, key])
    return {"device": name, **json.loads(out)}


def _openssl(arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImpostorError(f"openssl {arguments[0]}: {done.stderr.strip()[:500]}")


def _copied_certificate(lab, node, victim):
    name = victim or next((n.name for n in lab.topology.elements), None)
    source = lab.spaces.folder(name, "agent", "keys")
    if name not in lab.topology.nodes or not os.path.exists(os.path.join(source, "identity.pem")):
        raise ImpostorError(f"{name} has no certificate yet that could be copied: enrol it first")
    folder = lab.spaces.folder(node.name, "agent", "keys")
    os.makedirs(os.path.dirname(folder), 0o711)
    shutil.copytree(source, folder)
    gemel.start_agent(lab, node, device=name)
    return {"device": name, "log": lab.processes.log(node.name, "agent")}


def _altered_agent(lab, node, victim):
    right = gemel.program("gemel-agent")
    if not right:
        raise gemel.GemelError("gemel-agent is not built: run make, or set GEMEL_BUILD")
    altered = lab.spaces.folder(node.name, "gemel-agent")
    shutil.copyfile(right, altered)
    with open(altered, "ab") as f:
        f.write(b"\n")
    os.chmod(altered, 0o755)
    gemel.start_agent(lab, node, executable=altered, device=victim)
    return {"device": victim or node.name, "pcr17": trust.reference(altered),
            "expected": trust.reference(right), "log": lab.processes.log(node.name, "agent")}


def _foreign_tpm(lab, node, victim):
    if not node.foreign_tpm:
        others = [n.name for n in lab.topology.of_kind("rogue") if n.foreign_tpm]
        raise ImpostorError(f"{node.name} has a TPM of the lab's own manufacturer; others: "
                            f"{', '.join(others)}")
    gemel.start_agent(lab, node, device=victim)
    return {"device": victim or node.name, "log": lab.processes.log(node.name, "agent")}
