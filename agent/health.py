"""Every health condition that the gateway can report of itself, in one table, and the set of those that hold now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.events import Names, rfc3339
from agent.status import HealthView

if TYPE_CHECKING:
    from collections.abc import Iterator

Code = Literal[
    "line_down",
    "line_refused",
    "line_fault",
    "line_late",
    "device_offline",
    "uplink_down",
    "uplink_refused",
    "uplink_substitute",
    "stream_held",
    "client_id_taken",
    "certificate_expires",
    "certificate_unusable",
    "confirm_overdue",
    "commands_refused",
    "proof_overdue",
    "journal_volatile",
    "journal_damaged",
    "records_lost",
    "clock_unset",
    "notice_failed",
    "config_refused",
    "config_fallback",
    "alarms_unconfirmed",
    "review_due",
    "alarm_flood",
    "page_down",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a condition is called, how bad it is, and what a person should do about it."""

    severity: Literal["error", "warning", "info"]
    title: Names
    todo: Names


TABLE: dict[Code, Kind] = {
    "line_down": Kind(
        "error",
        Names(zh="线路中断", en="Line down"),
        Names(zh="检查电缆、电源和地址；恢复后自动重连", en="Check cable, power and address; it reconnects by itself"),
    ),
    "line_refused": Kind(
        "error",
        Names(zh="线路被拒绝", en="Line refused"),
        Names(zh="检查凭据、证书或被占用的端口", en="Check credentials, certificate or a port that is in use"),
    ),
    "line_fault": Kind(
        "error",
        Names(zh="驱动程序内部错误", en="Fault inside a driver"),
        Names(zh="线路会自动重启；请把日志发给支持人员", en="The line restarts by itself; send the log to support"),
    ),
    "line_late": Kind(
        "warning",
        Names(zh="线路跟不上轮询周期", en="Line cannot keep its pace"),
        Names(
            zh="减少点位或放慢轮询；wardgate points --plan 显示各设备占用的时间",
            en="Ask less or less often; wardgate points --plan shows what each device takes of the line",
        ),
    ),
    "device_offline": Kind(
        "warning",
        Names(zh="设备离线", en="Device offline"),
        Names(zh="检查设备电源和总线；用 wardgate read 试读", en="Check its power and bus; try wardgate read DEVICE"),
    ),
    "uplink_down": Kind(
        "error",
        Names(zh="无法连接平台", en="Platform not reachable"),
        Names(
            zh="检查网络和代理地址；数据保存在日志中",
            en="Check network and broker address; data is kept in the journal",
        ),
    ),
    "uplink_refused": Kind(
        "error",
        Names(zh="平台拒绝连接", en="Platform refuses the connection"),
        Names(
            zh="按详情检查用户名、密码、权限或证书；数据保存在日志中",
            en="Check user, password, rights or certificates, as the detail says; data is kept in the journal",
        ),
    ),
    "uplink_substitute": Kind(
        "warning",
        Names(zh="已切换到备用代理", en="On a substitute broker"),
        Names(
            zh="检查首选代理；它恢复后网关会自动切回",
            en="Check the preferred broker; the gateway returns to it by itself once it is back",
        ),
    ),
    "stream_held": Kind(
        "error",
        Names(zh="代理拒收部分消息", en="The broker does not take some messages"),
        Names(
            zh="检查代理上本网关的发布权限和配额；数据保留在日志中，放行后自动补发",
            en="Check this gateway's rights and quota at the broker; data is kept in the journal and sent once allowed",
        ),
    ),
    "client_id_taken": Kind(
        "error",
        Names(zh="客户端标识被他人使用", en="Somebody else uses our client id"),
        Names(
            zh="为每个网关设置不同的 client_id；此前网关只会缓慢重连",
            en="Give every gateway a client_id of its own; until then it connects again only slowly",
        ),
    ),
    "certificate_expires": Kind(
        "warning",
        Names(zh="证书即将到期", en="A certificate ends soon"),
        Names(
            zh="续期证书并替换文件，无需重启",
            en="Have it renewed and replace the file; no restart is needed",
        ),
    ),
    "certificate_unusable": Kind(
        "error",
        Names(zh="新证书无法使用", en="The renewed certificate cannot be used"),
        Names(
            zh="检查证书与私钥文件是否配套；当前连接仍在使用旧证书",
            en="Check that certificate and key files belong together; the session still runs with the old ones",
        ),
    ),
    "confirm_overdue": Kind(
        "error",
        Names(zh="平台未确认收到", en="The platform does not confirm"),
        Names(
            zh="检查平台的接收程序，以及代理上本网关的发布权限和 cmd 主题权限；数据保留在日志中",
            en="Check the platform's consumer, and this gateway's rights at the broker to publish and to hear cmd/#; "
            "data is kept in the journal",
        ),
    ),
    "commands_refused": Kind(
        "warning",
        Names(zh="收不到平台命令", en="Cannot hear the platform's commands"),
        Names(
            zh="在代理的访问规则中允许本网关订阅 cmd/#",
            en="Allow this gateway to subscribe to cmd/# in the broker's access rules",
        ),
    ),
    "proof_overdue": Kind(
        "error",
        Names(zh="测试报警未按时确认", en="The test alarm did not come back confirmed"),
        Names(
            zh="报警可能到不了平台：检查代理、平台的接收程序及其确认",
            en="Alarms may not reach the platform: check the broker, the platform's consumer and its confirmations",
        ),
    ),
    "review_due": Kind(
        "warning",
        Names(zh="停用检修待复核", en="Out of service for a week"),
        Names(
            zh="工单若已完成则恢复投用（alarms in-service），否则再次停用（alarms out-of-service）",
            en="Put it back (alarms in-service), or, still worked on, out again (alarms out-of-service)",
        ),
    ),
    "journal_volatile": Kind(
        "error",
        Names(zh="日志磁盘不可用，数据暂存于内存", en="Journal disk away, data is in memory only"),
        Names(
            zh="检查磁盘空间、只读挂载和磁盘故障；恢复前请勿重启网关，恢复后自动写盘",
            en="Check free space, mount and disk; it recovers by itself, but a restart loses what is in memory",
        ),
    ),
    "journal_damaged": Kind(
        "warning",
        Names(zh="日志文件曾损坏，已抢救", en="Journal file was damaged and salvaged"),
        Names(
            zh="检查磁盘；损坏的文件保留在日志目录中，可发给支持人员",
            en="Check the disk; the damaged file is kept beside the journal, send it to support",
        ),
    ),
    "records_lost": Kind(
        "error",
        Names(zh="有记录未能送达平台并已丢失", en="Records are lost to the platform"),
        Names(
            zh="检查平台中断原因，必要时增大 journal.size_max；水位消息向平台说明缺了哪些",
            en="See why the platform did not take them, or raise journal.size_max; the watermark tells it which",
        ),
    ),
    "clock_unset": Kind(
        "warning",
        Names(zh="时钟无人校准", en="Nobody sets this machine's clock"),
        Names(
            zh="检查 chrony 或 systemd-timesyncd 及其时间服务器；在此之前事件带有 clockstate 标记，时间可能不准",
            en="Check chrony or systemd-timesyncd and its time server; until then events say so (clockstate)",
        ),
    ),
    "notice_failed": Kind(
        "error",
        Names(zh="本地通知发送失败", en="People on the spot cannot be told"),
        Names(
            zh="按详情检查 notify 的地址、凭据和服务器；平台不可达期间请人工查看 wardgate alarms",
            en="Check address, secret and server under notify, as the detail says; until then watch wardgate alarms",
        ),
    ),
    "config_refused": Kind(
        "error",
        Names(zh="新配置被拒绝，原配置继续运行", en="The new configuration was refused, the former one goes on"),
        Names(
            zh="按详情改正（wardgate check），再执行 wardgate reload；或用 wardgate config rollback 恢复",
            en="Correct what the detail says (wardgate check), then wardgate reload; or wardgate config rollback",
        ),
    ),
    "config_fallback": Kind(
        "error",
        Names(
            zh="配置无法启动，正以上次可用的配置运行",
            en="Started with the last good configuration, not with the one in the folder",
        ),
        Names(
            zh="按详情改正（wardgate check），再执行 wardgate reload；或用 wardgate config rollback 恢复",
            en="Correct what the detail says (wardgate check), then wardgate reload; or wardgate config rollback",
        ),
    ),
    "alarms_unconfirmed": Kind(
        "warning",
        Names(zh="有报警未确认限值，尚未投入", en="Alarms do not run, because nobody has confirmed their limits"),
        Names(
            zh="核对限值后在配置中写入 limit 和 confirmed_by；wardgate check 列出全部",
            en="Check the limits and write limit and confirmed_by in the configuration; wardgate check lists them",
        ),
    ),
    "page_down": Kind(
        "warning",
        Names(zh="本地页面未开放", en="The local page is not open"),
        Names(
            zh="按详情检查 http.listen 的地址端口以及证书文件；每15秒重试一次",
            en="Check address and port of http.listen and the certificate's files; it is tried again every 15 s",
        ),
    ),
    "alarm_flood": Kind(
        "warning",
        Names(zh="报警洪泛", en="Alarm flood"),
        Names(
            zh="先处理红色和橙色报警；用 wardgate alarms load 查看来源；报警不会被丢弃或延迟",
            en="Begin with red and orange; wardgate alarms load says where they come from; none is dropped or delayed",
        ),
    ),
}


class Health:
    """The conditions that hold now. Raising one that holds only renews its detail."""

    def __init__(self) -> None:
        self._held: dict[tuple[Code, str], tuple[float, str]] = {}

    def hold(self, code: Code, target: str, wall: float, detail: str = "") -> None:
        """`code` is true of `target` (a line, device or uplink) since now, unless it was already."""
        since, _ = self._held.get((code, target), (wall, ""))
        self._held[code, target] = (since, detail)

    def release(self, target: str, *codes: Code) -> None:
        """The named conditions of `target` are over."""
        for code in codes:
            self._held.pop((code, target), None)

    @property
    def held(self) -> set[tuple[Code, str]]:
        """Which condition is true of what now."""
        return set(self._held)

    def views(self) -> Iterator[HealthView]:
        """What holds now, the worst first, then the oldest."""
        order = {"error": 0, "warning": 1, "info": 2}
        for (code, target), (since, detail) in sorted(
            self._held.items(), key=lambda item: (order[TABLE[item[0][0]].severity], item[1][0], item[0])
        ):
            kind = TABLE[code]
            yield HealthView(
                code=code,
                severity=kind.severity,
                target=target,
                since=rfc3339(since),
                title=kind.title,
                detail=detail,
                todo=kind.todo,
            )
