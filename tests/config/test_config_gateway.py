"""`gateway.yaml`: its defaults, its paths, its uplinks."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_toy import GATEWAY, accepted, refused

from config.load import load
from config.outward import Broker, Filter, Mail, Tls, Webhook
from config.secrets import Secret
from drivers.registry import protocols

DEVICE = "devices:\n  a: {line: one, system: pwr.lv}\n"


def test_defaults(tmp_path: Path) -> None:
    """Three lines are a gateway; all the rest has a value."""
    config = accepted(tmp_path, DEVICE)
    assert (config.site, config.gateway, config.name.en, config.time_zone) == ("h01", "gw-1", "gw-1", "UTC")
    assert (config.topic_root, config.type_prefix) == ("wardgate/v1", "wardgate.")
    assert config.control_socket == Path("/run/wardgate/control.sock")
    assert config.journal.path == Path("/var/lib/wardgate/journal")
    assert (config.journal.size_max_bytes, config.journal.keep_s) == (2_000_000_000, 30 * 86400)
    assert config.journal.telemetry_window_s == 1.0
    assert (config.journal.memory_max_bytes, config.journal.reserve) == (32_000_000, 0.1)
    assert (config.journal.shares, config.journal.ages_s) == ({}, {})
    (uplink,) = config.uplinks
    assert uplink.brokers == (Broker("127.0.0.1", 1883, tls=False),)
    assert (uplink.id, uplink.mqtt, uplink.client_id, uplink.user, uplink.password) == (
        "main",
        "5",
        "h01-gw-1-main",
        None,
        None,
    )
    assert (uplink.keep_alive_s, uplink.window, uplink.backlog_records_per_s) == (15, 32, 200.0)


def test_everything_written(tmp_path: Path) -> None:
    """What is written is taken, with its unit."""
    gateway = """
site: h01
gateway: gw-1
name: {zh: 网关, en: Gateway}
time_zone: Asia/Shanghai
topic_root: hospital/bms
type_prefix: cn.h01.
journal:
  {path: /j, size_max: 1.5GiB, keep: 7d, telemetry_window: 200ms, memory_max: 64MB, reserve_percent: 20,
   streams: {telemetry: {keep: 2d, share_percent: 70}, audit: {keep: 365d}}}
uplinks:
  a:
    brokers: [mqtts://broker.example, "mqtts://[::1]:8884"]
    mqtt: 3.1.1
    client_id: box-7
    user: gw
    password: {env: PW}
    keep_alive: 30s
    window: 20
    backlog_rate: 50.5
"""
    config = accepted(tmp_path, DEVICE, gateway=gateway)
    assert (config.name.zh, config.time_zone, config.topic_root, config.type_prefix) == (
        "网关",
        "Asia/Shanghai",
        "hospital/bms",
        "cn.h01.",
    )
    assert (config.journal.size_max_bytes, config.journal.keep_s, config.journal.telemetry_window_s) == (
        1_610_612_736,
        604_800,
        0.2,
    )
    assert (config.journal.memory_max_bytes, config.journal.reserve) == (64_000_000, 0.2)
    assert config.journal.shares == {"telemetry": 0.7}
    assert config.journal.ages_s == {"telemetry": 2 * 86400, "audit": 365 * 86400}
    (uplink,) = config.uplinks
    assert uplink.brokers == (Broker("broker.example", 8883, tls=True), Broker("::1", 8884, tls=True))
    assert (uplink.mqtt, uplink.client_id, uplink.user, uplink.keep_alive_s) == ("3.1.1", "box-7", "gw", 30)
    assert (uplink.window, uplink.backlog_records_per_s) == (20, 50.5)
    assert uplink.password == Secret("env", "PW")


def test_relative_paths_are_relative_to_the_folder(tmp_path: Path) -> None:
    """Wherever the daemon was started; secrets in files too."""
    gateway = GATEWAY.replace("]}", "], password: {file: pw.txt}}") + "journal: {path: ./j}\ncontrol_socket: c.sock\n"
    config = accepted(tmp_path, DEVICE, gateway=gateway)
    assert (config.journal.path, config.control_socket) == (tmp_path / "j", tmp_path / "c.sock")
    assert config.uplinks[0].password == Secret("file", str(tmp_path / "pw.txt"))


def test_version_five_may_be_a_number(tmp_path: Path) -> None:
    """`mqtt: 5` is a number to YAML and means the same."""
    assert accepted(tmp_path, DEVICE, gateway=GATEWAY.replace("]}", "], mqtt: 5}")).uplinks[0].mqtt == "5"


def test_no_uplink_is_a_warning(tmp_path: Path) -> None:
    """A gateway that only judges locally is allowed, and told."""
    config = accepted(tmp_path, DEVICE, gateway="site: h01\ngateway: gw-1\n")
    assert [warning.message for warning in config.warnings] == ["none, so nothing leaves this gateway"]


SECRET = "hunter2"


@pytest.mark.parametrize(
    "written",
    [
        f"password: {SECRET}",
        f"password: [{SECRET}]",
        f"password: {{plain: {SECRET}}}",
        f"password: {{env: {SECRET}, file: {SECRET}}}",
        f"password: {{env: [{SECRET}]}}",
        f"password: {{env: {{a: {SECRET}}}}}",
        f"passwort: {SECRET}",
        f"user: {{name: {SECRET}}}",
    ],
)
def test_secret_in_a_wrong_place_is_not_repeated(tmp_path: Path, written: str) -> None:
    """Refused, with its place, but neither message nor traceback shows it."""
    problems = refused(tmp_path, DEVICE, gateway=GATEWAY.replace("]}", f"], {written}}}"))
    assert len(problems) == 1
    assert SECRET not in str(problems[0])


def test_password_that_looks_like_a_number_is_not_repeated(tmp_path: Path) -> None:
    """A PIN is a secret too."""
    (problem,) = refused(tmp_path, DEVICE, gateway=GATEWAY.replace("]}", "], password: 471100}"))
    assert "471100" not in str(problem)


def test_secret_is_not_in_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration knows where a secret is; only `reveal` gives it."""
    monkeypatch.setenv("PW", SECRET)
    config = accepted(tmp_path, DEVICE, gateway=GATEWAY.replace("]}", "], password: {env: PW}}"))
    password = config.uplinks[0].password
    assert password is not None
    assert SECRET not in repr(config) + repr(config.uplinks) + str(password)
    assert password.reveal() == SECRET


def test_secret_that_is_no_text_says_so(tmp_path: Path) -> None:
    """A key in the place of a password must not end the daemon."""
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(LookupError, match="secret is no text"):
        Secret("file", str(tmp_path / "secret")).reveal()


def test_secret_that_is_not_there_says_where_it_was_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only when it is needed: a configuration can be checked on another machine."""
    gateway = GATEWAY.replace("]}", "], password: {credential: mqtt}}")
    password = accepted(tmp_path, DEVICE, gateway=gateway).uplinks[0].password
    assert password is not None
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(LookupError, match="add LoadCredential=mqtt:PATH"):
        password.reveal()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(LookupError, match="No such file"):
        password.reveal()
    (tmp_path / "mqtt").write_text("opensesame\n", encoding="utf-8")
    assert password.reveal() == "opensesame"


TLS_GATEWAY = """
site: h01
gateway: gw-1
topic_root: hospital/v1
uplinks:
  all:
    brokers: [mqtts://broker.example, "mqtts://[::1]:1884"]
    tls: {ca: certs/ca.pem, cert: certs/gw.pem, key: {file: certs/gw.key}, server_name: broker.example}
    telemetry_expiry: 1h
  red:
    brokers: [mqtt://10.0.0.1]
    topic_root: alarms
    filter: {streams: [critical, alarm], systems: [pwr.lw], colours: [red]}
    user: gw
    password: {env: PW}
"""


def test_uplinks_have_their_own_certificates_filter_and_root(tmp_path: Path) -> None:
    """Paths are relative to the folder; what is not written is open to all, under the root of the gateway."""
    all_, red = accepted(tmp_path, DEVICE, gateway=TLS_GATEWAY).uplinks
    certs = tmp_path / "certs"
    key = Secret("file", str(certs / "gw.key"))
    assert all_.tls == Tls(certs / "ca.pem", certs / "gw.pem", key, "broker.example")
    assert (all_.topic_root, all_.filter, all_.telemetry_expiry_s) == ("hospital/v1", Filter(), 3600)
    assert (red.topic_root, red.tls, red.telemetry_expiry_s) == ("alarms", Tls(), None)
    assert red.filter == Filter(frozenset({"critical", "alarm"}), frozenset({"pwr.lw"}), frozenset({"red"}))


NOTIFY_GATEWAY = """
site: h01
gateway: gw-1
uplinks: {main: {brokers: [mqtt://127.0.0.1]}}
notify:
  web: {webhook: {url: "http://10.0.0.9/alarms", token: {env: TOKEN}, ca: certs/ca.pem}, after: 1min, max_per_hour: 6}
  mail: {smtp: {host: mail.h01.example, sender: gw@h01.example, to: [a@h01.example]}}
  plain:
    smtp:
      {host: 10.0.0.8, security: none, sender: gw@h01.example, to: [a@h01.example], user: gw, password: {file: pw}}
"""


def test_people_on_the_spot_are_told_by_web_or_mail(tmp_path: Path) -> None:
    """Ports follow from the security, which is there unless it is declined; what may be unwise is a warning."""
    config = accepted(tmp_path, DEVICE, gateway=NOTIFY_GATEWAY)
    web, mail, plain = config.notifiers
    assert web.way == Webhook("http://10.0.0.9/alarms", Secret("env", "TOKEN"), tmp_path / "certs" / "ca.pem")
    assert (web.after_s, web.max_per_hour, mail.after_s, mail.max_per_hour) == (60, 6, 10, 60)
    assert mail.way == Mail("mail.h01.example", 587, "starttls", "gw@h01.example", ("a@h01.example",))
    assert isinstance(plain.way, Mail)
    assert (plain.way.port, plain.way.user, plain.way.password) == (25, "gw", Secret("file", str(tmp_path / "pw")))
    warnings = sorted(str(warning).partition(": ")[2] for warning in config.warnings)
    assert warnings == [
        f"notify.plain.smtp.password: {tmp_path}/pw is not there; put the secret there before it is needed",
        "notify.plain.smtp.password: it crosses the network readable; write security: starttls or tls",
        f"notify.web.webhook.ca: {tmp_path}/certs/ca.pem is not there; put the PEM file there before it is needed",
        "notify.web.webhook.token: it crosses the network readable; write https:// in url",
    ]


SECRET_LINES = """\
lines:
  ua:
    {protocol: opcua, url: "opc.tcp://10.0.0.3:4840", user: gw, password: {file: secrets/ua}}
"""


def test_a_secret_whose_file_is_not_there_is_a_warning_at_its_place(tmp_path: Path) -> None:
    """Of uplinks and of lines, until it is there; credentials and the environment are those of the service alone."""
    uplinks = "{a: {brokers: [mqtts://b], password: {file: pw}}, b: {brokers: [mqtts://c], password: {env: NOT_SET}}}"
    (tmp_path / "gateway.yaml").write_text(f"site: h01\ngateway: gw-1\nuplinks: {uplinks}\n", encoding="utf-8")
    (tmp_path / "lines.yaml").write_text(SECRET_LINES, encoding="utf-8")

    def missing() -> list[str]:
        return [text for each in load(tmp_path, protocols()).warnings if "is not there" in (text := str(each))]

    hint = "is not there; put the secret there before it is needed"
    assert missing() == [
        f"gateway.yaml:3:37: uplinks.a.password: {tmp_path}/pw {hint}",
        f"lines.yaml:3:65: lines.ua.password: {tmp_path}/secrets/ua {hint}",
    ]
    (tmp_path / "secrets").mkdir()
    for name in ("pw", "secrets/ua"):
        (tmp_path / name).write_text("opensesame\n", encoding="utf-8")
    assert not missing()


def test_files_behind_a_closed_folder_are_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits the configuration need not be who may see its keys."""

    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", closed)
    warnings = [str(warning) for warning in accepted(tmp_path, DEVICE, gateway=TLS_GATEWAY).warnings]
    assert not [text for text in warnings if "is not there" in text]


def test_what_may_be_missing_for_tls_is_a_warning(tmp_path: Path) -> None:
    """Certificates that are not there yet, a slip in a system's name, a password that crosses the network readable."""
    warnings = [str(warning) for warning in accepted(tmp_path, DEVICE, gateway=TLS_GATEWAY).warnings]
    certs = tmp_path / "certs"
    assert [text.partition(": ")[2] for text in warnings] == [
        f"uplinks.all.tls.ca: {certs}/ca.pem is not there; put the PEM file there before it is needed",
        f"uplinks.all.tls.cert: {certs}/gw.pem is not there; put the PEM file there before it is needed",
        f"uplinks.all.tls.key: {certs}/gw.key is not there; put the PEM file there before it is needed",
        "uplinks.red.filter.systems: found 'pwr.lw', which no alarm pack knows; did you mean pwr.lv?",
        "uplinks.red.password: it crosses the network readable; write mqtts:// in brokers",
    ]


def test_roles_are_groups_and_one_that_is_missing_is_said(tmp_path: Path) -> None:
    """A role without groups is left out; a group that this machine has not is a warning, for it may come later."""
    config = accepted(tmp_path, DEVICE, gateway=f"{GATEWAY}roles: {{view: [daemon], configure: [no-such-group]}}\n")
    assert config.roles == {"view": ("daemon",), "configure": ("no-such-group",)}
    assert [(warning.field, warning.message) for warning in config.warnings] == [
        ("roles.configure.0", "this machine has no group no-such-group")
    ]
