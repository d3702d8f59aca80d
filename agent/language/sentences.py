"""Sentences that are made elsewhere (refusals, mistakes in a configuration), in Chinese.

English is the key, as in `words`; `{}` stands for whatever was put in, and keeps its place unless the Chinese one
numbers it. What is put in is translated itself where it is a sentence of its own. A sentence without a row stays
English.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from agent.language import pointlists, troubles, usage

if TYPE_CHECKING:
    from typing import Literal

    from config.errors import Problem

    Language = Literal["zh", "en"]

SENTENCES = {
    # refusals
    "{} is {}: {}": "{} 处于 {}：{}",
    "there is nothing to acknowledge": "没有需要确认的内容",
    "it can be reset once it is latched and acknowledged": "锁存并确认后才能复位",
    "it can be reset once its condition is known to be over": "确知条件已消失后才能复位",
    "{} must never be hidden": "{} 不得隐藏",
    "it cannot be shelved": "不能搁置",
    "{} can be shelved for {} min at most": "{} 最多搁置{}分钟",
    "{} can be shelved for {} min at most{}": "{} 最多搁置{}分钟{}",
    ", because it can become red": "（可能升为红色）",
    "{} is not shelved": "{} 未被搁置",
    "{} is a fire point": "{} 是消防点",
    "it is never taken out of service here": "不能在此停用检修",
    "{} is not out of service": "{} 未停用检修",
    "{} without {}": "{}：缺少{}",
    "maintenance without why": "维护未写原因",
    "maintenance without an end": "维护未写结束时间",
    "shelving": "搁置",
    "out of service": "停用检修",
    "why": "原因",
    "the number of the work order": "工单号",
    "who is responsible": "负责人",
    "say it": "请写明",
    "say until when": "请写明到何时结束",
    "{} is over": "{} 已过去",
    "give a time to come": "请给出将来的时间",
    "maintenance lasts {} days at most": "维护最长{}天",
    "no alarm is meant by it": "没有报警符合该范围",
    "name a device, a system or a place": "请指明设备、系统或位置",
    "there is no maintenance {}": "没有维护 {}",
    "there is {}": "现有：{}",
    "there is no alarm {}": "没有报警 {}",
    "{} means what it means": "{} 的范围是固定的",
    "name nothing beside it": "不要再写其他范围",
    "no alarm {}": "没有报警 {}",
    "no device {}": "没有设备 {}",
    "no point of {} {}": "{} 没有点 {}",
    "no stream {}": "没有流 {}",
    "see {}": "参见 {}",
    "nothing of {} is kept": "没有保存 {} 的记录",
    "{} of {} is computed, not read": "设备 {1} 的 {0} 是计算点，不能读取",
    "no wardgate daemon answers on {} ({})": "{} 上没有 wardgate 在运行（{}）",
    "start it ({}) or name its --config folder": "请启动（{}），或用 --config 指明其配置目录",
    "it has stopped": "它已停止",
    "start it ({})": "请启动（{}）",
    "join the group that owns the socket, or use sudo": "请加入该套接字所属的组，或使用 sudo",
    "use sudo, or join the group {} and log in anew": "请使用 sudo，或加入组 {} 后重新登录",
    "use sudo": "请使用 sudo",
    "{} has the role {}": "{} 的角色是 {}",
    "{} has no role here": "{} 在此没有角色",
    "{} needs {}": "{} 需要角色 {}",
    "a running gateway cannot take over: {}": "运行中的网关无法接管：{}",
    "restart the service to take it over, or take it back": "请重启服务使其生效，或改回原样",
    "uplink {}: {}": "上行 {}：{}",
    "notify {}: {}": "本地通知 {}：{}",
    "http: {}": "本地页面：{}",
    "environment variable {} is not set": "未设置环境变量 {}",
    "cannot read {}: {}": "无法读取 {}：{}",
    "{} is no text": "{} 不是文本",
    "no systemd credentials here (wanted {})": "此处没有 systemd 凭据（需要 {}）",
    "provide that secret": "请提供该密码或密钥",
    "cannot listen on {}: {}": "无法监听 {}：{}",
    "certificate {} or its key cannot be used: {}": "证书 {} 或其私钥无法使用：{}",
    "the certificate {} cannot be used ({})": "证书 {} 无法使用（{}）",
    "put the PEM file of the authority there": "请把签发机构的 PEM 文件放在那里",
    "choose another address, or correct the files": "请换一个地址，或改正文件",
    "the journal's disk is away": "日志磁盘不可用",
    "try again when it is back": "恢复后请重试",
    "not an IP address": "不是 IP 地址",
    "write an address of this machine, such as {} (ip address lists them)": "请写本机的地址，如 {}（见 ip address）",
    "{} is every interface": "{} 表示所有接口",
    "nothing has changed": "未作任何更改",
    "nothing has changed, the former configuration goes on": "未作任何更改，原配置继续运行",
    "others have asked for it already, and wait": "已有他人提出，正在等待",
    "it is not valid any more: {}": "该配置已不再有效：{}",
    "the files are back, but {}": "文件已恢复，但{}",
    "cannot read {} ({})": "无法读取 {}（{}）",
    "cannot write {} ({})": "无法写入 {}（{}）",
    "no configuration {} is kept": "没有保存配置 {}",
    "take another one, see {}": "请选择另一个，参见 {}",
    # what is found
    "found {}, {}": "写的是 {}，{}",
    "found {}": "写的是 {}",
    "found {} where it cannot be": "此处不能写 {}",
    "missing": "缺少",
    "missing, but value is enum": "缺少，而 value 是 enum",
    "unknown key": "没有这个键",
    "not one of the choices": "不在可选项中",
    "nothing": "空",
    "a list": "列表",
    "a mapping": "映射",
    "a number": "数值",
    "a text": "文本",
    "a state": "状态",
    "a truth value": "真假值",
    "true or false": "真或假",
    "not an id": "不是合格的编号",
    "not a whole number": "不是整数",
    "not a number": "不是数值",
    "not true or false": "不是 true 或 false",
    "not a text": "不是文本",
    "not a mapping": "不是映射",
    "not a list": "不是列表",
    "not a topic": "不是合格的主题",
    "not a prefix": "不是合格的前缀",
    "not a host name": "不是主机名",
    "not a duration": "不是时长",
    "not a size": "不是大小",
    "not a day": "不是日期",
    "no day": "缺日期",
    "not a time": "不是时间",
    "not a time of day": "不是一天中的时间",
    "not a time zone": "不是时区",
    "not a poll class or a duration": "既不是轮询等级也不是时长",
    "not a broker address": "不是代理地址",
    "not a web address": "不是网址",
    "not a mail address": "不是邮件地址",
    "not an address to listen on": "不是监听地址",
    "not a group": "不是组名",
    "not a hash": "不是口令散列",
    "not a hash that is good enough": "口令散列强度不够",
    "not a reference": "不是引用",
    "not a state": "不是状态",
    "not a state of {}": "不是 {} 的状态",
    "not a bit": "不是位",
    "not a protocol": "不是协议",
    "not a path": "不是路径",
    "no bit of a word": "超出字的位数",
    "too high": "过大",
    "too low": "过小",
    "too short": "过短",
    "too long": "过长",
    "too fast": "过快",
    "no such line": "没有这条线路",
    "no such profile": "没有这个设备模板",
    "no such device": "没有这台设备",
    "no device": "没有这台设备",
    "no alarm": "没有这条报警",
    "no event": "不是事件",
    "no alarm pack": "没有这个报警包",
    "no alarm of the pack": "报警包中没有这条",
    "no alarm of a pack: none is named": "没有写报警包",
    "no point of {}": "{} 没有这个点",
    "no point of this device": "本设备没有这个点",
    "no point of the profile": "设备模板没有这个点",
    "no point of {} and no word of CEL": "既不是 {} 的点，也不是 CEL 的词",
    "no point of {} is called {}": "{} 没有名为 {} 的点",
    "nothing that an alarm does": "报警没有这个动作",
    "which no alarm pack knows": "没有报警包认识它",
    "which leaves no number open": "其中没有 {n}",
    "{} where it cannot be": "{} 不能在此",
    "but point {} is true or false": "而点 {} 是真假值",
    "but point {} is a whole number": "而点 {} 是整数",
    "but point {} is a text": "而点 {} 是文本",
    "but {} is of type {}": "而 {} 的类型是 {}",
    # files
    "a key without a colon": "键后缺少冒号",
    "a colon where none can be": "此处不能有冒号",
    "a list or mapping without its end": "列表或映射没有结束",
    "a merge key, which YAML 1.2 does not have": "合并键，YAML 1.2 中没有",
    "a quoted text without its end": "引号没有结束",
    "a reference to an anchor that is not there": "引用了不存在的锚点",
    "a second document": "出现第二个文档",
    "a tab": "有制表符",
    "a character that cannot stand here": "此处不能有该字符",
    "this line fits nowhere": "这一行无处可归",
    "too many levels": "层数过多",
    "byte {} is not UTF-8": "字节 {} 不是 UTF-8",
    "the file is empty": "文件是空的",
    "the file is not a mapping": "文件内容不是映射",
    "the tag {}": "标签 {}",
    "key {} is here twice": "键 {} 出现两次",
    "is not read because of its ending": "扩展名不对，未读取",
    "no such folder": "没有这个目录",
    "no such file": "没有这个文件",
    "cannot be read: {}": "无法读取：{}",
    # what does not fit together
    "{} is outside the range of {}, {} to {}": "{} 超出 {} 的量程（{} 至 {}）",
    "{} {} is not below {} {}": "{} {} 不低于 {} {}",
    "{} is not below high {}": "{} 不低于上限 {}",
    "{} is as wide as the distance between {} {} and {} {}": "{} 与 {} {} 和 {} {} 的间距一样宽",
    "there is no limit": "没有限值",
    "there is no limit {}": "没有限值 {}",
    "no colour for {}": "{} 没有颜色",
    "only a limit has levels": "只有限值才有等级",
    "{} conditions, {}": "写了{}个条件：{}",
    "{} conditions, {} and {}": "写了{}个条件：{}、{}",
    "{} conditions, {} and {} and {}": "写了{}个条件：{}、{}、{}",
    "no condition": "没有条件",
    "there is {} too": "同时写了 {}",
    "nothing that is wrong": "没有写什么算异常",
    "nothing happens then": "此时它不起作用",
    "means nothing here": "在此没有意义",
    "point {} is of type {}": "点 {} 的类型是 {}",
    "point {} is a number": "点 {} 是数值",
    "point {} is scaled": "点 {} 有换算",
    "a number has no states": "数值没有状态",
    "a bit has no deadband": "位没有回差",
    "a state has no deadband": "状态没有回差",
    "an expression has no deadband": "表达式没有回差",
    "offline is about the device": "offline 针对设备",
    "{} s are too short, point {} is read every {} s": "{} 秒过短，点 {} 每{}秒读取一次",
    "not a window that means are kept for": "没有这个长度的平均",
    "a life-safety alarm is never shelved": "生命安全报警不得搁置",
    "an alarm of the fire system is never shelved": "消防报警不得搁置",
    "a red alarm of the medical gas supply is never shelved": "医用气体红色报警不得搁置",
    "a life-safety alarm always counts": "生命安全报警始终有效",
    "an alarm of the fire system always counts": "消防报警始终有效",
    "the fire panel latches by itself, and is reset there": "火灾报警控制器自行锁存，并在那里复位",
    "only fire panels have it, this is {}": "只有火灾报警控制器才有，本设备是 {}",
    "{} has this device already": "{} 已有此设备",
    "line {} has device {} at this address already": "线路 {} 的设备 {} 已用此地址",
    "{} is an alarm already, by {}": "{} 已是报警，见 {}",
    "{} needs points that {} has not: {}": "{} 需要 {} 没有的点：{}",
    "{} has no point {}, which {} of {} watches": "{} 没有点 {}（{} 需要，报警包 {}）",
    "{} watches nothing that {} has": "{} 所监视的点 {} 都没有",
    "{} is in {}, the alarm in {}": "{} 的单位是 {}，报警的单位是 {}",
    "{}: {} is in {}, the alarm in {}": "{}：{} 的单位是 {}，报警的单位是 {}",
    "the limit that is confirmed is not written": "没有写所确认的限值",
    "{} speaks {}, line {} {}": "{} 用 {}，线路 {} 用 {}",
    "{} has {} bytes, a socket's path at most {}": "{} 长{}字节，套接字路径最多{}字节",
    "a derived point is not read": "计算点不轮询",
    "it is computed from itself: {}": "它由自身算出：{}",
    "{} does not add up over time": "{} 不随时间累计",
    "{} is a number": "{} 是数值",
    "not one thing to compute": "应只写一种计算",
    "it gives {}, not {}": "结果是{}，不是{}",
    "no point is in it": "其中没有点",
    "it ends too early": "表达式没有写完",
    "point() names a point": "point() 须指明一个点",
    "{}() names points": "{}() 须指明一组点",
    "{}() takes points that are true or false, {} is {}": "{}() 只接受真假值的点，{} 是{}",
    "{} cannot stand between {} and {}": "{} 不能放在{}和{}之间",
    "{} cannot stand before {}": "{} 不能放在{}之前",
    "type bit in a register needs bit: 0 to 15, and only type bit has one": (
        "寄存器中的位须写 bit: 0 至 15，且只有 bit 类型才有"
    ),
    "type string needs its length in registers, and only type string has one": (
        "文本须写寄存器个数 length，且只有文本才有"
    ),
    "neither host nor serial": "host 和 serial 都没有写",
    "no alarm has {} {}": "没有报警的 {} 是 {}",
    "no device has {} {}": "没有设备的 {} 是 {}",
    "no device is all of this": "没有设备符合全部条件",
    "nothing is selected": "没有写范围",
    "both a preset and a selection": "同时写了预设和范围",
    "weeks without weekdays": "写了 weeks 却没有 weekdays",
    "days and weekdays": "同时写了 days 和 weekdays",
    "{} s is not after {} s": "{} 秒不晚于 {} 秒",
    "{} is not the severity of {}": "{} 不属于 {} 的严重度",
    "a secret in plain text": "密码以明文写出",
    "a user or password in the address": "地址中含有用户或密码",
    "a broker without TLS beside one with it": "有的代理用 TLS，有的没有",
    "no broker is reached with TLS": "没有代理使用 TLS",
    "MQTT 3.1.1 has no expiry": "MQTT 3.1.1 没有过期时间",
    "nothing is confirmed on this uplink": "该上行不要求确认",
    "the filter holds the test alarm back, which is {}": "过滤器挡住了测试报警（{}）",
    "not one source": "来源应只写一个",
    "not one way": "方式应只写一种",
    "{} is the client id of uplink {} already": "{} 已是上行 {} 的 client_id",
    "uplink {} has {} at {} already": "上行 {0} 已在 {2} 使用 {1}",
    "{} is open to the network, without TLS": "{} 对网络开放，却没有 TLS",
    "{} is open to the network, without accounts": "{} 对网络开放，却没有账户",
    "there is no rule test": "没有规则测试",
    "holds no rule test": "其中没有规则测试",
    "{} is before the step above it": "{} 早于上一步",
    "{} does not run": "{} 未投入",
    "{} is said of a number, in place of it": "{} 用于代替数值",
    "life-safety alarm {} can take {}, its budget is {}": "生命安全报警 {} 最坏需要 {}，时限 {}",
    "alarm {} can take {}, its budget is {}": "报警 {} 最坏需要 {}，时限 {}",
    "beside a device that does not answer, {} can take {}, its budget is {}": "邻机失联时 {} 最坏需要 {}，时限 {}",
    # what to write
    "did you mean {}?": "是不是 {}？",
    "there is none yet": "尚无可选项",
    "write one of {}": "可写：{}",
    "write exactly one of {}": "只写其中之一：{}",
    "write exactly one, such as {}": "只写一个，例如 {}",
    "write such as {}": "例如 {}",
    "write one such as {}": "例如 {}",
    "write {}": "请写 {}",
    "{} is outside the range of the {} of {}, {} to {}": "{0} 超出 {2} 的 {1} 的范围（{3} 至 {4}）",
    "bits are numbered from 0 to {}": "位号从 0 到 {}",
    "use 1 to 40 of {}, in parts joined by dots": "用 1 至 40 个字符：{}，各段以点相连",
    'write "127.0.0.1:8443", or "0.0.0.0:8443" for every network': (
        '请写 "127.0.0.1:8443"，对所有网络则写 "0.0.0.0:8443"'
    ),
    "write its name, as in /etc/group": "请写组名，见 /etc/group",
    "write a name as in the certificate, without a scheme and a port": "请写证书中的名称，不带协议和端口",
    "write a number with ms, s, min, h or d, such as {}": "请写数值加 ms、s、min、h 或 d，例如 {}",
    "write a number with kB, MB, GB or TB, such as {}": "请写数值加 kB、MB、GB 或 TB，例如 {}",
    "write year-month-day, such as {}": "请写年-月-日，例如 {}",
    "write a point that counts": "请写计数的点",
    "write a point that is a number, or a number": "请写数值的点，或一个数值",
    "write a point that is derived as run_hours or energy": "请写以 run_hours 或 energy 算出的点",
    "write a profile or a line of the same protocol": "请写同一协议的设备模板或线路",
    "write a shorter absolute path": "请写较短的绝对路径",
    "write a value of that type": "请写该类型的值",
    "write another device, system or place": "请写其他设备、系统或位置",
    "write another one, or leave it out": "请换一个，或去掉",
    "write another topic_root": "请换一个 topic_root",
    "write at least one of device, system, profile and place": "请至少写 device、system、profile、place 之一",
    "write {} beside it": "请同时写 {}",
    "write {} beside it, or remove it": "请同时写 {}，或删去",
    "write {} beside it, or {}": "请同时写 {}，或写 {}",
    "write {}, or remove it": "请写 {}，或删去",
    "write {} too, or remove {}": "请同时写 {}，或删去 {}",
    "write device, system or place, or preset: fire-test": "请写 device、system 或位置，或写 preset: fire-test",
    "write exactly one of {} and {}": "只写其中之一：{}、{}",
    "write exactly one of {}, {} and {}": "只写其中之一：{}、{}、{}",
    "write http://HOST/PATH or https://HOST/PATH": "请写 http://HOST/PATH 或 https://HOST/PATH",
    "write http://HOST/PATH or https://HOST/PATH, and a token as a key of its own": (
        "请写 http://HOST/PATH 或 https://HOST/PATH，令牌另用一个键"
    ),
    "write mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS": "请写 mqtt://HOST:PORT，用 TLS 则写 mqtts://HOST:PORT",
    "write mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS, and user and password as keys of their own": (
        "请写 mqtt://HOST:PORT，用 TLS 则写 mqtts://HOST:PORT；用户和密码另用两个键"
    ),
    "write mqtts:// for all of them": "全部写成 mqtts://",
    "write mqtts:// in brokers, or remove tls": "请在 brokers 中写 mqtts://，或删去 tls",
    "write it together with {}": "请与 {} 一起写",
    "write its number, such as 3, a list of them, or {clear: 3}": "请写位号，例如 3，或位号列表，或 {clear: 3}",
    "write {} instead of {}": "请写 {}，不要写 {}",
    "write line: the id of a line in lines.yaml": "请写 line: 及 lines.yaml 中线路的编号",
    "write number or integer, or remove it": "请写 number 或 integer，或删去",
    "write one of {}, or a duration such as {}": "可写：{}，或时长，例如 {}",
    "write one of the actions, then if you like level and colour, such as {}": (
        "请写一个动作，之后可写等级和颜色，例如 {}"
    ),
    "write one of them": "请只写一个",
    "write one of them, and another alarm": "请只写一个，另一个写成另一条报警",
    "write parts joined by /, without # + and blanks, such as {}": "各段用 / 相连，不含 #、+ 和空格，例如 {}",
    "write parts that each end in a dot, such as {}": "各段以点结尾，例如 {}",
    "write point: the id of one of the device's points": "请写 point: 及本设备某点的编号",
    "write site: a short id of the hospital, such as {}": "请写 site: 及医院简短编号，例如 {}",
    "write gateway: a short id of this gateway, unique in the site, such as {}": (
        "请写 gateway: 及本网关在院区内唯一的编号，例如 {}"
    ),
    "write source: the maker's document with its edition, or unverified": (
        "请写 source: 及厂家文件和版本，或 unverified"
    ),
    "write system: such as {}, or name a profile that has one": "请写 system: 例如 {}，或用带有 system 的设备模板",
    "write the limit for it, such as {}": "请写相应的限值，例如 {}",
    "write the steps in order": "请按时间顺序写各步",
    "write times that rise, such as {}": "请写递增的时间，例如 {}",
    "write true, false, the name of a state, or a list of them": "请写 true、false、状态名，或其列表",
    "write true or false": "请写 true 或 false",
    "write {}, or one text for both": "请写 {}，或两种语言共用一个文本",
    "write a test in {}, such as {}, or name another file": "请在 {} 中写测试，例如 {}，或换一个文件",
    "write one in a file {}, such as {}": "请写在文件 {} 中，例如 {}",
    "write both": "两者都要写",
    "write both: {}": "两者都要写：{}",
    "write what gives a number": "请写结果为数值的表达式",
    "write what gives true or false": "请写结果为真假值的表达式",
    "write what `wardgate password` prints, in quotes": "请写 `wardgate password` 输出的内容，加引号",
    "write tls: {}, or listen on 127.0.0.1": "请写 tls: {}，或只监听 127.0.0.1",
    "write {} with what `wardgate password` prints, or listen on 127.0.0.1": (
        "请写 {}，散列用 `wardgate password` 输出，或只监听 127.0.0.1"
    ),
    "write {} or more": "请写 {} 或更大",
    "write {} or less": "请写 {} 或更小",
    "write less than {}": "请写小于 {}",
    "write more than {}": "请写大于 {}",
    "write {} or more items": "至少写{}项",
    "write {} or more characters": "至少写{}个字符",
    "write {}s or more, or poll it more often": "请写 {}s 或更长，或提高轮询频率",
    "write a limit inside": "限值应在量程内",
    "write them so that LL < L < H < HH": "应满足 LL < L < H < HH",
    "write low < high": "应满足 low < high",
    "write a whole number": "请写整数",
    "write a number": "请写数值",
    "write another key, or leave one of the two out": "请换一个键，或去掉其中之一",
    "write another key, or change the pack's alarm under override": "请换一个键，或在 override 中修改报警包的报警",
    "write another id, ids are unique in the gateway": "请换一个编号，编号在网关内唯一",
    "write the address of this device": "请写本设备的地址",
    "write the closing bracket, and commas between items": "请补上右括号，各项之间用逗号",
    "write the closing quote": "请补上引号",
    "write the rest, or the closing bracket": "请写完，或补上右括号",
    "write fewer levels into each other": "请减少嵌套",
    "write comparisons there, such as {}": "请写比较，例如 {}",
    "write it as a text: {}": "请写成文本：{}",
    "write {} instead of the full-width {}": "请写半角 {}，不要写全角 {}",
    "use 1 to 40 of {}": "用 1 至 40 个字符：{}",
    "use common: or a profile": "请用 common: 或设备模板",
    "put it into quotes": "请加引号",
    "put the text into quotes": "请加引号",
    "put a text that holds a comma into quotes": "含逗号的文本请加引号",
    "put a text into quotes, and compare it with a text": "文本请加引号，并与文本比较",
    "true and false are no numbers": "真假值不是数值",
    "quote a text that starts with *": "以 * 开头的文本请加引号",
    "indent with blanks": "请用空格缩进",
    "save the file as UTF-8": "请将文件存为 UTF-8",
    "rename it to .yaml": "请改扩展名为 .yaml",
    "start the keys of one mapping in the same column": "同一映射的键应左对齐",
    "remove the line ---": "请删去 --- 行",
    "remove it": "请删去",
    "remove it, or life_safety": "请删去，或去掉 life_safety",
    "remove it, or name the points as the pack does": "请删去，或按报警包的名称命名点",
    "remove the override, or write point: with the one it has": "请删去 override，或用 point: 写明实际的点",
    "remove scale and offset of a word of bits": "位字请去掉 scale 和 offset",
    "leave the tag out": "请去掉标签",
    "leave shelvable out": "请去掉 shelvable",
    "leave a condition out": "请去掉一个条件",
    "leave value out, and name a point with a number": "请去掉 value，并指明数值的点",
    "line {} has it too, remove one": "第 {} 行也有，请删去一个",
    "add them, or write omit: {}": "请补上这些点，或写 omit: {}",
    "add limit {}, or remove the colour": "请补上限值 {}，或去掉颜色",
    "add {}: red, orange, yellow or blue": "请补上 {}：red、orange、yellow 或 blue",
    "correct the point, or write unit: and its limits for it": "请改正点的单位，或写 unit: 及相应的限值",
    "break the circle": "请断开循环",
    "compare it, such as {}": "请与某值比较，例如 {}",
    "see the examples": "参见示例",
    "see the examples for what belongs into it": "内容参见示例",
    "name the folder that holds gateway.yaml": "请指明含 gateway.yaml 的目录",
    "name another file": "请换一个文件",
    "confirm it first, see confirmed_by": "请先确认，见 confirmed_by",
    "poll its point faster (poll: L is once a second), or ask less of the line": (
        "请提高该点的轮询频率（poll: L 为每秒一次），或减轻线路负担"
    ),
    "shorten timeout, raise concurrency where the line bears it, or give it a line of its own": (
        "请缩短 timeout，在线路允许时提高 concurrency，或单独用一条线路"
    ),
    # warnings
    "warning": "警告",
}

CHINESE = troubles.CHINESE | usage.CHINESE | pointlists.CHINESE | SENTENCES

_HOLE = re.compile(r"\\\{\\\}")


def said(text: str, language: Language) -> str:
    """The text in that language."""
    return chinese(text) if language == "zh" else text


def problem(one: Problem, language: Language) -> str:
    """One mistake in a configuration, with its place."""
    if language == "en":
        return str(one)
    what = "；".join(chinese(part) for part in (one.message, one.hint) if part)
    return f"{one.where}: {one.field}: {what}" if one.field else f"{one.where}: {what}"


def chinese(text: str) -> str:
    """The text in Chinese, as far as there is a row for it; its lines, and their parts, joined by `; `, one by one."""
    return "\n".join("；".join(_sentence(part) for part in line.split("; ")) for line in text.split("\n"))


def _sentence(text: str) -> str:
    if text in CHINESE:
        return CHINESE[text]
    for pattern, meant in _patterns():
        match = pattern.fullmatch(text)
        if match is not None:
            return meant.format(*map(_sentence, match.groups()))
    placed = _PLACE.fullmatch(text)
    return placed[1] + _sentence(placed[2]) if placed else text


_PLACE = re.compile(
    r"((?:\S+:\d+:\d+|[^:]+:\d+(?::[A-Z]{1,3})?): (?:[\w.\-/#()% ]+: )?|[^:]+\.(?i:csv|txt): )(.+)", re.DOTALL
)
"""Where a mistake is: file, line, column and field; row and column of a list; or a whole list."""


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Rows with something put in, those that say most first."""
    rows = sorted((row for row in CHINESE if "{}" in row), key=lambda row: (-len(row.replace("{}", "")), row))
    return [(re.compile(_HOLE.sub("(.+?)", re.escape(row)), re.DOTALL), CHINESE[row]) for row in rows]
