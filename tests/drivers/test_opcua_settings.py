"""What may be written for OPC UA, and what is refused with a word on what to write instead."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from uuid import UUID

import pytest
import yaml
from pydantic import ValidationError

import drivers.opcua
from drivers.opcua.nodes import NodeAddress, Path, parse
from drivers.opcua.settings import OpcuaAddress, OpcuaLine, OpcuaPoint

README = pathlib.Path(drivers.opcua.__file__).with_name("README.md")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ns=2;s=or1.t", NodeAddress(2, None, "or1.t")),
        ("i=2259", NodeAddress(0, None, 2259)),
        ("ns=3;s=a;b=c;s=d", NodeAddress(3, None, "a;b=c;s=d")),
        ('ns=3;s="DB 1"."温度"', NodeAddress(3, None, '"DB 1"."温度"')),
        ("ns=1;i=4294967295", NodeAddress(1, None, 4294967295)),
        ("ns=1;b=AQID", NodeAddress(1, None, b"\x01\x02\x03")),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            NodeAddress(1, None, UUID("09087e75-8e5e-499b-954f-f2a9603db28a")),
        ),
        ("nsu=urn:maker:plc;s=x", NodeAddress(0, "urn:maker:plc", "x")),
        ("nsu=http://a/?p%3Bq%25;i=1", NodeAddress(0, "http://a/?p;q%", 1)),
        ("  ns=2;s=x  ", NodeAddress(2, None, "x")),
        ("/2:or1/2:t", Path(None, ((2, "or1"), (2, "t")))),
        ("nsu=urn:maker:plc;/or1/0:t", Path("urn:maker:plc", ((None, "or1"), (0, "t")))),
        ("/a&/b/c&:d&&", Path(None, ((None, "a/b"), (None, "c:d&")))),
    ],
)
def test_8_a_node_is_read_as_it_is_written(text: str, address: NodeAddress | Path) -> None:
    """All four kinds of identifier, by index or by URI; the identifier is all the rest."""
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("or1.t", "not a NodeId; write ns=2;s=NAME"),
        ("ns=two;s=x", "not a NodeId"),
        ("ns=2;s=", "not a NodeId"),
        ("ns=2;x=1", "not a NodeId"),
        ("ns=65536;i=1", "at most 65535"),
        ("ns=2;i=-1", "whole number from 0"),
        ("ns=2;i=4294967296", "whole number from 0"),
        ("ns=2;i=1٣", "whole number from 0"),
        ("ns=2;g=nonsense", "8-4-4-4-12"),
        ("ns=2;b=***", "not base64"),
        ("ns=2;s=" + "x" * 5000, "at most 4096 characters"),
        ("", "not a NodeId"),
        ("/a//b", "not a path"),
        ("/a/", "not a path"),
        ("/a&", "not a path"),
        ("/70000:a", "at most 65535"),
        ("/a" * 33, "at most 32 steps"),
    ],
)
def test_what_is_not_a_node_is_refused(text: str, said: str) -> None:
    """With a word on what a NodeId looks like."""
    with pytest.raises(ValidationError, match=re.escape(said)):
        OpcuaPoint(node=text)


def test_a_line_needs_nothing_but_its_url() -> None:
    """Subscribing every 500 ms, on the registered port, is what most want."""
    line = OpcuaLine(url="opc.tcp://10.1.2.3/or")
    assert (line.url, line.mode, line.publishing) == ("opc.tcp://10.1.2.3:4840/or", "subscribe", 0.5)
    assert OpcuaLine(url="opc.tcp://[fd00::1]/").url == "opc.tcp://[fd00::1]:4840/"
    assert OpcuaLine(url="opc.tcp://plc:4841").url == "opc.tcp://plc:4841"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://plc/"}, "write opc.tcp://HOST:4840/PATH"),
        ({"url": "opc.tcp:///or"}, "write opc.tcp://HOST:4840/PATH"),
        ({"url": "opc.tcp://plc:99999/"}, "Port out of range"),
        ({"url": "opc.tcp://me:secret@plc/"}, "do not belong in the URL"),
        ({"url": "opc.tcp://plc/?a=b"}, "neither ? nor #"),
        ({"url": "opc.tcp://plc", "publishing": "10s"}, "less than or equal to 4"),
        ({"url": "opc.tcp://plc", "publishing": "1ms"}, "greater than or equal to 0.05"),
        ({"url": "opc.tcp://plc", "mode": "listen"}, "'subscribe' or 'read'"),
        ({"url": "opc.tcp://plc", "path": "x"}, "Extra inputs are not permitted"),
        ({"url": "opc.tcp://plc", "security": "best"}, "'encrypt', 'sign' or 'none'"),
        ({"url": "opc.tcp://plc", "policy": "Basic128Rsa15"}, "'Basic256Sha256'"),
        ({"url": "opc.tcp://plc", "user": "gw"}, "user or password is missing"),
        ({"url": "opc.tcp://plc", "user": "gw", "password": "pass"}, "a secret in plain text"),
        ({"url": "opc.tcp://plc", "user_cert": "a.der"}, "user_cert or user_key is missing"),
        (
            {"url": "opc.tcp://plc", "user": "gw", "password": {"env": "X"}, "security": "none"},
            "write security: encrypt",
        ),
        ({"url": "opc.tcp://plc", "policy": "Basic256Sha256", "security": "none"}, "write security: encrypt"),
    ],
)
def test_a_line_that_cannot_work_is_refused(settings: dict[str, object], said: str) -> None:
    """Before anything is opened, and without repeating a secret."""
    with pytest.raises(ValidationError, match=re.escape(said)) as raised:
        OpcuaLine.model_validate(settings)
    assert "me:" not in "".join(error["msg"] for error in raised.value.errors())


def test_settings_do_without_the_library() -> None:
    """Checking a configuration or printing its schema does not load the OPC UA stack."""
    code = "import sys, drivers.opcua.settings; sys.exit('asyncua' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_8_sampling_is_a_duration() -> None:
    """As everywhere: a number with its unit."""
    assert OpcuaPoint.model_validate({"node": "i=1", "sampling": "250ms"}).sampling == 0.25
    with pytest.raises(ValidationError):
        OpcuaPoint.model_validate({"node": "i=1", "sampling": "1ms"})


@pytest.mark.parametrize(("written", "held"), [(0.5, 0.5), (2, 2.0), ("2%", "2%"), (" 2.50 % ", "2.5%")])
def test_8_a_server_deadband_is_a_number_or_a_percentage(written: object, held: object) -> None:
    """In the unit of the point, or of the node's range."""
    assert OpcuaPoint.model_validate({"node": "i=1", "server_deadband": written}).server_deadband == held


@pytest.mark.parametrize("written", [0, -1, "0%", "101%", "wide", "5", True, "nan%"])
def test_8_what_is_no_deadband_is_refused(written: object) -> None:
    """With what to write."""
    with pytest.raises(ValidationError):
        OpcuaPoint.model_validate({"node": "i=1", "server_deadband": written})


def test_the_example_in_the_readme_is_valid() -> None:
    """A page that cannot be wrong: its YAML is read by the types that read the user's."""
    example = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[0])
    for line in example["lines"].values():
        OpcuaLine.model_validate(line)
    for device in example["devices"].values():
        OpcuaAddress.model_validate(device["address"])
        for settings in device["points"].values():
            OpcuaPoint.model_validate(settings)
