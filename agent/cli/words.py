"""What the command line says in Chinese. English is the key, so a word without a translation is still a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cli.options import Language
    from agent.events import Names

CHINESE = {
    "ACKED": "已确认",
    "LTACK": "锁存已确认",
    "LTUNK": "锁存未确认",
    "NORM": "正常",
    "RTNUN": "已恢复未确认",
    "UNACK": "未确认",
    "ack all": "全部确认",
    "acknowledged alarms": "已确认报警",
    "acknowledged": "已确认",
    "address": "地址",
    "age": "数据龄",
    "alarm": "报警",
    "alarms": "报警",
    "all quiet": "一切正常",
    "audit": "审计",
    "backlog": "积压",
    "bad": "坏",
    "blue": "蓝",
    "broker": "代理",
    "cleared": "已消除",
    "clock": "时钟",
    "colour": "颜色",
    "confirmed": "平台已确认",
    "connected": "已连接",
    "connecting": "连接中",
    "critical": "危急",
    "degraded": "降级",
    "device": "设备",
    "devices": "设备",
    "disabled": "停用",
    "down": "中断",
    "dropped": "丢弃",
    "endpoint": "地址",
    "error": "错误",
    "errors": "错误",
    "events/s": "事件/秒",
    "every device answers again": "所有设备恢复应答",
    "false": "否",
    "fault": "故障",
    "fire in zone 3": "三区火警",
    "fire": "火警",
    "good": "好",
    "handed over": "已交代理",
    "health": "健康",
    "holdover": "守时",
    "info": "提示",
    "journal": "日志库",
    "last ok": "最近成功",
    "latched": "锁存",
    "latched, acknowledged": "锁存已确认",
    "line": "线路",
    "live from": "实时起点",
    "lines": "线路",
    "mains": "市电",
    "make something happen: press a key": "按键触发事件",
    "name": "名称",
    "next sequence": "下一序号",
    "next": "下一",
    "no alarms": "无报警",
    "no health conditions": "无健康告警",
    "normal": "正常",
    "not confirmed": "待平台确认",
    "offline": "离线",
    "online": "在线",
    "orange": "橙",
    "oxygen is back": "氧气恢复",
    "oxygen runs low in the operating room": "手术室氧压低",
    "oxygen": "氧气",
    "point": "点",
    "protocol": "协议",
    "quality": "质量",
    "quit": "退出",
    "raised": "发生时间",
    "raw": "原始",
    "received": "收到",
    "records": "记录",
    "red": "红",
    "refused": "被拒",
    "returned": "已恢复",
    "round trip": "往返",
    "silence": "静默",
    "silenced": "已静默",
    "since": "自",
    "size": "大小",
    "state": "状态",
    "stream": "流",
    "synced": "已同步",
    "system": "系统",
    "target": "对象",
    "telemetry": "遥测",
    "text": "内容",
    "the broker is back: alarms come first, the backlog beside them": "代理已恢复：报警优先，积压数据随后补发",
    "the broker is pulled: events wait in the journal": "代理已拔除：事件保存在日志库中",
    "the fire panel is reset": "火警主机复位",
    "the mains fails": "市电中断",
    "the mains returns": "市电恢复",
    "true": "是",
    "unacknowledged": "未确认",
    "uncertain": "存疑",
    "unknown": "未知",
    "unsynced": "未同步",
    "up": "正常",
    "uplink": "上行",
    "uptime": "已运行",
    "value": "值",
    "values/s": "数值/秒",
    "waiting": "待发",
    "warning": "警告",
    "what to do": "处置",
    "yellow": "黄",
}


class Words:
    """One language: of our own words, and of the names in a configuration."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, word: str) -> str:
        return CHINESE.get(word, word) if self.language == "zh" else word

    def of(self, names: Names) -> str:
        return names.zh if self.language == "zh" else names.en

    def other(self, names: Names) -> str:
        """The other language, or nothing where it says the same."""
        other = names.en if self.language == "zh" else names.zh
        return "" if other == self.of(names) else other
