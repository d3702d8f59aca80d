"""Every metric that Prometheus is told of, in one table: its name, its labels, and where it is found.

Found in the views at the moment of a scrape: nothing is counted here, and nothing of it is done while values pass.
Labels are names from the configuration, streams, colours and words of the table, so they are bounded. This is neither
the status for people (`agent.status`) nor a history: that is the business of whoever scrapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from agent.metrics.scrape import (
    ANSWERING,
    UNACKNOWLEDGED,
    alarms,
    build,
    by_name,
    called,
    called_peak,
    clock,
    conditions,
    devices,
    epoch_s,
    line_counts,
    oldest,
    one,
    points,
    streams,
    uplinks,
    waiting,
    written,
)
from agent.rules.machine import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.histogram import Histogram
    from agent.metrics.scrape import Labels, Scrape


class Metric(NamedTuple):
    """One row of the table. `found` gives a value for each set of labels, in the order of `labels`."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: Labels
    found: Callable[[Scrape], Iterable[tuple[Labels, float | Histogram]]]
    meaning: str


DEVICE = ("device", "line", "system")

TABLE: tuple[Metric, ...] = (
    # The gateway itself.
    Metric(
        "wardgate_build_info",
        "gauge",
        ("site", "gateway", "version", "cfg_ver", "python"),
        build,
        "always 1; the labels say which gateway this is, its version and that of its configuration",
    ),
    Metric(
        "wardgate_started_seconds",
        "gauge",
        (),
        one(lambda s: epoch_s(s.status.started)),
        "when the daemon started, seconds since 1970",
    ),
    Metric(
        "wardgate_health_conditions",
        "gauge",
        ("code", "severity"),
        conditions,
        "how many lines, devices or uplinks have this condition now; every code of the table is there, mostly with 0",
    ),
    Metric(
        "wardgate_clock_state",
        "gauge",
        ("state",),
        clock,
        "1 for the state of the clock: `synced`, `holdover` (was), `unsynced` (never since the start)",
    ),
    Metric(
        "wardgate_clock_steps_total",
        "counter",
        (),
        one(lambda s: s.clock_steps),
        "how often the clock was set by more than a second",
    ),
    Metric(
        "wardgate_loop_lag_seconds",
        "histogram",
        (),
        lambda s: [((), s.loop_lag)],
        "how much later than asked for the event loop came back, looked at once a second",
    ),
    Metric("wardgate_readings_total", "counter", (), one(lambda s: s.readings), "readings that the rules have seen"),
    Metric(
        "wardgate_values_total",
        "counter",
        (),
        one(lambda s: s.values),
        "values in them that may have changed",
    ),
    Metric(
        "wardgate_inbox_items",
        "gauge",
        (),
        one(lambda s: s.inbox),
        "readings that wait for the rules; at 2,000 the lines are slowed down",
    ),
    Metric(
        "wardgate_disk_written_bytes_total",
        "counter",
        (),
        written,
        "bytes that the process had written to its disks: the wear of a flash",
    ),
    # Lines and devices.
    Metric(
        "wardgate_line_up",
        "gauge",
        ("line", "protocol"),
        lambda s: [((line.id, line.protocol), line.state == "up") for line in s.status.lines],
        "1 while the line is open",
    ),
    Metric(
        "wardgate_line_events_total",
        "counter",
        ("line", "event"),
        line_counts,
        "what the driver of the line counts beside its readings, by its own words, such as `late answers`",
    ),
    Metric(
        "wardgate_poll_seconds",
        "histogram",
        ("line",),
        by_name(lambda s: s.polls),
        "how long polls took that were answered",
    ),
    Metric(
        "wardgate_device_up",
        "gauge",
        DEVICE,
        devices(lambda d: d.state in ANSWERING),
        "1 while the device answers, even if some of its points are bad",
    ),
    Metric(
        "wardgate_device_polls_total",
        "counter",
        DEVICE,
        devices(lambda d: d.polls),
        "polls, answered or not",
    ),
    Metric(
        "wardgate_device_poll_failures_total",
        "counter",
        DEVICE,
        devices(lambda d: d.failures),
        "polls that were not answered",
    ),
    Metric(
        "wardgate_device_polls_late_total",
        "counter",
        DEVICE,
        devices(lambda d: d.late_polls),
        "polls whose time had passed before the one before was done: the line cannot keep its pace",
    ),
    Metric(
        "wardgate_device_round_trip_seconds",
        "gauge",
        DEVICE,
        devices(lambda d: None if d.rtt_ms is None else d.rtt_ms / 1000),
        "how long an answer takes, as a moving mean; not there before the first",
    ),
    Metric(
        "wardgate_device_points",
        "gauge",
        ("device", "quality"),
        points,
        "points of the device by quality: `good`, `uncertain`, `bad`",
    ),
    # Alarms.
    Metric(
        "wardgate_alarms_standing",
        "gauge",
        ("colour",),
        alarms(lambda a: a.state in ACTIVE and not a.hidden),
        "alarms whose condition holds and that are not hidden",
    ),
    Metric(
        "wardgate_alarms_unacknowledged",
        "gauge",
        ("colour",),
        alarms(lambda a: a.state in UNACKNOWLEDGED and not a.hidden),
        "alarms that nobody has acknowledged and that are not hidden",
    ),
    Metric(
        "wardgate_alarms_hidden",
        "gauge",
        ("colour",),
        alarms(lambda a: a.hidden),
        "alarms that are shelved, suppressed or out of service",
    ),
    Metric(
        "wardgate_alarms_called",
        "gauge",
        ("within",),
        called,
        "alarms that called people within the last `10min`, `1h`, `1d`",
    ),
    Metric(
        "wardgate_alarms_called_peak",
        "gauge",
        ("within",),
        called_peak,
        "the most alarms within any `10min`, `1h` of the last day",
    ),
    Metric(
        "wardgate_alarms_called_share",
        "gauge",
        ("colour",),
        by_name(lambda s: {str(colour): share / 100 for colour, share in s.status.load.share_pct.items()}),
        "part of the last day's alarms that had this colour, 0 to 1",
    ),
    Metric(
        "wardgate_alarms_worst",
        "gauge",
        ("alarm",),
        by_name(lambda s: {one.alarm_id: one.count for one in s.status.load.worst}),
        "how often the ten alarms called that called most within the last day",
    ),
    Metric("wardgate_alarm_flood", "gauge", (), one(lambda s: s.status.load.flood), "1 during an alarm flood"),
    Metric(
        "wardgate_alarms_chattering",
        "gauge",
        (),
        one(lambda s: len(s.status.load.chattering)),
        "alarms that come and go too often, and are held on",
    ),
    Metric(
        "wardgate_alarms_stale",
        "gauge",
        (),
        one(lambda s: len(s.status.load.stale)),
        "alarms that have stood for more than a day",
    ),
    Metric(
        "wardgate_alarm_stored_seconds",
        "histogram",
        (),
        lambda s: [((), s.alarm_stored)],
        "from the reading, or the end of an alarm's delay, to the alarm on disk",
    ),
    Metric(
        "wardgate_alarm_acknowledged_seconds",
        "histogram",
        ("uplink",),
        by_name(lambda s: s.alarm_acknowledged),
        "from an alarm on disk to the acknowledgement of the broker; after an outage that is how long it was",
    ),
    # The journal.
    Metric(
        "wardgate_stream_stored_total",
        "counter",
        ("stream",),
        streams(lambda s: s.next_seq - 1),
        "records stored; begins anew with an epoch",
    ),
    Metric("wardgate_stream_records", "gauge", ("stream",), streams(lambda s: s.records), "records kept"),
    Metric("wardgate_stream_bytes", "gauge", ("stream",), streams(lambda s: s.size_bytes), "what they take"),
    Metric(
        "wardgate_stream_lost_total",
        "counter",
        ("stream",),
        streams(lambda s: s.dropped),
        "records that an uplink will never get: dropped at a limit, refused for ever, or in a damaged file",
    ),
    Metric(
        "wardgate_journal_bytes",
        "gauge",
        (),
        one(lambda s: s.status.journal.size_bytes),
        "the journal's files",
    ),
    Metric(
        "wardgate_journal_limit_bytes",
        "gauge",
        (),
        one(lambda s: s.journal.size_max_bytes),
        "most that they may take (`journal.size_max`)",
    ),
    Metric(
        "wardgate_journal_pending_bytes",
        "gauge",
        (),
        one(lambda s: s.status.journal.pending_bytes),
        "handed over and not on disk yet",
    ),
    Metric(
        "wardgate_journal_commits_total",
        "counter",
        (),
        one(lambda s: s.journal.report.commits),
        "transactions since the start",
    ),
    Metric(
        "wardgate_journal_commit_seconds",
        "gauge",
        (),
        one(lambda s: s.journal.report.commit_s),
        "how long the last one took",
    ),
    Metric(
        "wardgate_journal_volatile",
        "gauge",
        (),
        one(lambda s: bool(s.journal.away)),
        "1 while the disk is away and records are in memory only",
    ),
    Metric(
        "wardgate_journal_memory_records",
        "gauge",
        (),
        one(lambda s: s.journal.memory_records),
        "records that are in memory only: a restart would lose them",
    ),
    # The platforms.
    Metric(
        "wardgate_uplink_connected",
        "gauge",
        ("uplink",),
        uplinks(lambda u: u.state == "connected"),
        "1 while there is a session with a broker",
    ),
    Metric(
        "wardgate_uplink_waiting_records",
        "gauge",
        ("uplink", "stream"),
        waiting,
        "records that the broker has not acknowledged",
    ),
    Metric(
        "wardgate_uplink_oldest_waiting_seconds",
        "gauge",
        ("uplink",),
        oldest,
        "how long ago the oldest of them was stored, 0 where there is none",
    ),
    Metric(
        "wardgate_uplink_in_flight",
        "gauge",
        ("uplink",),
        uplinks(lambda u: u.in_flight),
        "messages sent and not acknowledged yet",
    ),
    Metric(
        "wardgate_uplink_acknowledged_total",
        "counter",
        ("uplink",),
        uplinks(lambda u: u.acknowledged),
        "records that the broker has acknowledged, again where one was sent again",
    ),
    Metric(
        "wardgate_uplink_rejected_total",
        "counter",
        ("uplink",),
        uplinks(lambda u: u.rejected),
        "records that the broker will never take, set aside and accounted for",
    ),
    Metric(
        "wardgate_uplink_unconfirmed_records",
        "gauge",
        ("uplink",),
        uplinks(lambda u: u.handed_over),
        "records that the broker has and the platform has not confirmed; only where `confirm` is on",
    ),
    Metric(
        "wardgate_uplink_confirmed_total",
        "counter",
        ("uplink",),
        uplinks(lambda u: u.confirmed),
        "records that the platform has confirmed; only where `confirm` is on",
    ),
)
