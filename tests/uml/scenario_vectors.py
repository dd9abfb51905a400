"""Every IPVS vector sent as it is; the kernel's answer to each."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from keepbus_ipvs import codec
from keepbus_ipvs.kernel import Kernel

VECTORS = Path(__file__).parents[1] / "contract" / "ipvs-vectors.json"
NEEDS_SERVICE = {2, 3, 5, 6, 7}
NEEDS_DESTINATION = {6, 7}


def run() -> dict[str, str]:
    """Name of the vector: `OK` or the name of the errno."""
    vectors = {vector["name"]: vector for vector in json.loads(VECTORS.read_text())}
    service = bytes.fromhex(vectors["ipvs-new-service-tcp-rr"]["hex"])
    destination = bytes.fromhex(vectors["ipvs-new-dest-dr"]["hex"])
    kernel = Kernel()
    answers = {}
    for name, vector in vectors.items():
        assert kernel.request(codec.request(codec.FLUSH)) == 0
        if vector["command"] in NEEDS_SERVICE or "sent twice" in vector.get("note", ""):
            assert kernel.request(service) == 0
        if vector["command"] in NEEDS_DESTINATION:
            assert kernel.request(destination) == 0
        number = kernel.request(bytes.fromhex(vector["hex"]))
        answers[name] = errno.errorcode[number] if number else "OK"
    kernel.request(codec.request(codec.FLUSH))
    kernel.close()
    return answers
