"""Loopback networks for runs that must not meet. Every 127.x.y.0/24 is there without set-up; one is claimed by a
socket that stays bound while it is in use.
"""

from __future__ import annotations

import os
import socket

CLAIM_PORT = 47_899
SECOND_NUMBERS = range(80, 251)

_claims: dict[str, socket.socket] = {}


def free_net() -> str:
    """A /24 such as `127.93.17` that nobody else has, until `give_back` or the end of this process."""
    start = os.getpid()
    for n in range(len(SECOND_NUMBERS) * 250):
        number = start + n
        net = f"127.{SECOND_NUMBERS[number % len(SECOND_NUMBERS)]}.{number // len(SECOND_NUMBERS) % 250}"
        if net not in _claims and _claim(net):
            return net
    raise OSError("no free loopback network")


def give_back(net: str) -> None:
    claim = _claims.pop(net, None)
    if claim is not None:
        claim.close()


def _claim(net: str) -> bool:
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        claim.bind((f"{net}.254", CLAIM_PORT))
    except OSError:
        claim.close()
        return False
    _claims[net] = claim
    return True
