# SPDX-License-Identifier: Apache-2.0
"""gNMI and enrolment messages for Google's protobuf, made from the interface files by protoc."""

import atexit
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from live import HERE, TOP, NoLab

os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
_made = []


def _make():
    if _made:
        return
    source = next((d for d in (os.path.join(TOP, "src/lib/gnmi"), os.path.join(HERE, "proto")) if os.path.isdir(d)), None)
    if not source or not shutil.which("protoc"):
        raise NoLab("protoc or the interface files are not here")
    folder = tempfile.mkdtemp(prefix="gemel-proto-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["protoc", f"--proto_path={source}", f"--python_out={folder}",
                    *glob.glob(os.path.join(source, "*.proto"))], check=True, capture_output=True)
    sys.path.insert(0, folder)
    _made.append(folder)


class _Stub:
    """The methods of gnmi.gNMI on a channel: what grpc's generator would write."""

    def __init__(self, channel, pb):
        for name, ask, answer in (("Capabilities", pb.CapabilityRequest, pb.CapabilityResponse),
                                  ("Get", pb.GetRequest, pb.GetResponse), ("Set", pb.SetRequest, pb.SetResponse)):
            setattr(self, name, channel.unary_unary(f"/gnmi.gNMI/{name}", ask.SerializeToString, answer.FromString))
        self.Subscribe = channel.stream_stream("/gnmi.gNMI/Subscribe", pb.SubscribeRequest.SerializeToString,
                                               pb.SubscribeResponse.FromString)


def gnmi():
    """(messages, stub of a channel)"""
    _make()
    import gnmi_pb2  # pylint: disable=import-outside-toplevel
    return gnmi_pb2, lambda channel: _Stub(channel, gnmi_pb2)


def enrolment():
    _make()
    import gemel_pb2  # pylint: disable=import-outside-toplevel
    return gemel_pb2
