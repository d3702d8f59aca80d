/* The local page. Asks the gateway's control API every two seconds and shows what it says; keeps nothing, decides
 * nothing. Every text from the gateway goes into the document as text, never as markup.
 *
 * One round: ask, then draw the view that the address names, by patching what is there, so that focus, selection and
 * scrolling stay. Actions are found by `data-do` at the element that was used.
 */

const ASK_EVERY_MS = 2000;
const ASK_AGAIN_MS_MAX = 30000;
const ANSWER_MS_MAX = 10000;
const STALE_MS = 7000;
const COLOURS = ["red", "orange", "yellow", "blue"];
const CALLING = new Set(["UNACK", "RTNUN", "LTUNK"]);
const ROLES = ["view", "acknowledge", "configure"];
const UNITS = { 1: "", Cel: "°C", "[ppm]": "ppm", "kW.h": "kWh", Ohm: "Ω", kOhm: "kΩ", "ug/m3": "µg/m³" };
const LOOKS = {
  online: "green", up: "green", connected: "green", good: "green", synced: "green",
  degraded: "yellow", connecting: "yellow", waiting: "yellow", uncertain: "yellow", holdover: "yellow", warning: "yellow",
  offline: "red", down: "red", refused: "red", fault: "red", bad: "red", unsynced: "red", error: "red",
  disabled: "grey", unknown: "grey", info: "blue",
};

/* English is the key, so a word without a translation is still a word. */
const CHINESE = {
  "account": "账户", "acknowledge": "确认", "acknowledged": "已确认", "address": "地址", "age": "数据龄",
  "alarms": "报警", "all devices": "全部设备", "ask the device now": "立即读取", "asked now": "刚读取",
  "backlog": "积压", "bad": "坏", "blue": "蓝", "broker": "代理", "cancel": "取消", "clock": "时钟", "comment": "备注",
  "comes again by itself": "自动重试", "confirmed": "平台已确认", "connected": "已连接", "connecting": "连接中",
  "degraded": "降级", "device": "设备", "devices": "设备", "disabled": "停用", "down": "中断", "dropped": "丢弃",
  "endpoint": "端点", "error": "错误", "errors": "错误率", "fault": "故障", "find a device": "查找设备",
  "gateway": "网关", "good": "好", "handed over": "已交代理", "health": "健康", "hidden": "已隐藏", "holdover": "守时",
  "info": "提示", "journal": "日志库", "last answer": "最近应答", "limit": "限值", "line": "线路", "lines": "线路", "live": "实时",
  "log in": "登录", "log out": "退出", "login is wrong": "账户或密码不正确", "maintenance": "维护", "name": "名称",
  "no alarms": "无报警", "no connection to the gateway since": "与网关失去连接，自",
  "no device fits": "没有符合的设备", "no health conditions": "无健康告警", "no uplinks": "无上行", "not confirmed": "待平台确认",
  "not durable: the disk is away": "磁盘不可用，数据仅在内存", "offline": "离线", "online": "在线", "orange": "橙", "password": "密码",
  "point": "测点", "points": "测点", "protocol": "协议", "quality": "质量", "raised": "发生于", "reason": "原因",
  "records": "记录", "red": "红", "refused": "被拒", "round trip": "往返", "sequence": "序号", "since": "自", "size": "大小",
  "skip to the content": "跳到内容", "state": "状态", "stream": "流", "synced": "已同步", "system": "系统", "test": "测试",
  "too many tries": "尝试次数过多，请等待", "uncertain": "存疑", "unknown": "未知", "unsynced": "未同步", "up": "正常",
  "uplink": "上行", "uplinks": "上行", "value": "值", "version": "版本", "waiting": "等待重连", "to send": "待发", "warning": "警告",
  "what follows is as it was then; trying again": "以下为当时数值；正在重试", "what to do": "处置", "yellow": "黄",
  "you may look only": "仅可查看", "new alarm": "新报警", "critical": "危急", "alarm": "报警", "audit": "审计", "telemetry": "遥测",
  "true": "是", "false": "否", "until": "至", "of": "/", "by": "操作人", "at": "于", "never": "从未", "page": "页面",
  UNACK: "未确认", ACKED: "已确认", RTNUN: "已恢复未确认", LTUNK: "锁存未确认", LTACK: "锁存已确认", NORM: "正常",
  SHLVD: "搁置", DSUPR: "设计抑制", OOSRV: "停用检修",
  ok: "正常", local_override: "就地手动", last_known: "最后值", substituted: "替代值", initial: "初始值",
  sensor_uncalibrated: "传感器未校准", range_suspect: "量程可疑", over_range: "超上限", under_range: "超下限",
  subnormal: "低于正常", insufficient_data: "数据不足", out_of_service: "停用", sensor_fault: "传感器故障",
  device_fault: "设备故障", config_error: "配置错误", not_connected: "未接", comm_lost: "通信中断", busy: "忙",
  not_available: "不可用", decode_error: "解码错误", denied: "被拒绝",
};
const ENGLISH = {
  UNACK: "not acknowledged", ACKED: "acknowledged", RTNUN: "over, not acknowledged", LTUNK: "latched, not acknowledged",
  LTACK: "latched", NORM: "normal", SHLVD: "shelved", DSUPR: "suppressed by design", OOSRV: "out of service",
  "login is wrong": "account or password is wrong", "too many tries": "too many tries; wait",
  "comes again by itself": "is tried again by itself",
};

const here = {
  language: null, me: null, status: null, points: [], device: null, search: "", askedAt: 0, error: "", lost: null,
  delay: ASK_EVERY_MS, timer: 0, known: null, acking: null,
};

/* --- words and figures ------------------------------------------------------------------------------------------- */

const word = (key) => (here.language === "zh" ? CHINESE[key] : ENGLISH[key]) ?? String(key).replaceAll("_", " ");
const named = (names) => names[here.language] || names.en || names.zh;
/* What the gateway says in sentences, by the table that it has of them: `{}` stands for what was put in. */
const SAID_MAX = 500;
let sentences = null;
let said = new Map();

async function learn() {
  if (sentences !== null || here.language !== "zh") return;
  const table = await ask("sentences.json").catch(() => null);
  if (table === null) return;
  const holes = Object.keys(table).filter((row) => row.includes("{}"));
  holes.sort((one, other) => other.replaceAll("{}", "").length - one.replaceAll("{}", "").length || (one < other ? -1 : 1));
  const escaped = (row) => row.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("\\{\\}", "(.+?)");
  sentences = { table, patterns: holes.map((row) => [new RegExp(`^${escaped(row)}$`, "s"), table[row]]) };
  said = new Map();
}

function told(text) {
  if (!text || here.language !== "zh" || sentences === null) return text ?? "";
  if (!said.has(text)) {
    if (said.size >= SAID_MAX) said.clear();
    said.set(text, text.split("; ").map(sentence).join("；"));
  }
  return said.get(text);
}

function sentence(text) {
  if (Object.hasOwn(sentences.table, text)) return sentences.table[text];
  for (const [pattern, meant] of sentences.patterns) {
    const found = pattern.exec(text);
    if (found) {
      let next = 0;
      return meant.replace(/\{(\d*)\}/g, (_, place) => sentence(found[1 + (place === "" ? next++ : Number(place))]));
    }
  }
  return text;
}

const unit = (code) => UNITS[code] ?? code.replace(/[{}]/g, "").replace("m3", "m³");

function figure(value) {
  if (value === null || value === undefined) return "—";
  if (typeof value === "boolean") return word(String(value));
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  const digits = size >= 10000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "—";
  for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${name}`;
  }
  return `${seconds < 10 ? Math.max(0, seconds).toFixed(1) : Math.round(seconds)} s`;
}

function bytes(size) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  for (; size >= 1024 && step < names.length - 1; step += 1) size /= 1024;
  return `${step ? size.toFixed(1) : size} ${names[step]}`;
}

function clockTime(text) {
  if (!text) return word("never");
  const moment = new Date(text);
  const day = moment.toDateString() === new Date(here.status?.now ?? Date.now()).toDateString() ? "" : `${moment.toLocaleDateString("sv")} `;
  return day + moment.toLocaleTimeString("sv");
}

/* How long ago by the gateway's own clock: that of a telephone may be anything. */
const ago = (text) => span((Date.parse(here.status.now) - Date.parse(text)) / 1000);
const may = (role) => here.me !== null && ROLES.indexOf(here.me.role) >= ROLES.indexOf(role);

/* --- the document ------------------------------------------------------------------------------------------------ */

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

/* Make `old` like `fresh` and keep every node that can stay: by `data-key` where there is one, otherwise by place. */
function patch(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patchChildren(old, fresh);
}

function patchChildren(old, fresh) {
  const kept = new Map([...old.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const match = wanted.dataset?.key ? kept.get(wanted.dataset.key) : alike(place, wanted) ? place : null;
    if (!match || match.nodeName !== wanted.nodeName) {
      old.insertBefore(wanted, place);
    } else {
      if (match !== place) old.insertBefore(match, place);
      else place = place.nextSibling;
      if (match.nodeType === Node.TEXT_NODE) {
        if (match.data !== wanted.data) match.data = wanted.data;
      } else if (!match.hasAttribute("data-still")) patch(match, wanted);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const alike = (node, wanted) => node && node.nodeName === wanted.nodeName && !node.dataset?.key;
const byId = (id) => document.getElementById(id);

const pill = (state, text = word(state)) => h("span", { class: `pill ${LOOKS[state] ?? state}` }, text);
const todo = (text) => text && h("p", { class: "todo" }, text);
const facts = (rows) => h("dl", { class: "facts" }, rows.filter(([, value]) => value !== "" && value !== null && value !== undefined)
  .map(([name, value]) => [h("dt", null, word(name)), h("dd", null, value)]));
const tile = (look, count, text) => h("li", { class: `tile ${look}` }, h("b", null, String(count)), h("span", null, text));

/* --- views ------------------------------------------------------------------------------------------------------- */

const VIEWS = { alarms: viewAlarms, devices: viewDevices, gateway: viewGateway };

function viewAlarms() {
  const { alarms, maintenance } = here.status;
  const shown = alarms.filter((alarm) => !alarm.hidden);
  const hidden = alarms.filter((alarm) => alarm.hidden);
  return [
    h("ul", { class: "tiles" }, COLOURS.map((colour) => {
      const count = shown.filter((alarm) => alarm.colour === colour).length;
      return tile(count ? colour : "", count, word(colour));
    })),
    shown.length ? h("ul", { class: "cards" }, shown.map(alarmCard)) : h("p", { class: "none fine" }, `✓ ${word("no alarms")}`),
    hidden.length > 0 && [h("h2", null, `${word("hidden")} (${hidden.length})`), h("ul", { class: "cards" }, hidden.map(alarmCard))],
    maintenance.length > 0 && [h("h2", null, word("maintenance")), h("ul", { class: "cards" }, maintenance.map(maintenanceCard))],
  ];
}

function alarmCard(alarm) {
  const calls = CALLING.has(alarm.state) && !alarm.hidden;
  const device = here.status.devices.find((each) => each.id === alarm.device);
  const value = `${figure(alarm.value)} ${unit(alarm.unit)}`.trim();
  return h("li", { "data-key": alarm.alarm_id, class: `card alarm ${alarm.colour}${calls ? " calls" : ""}` },
    h("div", null,
      h("div", { class: "pills" }, h("span", { class: `pill solid ${alarm.colour}` }, [word(alarm.colour), alarm.level].filter(Boolean).join(" ")),
        h("span", { class: "pill plain" }, word(alarm.overlay[0] ?? alarm.state)), alarm.test && pill("blue", word("test")),
        alarm.q !== "good" && pill(alarm.q)),
      h("h3", { class: "what" }, named(alarm.text)),
      h("div", { class: "small" }, device ? `${named(device.name)} · ` : "", `${alarm.device} ${alarm.point}`.trim(),
        ` · ${word("raised")} ${clockTime(alarm.raised)} (${ago(alarm.raised)})`),
      alarm.ack_by && h("div", { class: "small" }, `${word("acknowledged")}: ${alarm.ack_by}`),
      todo(named(alarm.advice))),
    h("div", { class: "side" },
      h("div", { class: "value" }, alarm.point ? value : "", alarm.limit !== null && h("div", { class: "small" }, `${word("limit")} ${figure(alarm.limit)} ${unit(alarm.unit)}`)),
      calls && may("acknowledge") && h("button", { type: "button", class: "main", "data-do": "ack", "data-alarm": alarm.alarm_id,
        "aria-label": `${word("acknowledge")}: ${named(alarm.text)}` }, word("acknowledge"))));
}

function maintenanceCard(one) {
  const meant = ["device", "system", "building", "floor", "space"].flatMap((trait) => one[trait]).join(", ");
  return h("li", { class: "card blue", "data-key": `maintenance ${one.id}` }, h("div", { class: "what" }, meant, one.test && pill("blue", word("test"))),
    h("div", { class: "small" }, `${one.reason} · ${one.by} · ${word("until")} ${clockTime(one.until)}`));
}

function viewDevices() {
  const { devices } = here.status;
  const count = (state) => devices.filter((device) => device.state === state).length;
  const wanted = here.search.toLowerCase();
  const shown = devices.filter((device) => [device.id, device.name.zh, device.name.en, device.system, device.line].join(" ").toLowerCase().includes(wanted));
  const worst = (device) => ["offline", "degraded", "unknown", "disabled", "online"].indexOf(device.state);
  shown.sort((one, other) => worst(one) - worst(other));
  return [
    h("ul", { class: "tiles" }, ["online", "degraded", "offline"].map((state) => tile(count(state) ? LOOKS[state] : "", count(state), word(state)))),
    h("div", { class: "search" }, h("label", { for: "search", class: "unseen" }, word("find a device")),
      h("input", { id: "search", type: "search", placeholder: word("find a device"), "data-do": "search", autocomplete: "off" })),
    shown.length ? table(["device", "state", "reason", "last answer", "points"], shown.map(deviceRow)) : h("p", { class: "none" }, word("no device fits")),
    linesSection(),
  ];
}

function table(headings, rows) {
  return h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, headings.map((name) => h("th", { scope: "col", class: name === "value" ? "number" : null }, word(name))))), h("tbody", null, rows)));
}

function deviceRow(device) {
  const bad = device.points_bad + device.points_uncertain;
  return h("tr", { "data-key": device.id },
    h("td", null, h("a", { href: `#device/${encodeURIComponent(device.id)}` }, named(device.name)), h("div", { class: "small" }, `${device.id} · ${device.system} · ${device.line}`)),
    h("td", null, pill(device.state)),
    h("td", { class: "minor" }, reasonOf(device), h("div", { class: "small" }, device.state === "online" ? "" : `${word("since")} ${clockTime(device.since)} (${ago(device.since)})`)),
    h("td", { class: "minor wide-only" }, clockTime(device.last_ok)),
    h("td", { class: "minor" }, `${device.points_good} ${word("good")}`, bad ? `, ${bad} ${word("bad")}` : ""));
}

const reasonOf = (device) => (device.state === "online" ? "" : told(device.reason));

/* What is wrong with something by the table of health conditions, and what to do about it. */
function conditionsOf(...targets) {
  return here.status.health.filter((each) => targets.includes(each.target));
}

function healthCard(each) {
  return h("li", { class: `card ${LOOKS[each.severity]}`, "data-key": `${each.code} ${each.target}` },
    h("div", null, pill(each.severity), " ", h("strong", null, named(each.title)), ` · ${each.target}`),
    h("div", { class: "small" }, [told(each.detail), `${word("since")} ${clockTime(each.since)} (${ago(each.since)})`].filter(Boolean).join(" · ")),
    todo(named(each.todo)));
}

function linesSection() {
  return [h("h2", null, word("lines")), h("ul", { class: "cards columns" }, here.status.lines.map(lineCard))];
}

function lineCard(line) {
  return h("li", { class: `card ${LOOKS[line.state]}`, "data-key": `line ${line.id}` },
    h("div", { class: "head" }, h("strong", null, named(line.name)), pill(line.state)),
    h("div", { class: "small" }, `${line.protocol} · ${line.endpoint} · ${line.devices.length} ${word("devices")}`),
    line.error && h("div", { class: "small" }, told(line.error)), todo(told(line.todo)));
}

function viewDevice() {
  const device = here.status.devices.find((each) => each.id === here.device);
  const back = h("a", { class: "back", href: "#devices" }, `‹ ${word("all devices")}`);
  if (!device) return [back, h("p", { class: "none" }, word("no device fits"))];
  const line = here.status.lines.find((each) => each.id === device.line);
  const wrong = conditionsOf(device.id, device.line);
  const alarms = here.status.alarms.filter((alarm) => alarm.device === device.id);
  const order = { bad: 0, uncertain: 1, good: 2 };
  const points = here.points.filter((point) => point.device === device.id);
  return [
    back,
    h("div", { class: `card ${LOOKS[device.state]}` },
      h("div", { class: "head" }, h("h2", null, named(device.name)), h("span", null, pill(device.state))),
      facts([
        ["reason", reasonOf(device)], ["since", `${clockTime(device.since)} (${ago(device.since)})`],
        ["last answer", device.last_ok ? `${clockTime(device.last_ok)} (${ago(device.last_ok)})` : word("never")],
        ["round trip", device.rtt_ms === null ? "" : `${figure(device.rtt_ms)} ms`], ["errors", `${figure(device.err_rate_pct)} %`],
        ["line", line ? `${named(line.name)} · ${line.protocol} · ${line.endpoint} · ${word(line.state)}` : device.line],
        ["system", device.system], ["name", device.id],
      ]),
      line?.error && h("p", { class: "small" }, told(line.error)), todo(told(line?.todo)),
      may("acknowledge") && h("div", { class: "buttons" }, h("button", { type: "button", "data-do": "read", "data-device": device.id }, word("ask the device now"))),
      here.error && h("p", { class: "error", role: "alert" }, here.error)),
    wrong.length > 0 && [h("h2", null, word("what to do")), h("ul", { class: "cards" }, wrong.map(healthCard))],
    alarms.length > 0 && [h("h2", null, word("alarms")), h("ul", { class: "cards" }, alarms.map(alarmCard))],
    h("h2", null, `${word("points")} (${points.length})`),
    table(["point", "value", "quality", "age", "address"], [...points].sort((one, other) => order[one.q] - order[other.q]).map(pointRow)),
  ];
}

function pointRow(point) {
  const why = [point.qr === "ok" ? "" : word(point.qr), told(point.qraw)].filter(Boolean).join(" · ");
  return h("tr", { "data-key": point.point, class: point.q },
    h("td", null, h("strong", null, named(point.name)), h("div", { class: "small" }, point.point)),
    h("td", { class: "number" }, `${figure(point.value)} ${point.value === null ? "" : unit(point.unit)}`.trim()),
    h("td", { class: "minor" }, pill(point.q), why && h("div", { class: "small" }, why)),
    h("td", { class: "minor" }, span(point.age_s)),
    h("td", { class: "minor wide-only" }, point.address));
}

function viewGateway() {
  const { status } = here;
  return [
    h("h2", null, word("health")),
    status.health.length ? h("ul", { class: "cards" }, status.health.map(healthCard)) : h("p", { class: "none fine" }, `✓ ${word("no health conditions")}`),
    h("h2", null, word("uplinks")),
    status.uplinks.length ? h("ul", { class: "cards columns" }, status.uplinks.map(uplinkCard)) : h("p", { class: "none" }, word("no uplinks")),
    h("h2", null, word("journal")),
    status.journal.error && h("p", { class: "error" }, `${word("not durable: the disk is away")}: ${told(status.journal.error)}`),
    table(["stream", "records", "sequence", "size", "dropped"], Object.entries(status.journal.streams).map(streamRow)),
    h("h2", null, word("gateway")),
    h("div", { class: "card" }, facts([
      ["name", `${named(status.name)} · ${status.site}/${status.gateway}`], ["version", `${status.version} · ${status.cfg_ver}`],
      ["since", `${clockTime(status.started)} (${ago(status.started)})`], ["clock", word(status.clock)],
      ["size", bytes(status.journal.size_bytes)],
    ])),
  ];
}

function uplinkCard(uplink) {
  const waiting = Object.values(uplink.waiting).reduce((sum, count) => sum + count, 0);
  return h("li", { class: `card ${LOOKS[uplink.state]}`, "data-key": `uplink ${uplink.id}` },
    h("div", { class: "head" }, h("strong", null, uplink.id), pill(uplink.state)),
    facts([["broker", uplink.broker], ["since", `${clockTime(uplink.since)} (${ago(uplink.since)})`], ["to send", figure(waiting)],
      ["handed over", figure(uplink.acknowledged)], ["not confirmed", uplink.handed_over === null ? "" : figure(uplink.handed_over)],
      ["confirmed", uplink.confirmed === null ? "" : figure(uplink.confirmed)]]),
    uplink.error && h("div", { class: "small" }, told(uplink.error)), todo(told(uplink.todo)));
}

function streamRow([name, stream]) {
  return h("tr", { "data-key": name }, h("td", null, h("strong", null, word(name))), h("td", { class: "minor" }, figure(stream.records)),
    h("td", { class: "minor wide-only" }, figure(stream.next_seq - 1)), h("td", { class: "minor" }, bytes(stream.size_bytes)),
    h("td", { class: "minor wide-only" }, figure(stream.dropped)));
}

function viewLogin() {
  return [h("form", { class: "card login", id: "login", "data-key": "login" },
    h("h2", null, word("log in")),
    h("label", { for: "login-account" }, word("account")),
    h("input", { id: "login-account", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true }),
    h("label", { for: "login-password" }, word("password")),
    h("input", { id: "login-password", type: "password", autocomplete: "current-password", required: true }),
    here.error && h("p", { class: "error", role: "alert" }, here.error),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, word("log in"))))];
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

const route = () => location.hash.slice(1).split("/").map(decodeURIComponent);

function draw() {
  const [view, device] = route();
  here.device = view === "device" ? device : null;
  const body = here.me && !here.me.role ? viewLogin() : !here.status ? [] : here.device ? viewDevice() : (VIEWS[view] ?? viewAlarms)();
  patchChildren(byId("main"), h("main", null, body));
  drawFrame(here.device ? "devices" : VIEWS[view] ? view : "alarms");
}

function drawFrame(view) {
  const { status, me } = here;
  document.documentElement.lang = here.language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  byId("language").textContent = here.language === "zh" ? "English" : "中文";
  byId("account").hidden = !me?.account;
  byId("account").textContent = me?.account ? `${me.account} · ${word("log out")}` : "";
  byId("nav").hidden = !status || !me?.role;
  drawLost();
  if (!status || !me?.role) return;
  document.title = `${title(status)}${named(status.name)} · wardgate`;
  byId("gateway").textContent = named(status.name);
  byId("place").textContent = `${status.site}/${status.gateway}`;
  byId("clock").textContent = `${word("clock")}: ${word(status.clock)}`;
  byId("clock").className = `clock ${status.clock === "synced" ? "" : "bad"}`;
  patchChildren(byId("nav"), h("nav", null, Object.keys(VIEWS).map((name) => tab(name, view))));
}

function tab(name, view) {
  const { status } = here;
  const alarms = status.alarms.filter((alarm) => !alarm.hidden);
  const away = status.devices.filter((device) => device.state === "offline" || device.state === "degraded").length;
  const count = { alarms: alarms.length, devices: away, gateway: status.health.length }[name];
  const look = { alarms: COLOURS.find((colour) => alarms.some((alarm) => alarm.colour === colour)), devices: "orange", gateway: "yellow" }[name];
  return h("a", { href: `#${name}`, "aria-current": name === view ? "page" : null }, word(name), count > 0 && h("span", { class: `count ${look ?? ""}` }, String(count)));
}

const title = (status) => {
  const calling = status.alarms.filter((alarm) => CALLING.has(alarm.state) && !alarm.hidden).length;
  return calling ? `(${calling}) ` : "";
};

/* Nothing old may look like the present. */
function drawLost() {
  const isLost = here.lost !== null && Date.now() - here.lost > (here.status ? STALE_MS : 0);
  document.body.classList.toggle("is-stale", isLost && here.status !== null);
  byId("stale").hidden = !isLost;
  const since = here.askedAt ? new Date(here.askedAt).toLocaleTimeString("sv") : "";
  const text = isLost ? `${word("no connection to the gateway since")} ${since} ${here.status ? `· ${word("what follows is as it was then; trying again")}` : ""}` : "";
  if (byId("stale").textContent !== text) byId("stale").textContent = text;
  byId("link").textContent = here.status && !isLost ? word("live") : "";
  byId("link").className = `link ${isLost ? "away" : ""}`;
  byId("link").hidden = !here.status;
}

/* Whoever cannot see the screen hears of alarms that were not there a moment ago. */
function announce(alarms) {
  const calling = alarms.filter((alarm) => CALLING.has(alarm.state) && !alarm.hidden);
  const ids = new Set(calling.map((alarm) => alarm.occurrence_id));
  const fresh = here.known === null ? [] : calling.filter((alarm) => !here.known.has(alarm.occurrence_id));
  here.known = ids;
  if (fresh.length) byId("said").textContent = fresh.map((alarm) => `${word("new alarm")}, ${word(alarm.colour)}: ${named(alarm.text)}`).join(". ");
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

class Refused extends Error {
  constructor(status, said) {
    super([said.error, said.hint].filter(Boolean).join("; "));
    this.status = status;
    this.wait = /\d+/.exec(said.hint ?? "")?.[0];
  }
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}

async function round() {
  clearTimeout(here.timer);
  try {
    await learn();
    here.me ??= await ask("v1/me");
    if (here.me.role) await look();
    here.delay = ASK_EVERY_MS;
    here.lost = null;
    here.askedAt = Date.now();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) forget();
    else {
      here.lost ??= Date.now();
      here.delay = Math.min(here.delay * 2, ASK_AGAIN_MS_MAX);
    }
  }
  draw();
  clearTimeout(here.timer);
  if (!document.hidden && here.me?.role !== null) here.timer = setTimeout(round, here.delay * (0.9 + Math.random() / 5));
}

async function look() {
  const [view, device] = route();
  const status = ask("v1/status");
  const points = view === "device" ? ask(`v1/points?device=${encodeURIComponent(device)}`).catch(() => []) : [];
  [here.status, here.points] = await Promise.all([status, points]);
  announce(here.status.alarms);
}

/* The session is over: nothing of what it showed stays. */
function forget() {
  Object.assign(here, { me: { account: null, role: null, accounts: true }, status: null, points: [], known: null, lost: null });
}

/* --- doing ------------------------------------------------------------------------------------------------------- */

const DOINGS = {
  ack(button) {
    const alarm = here.status.alarms.find((each) => each.alarm_id === button.dataset.alarm);
    if (!alarm) return;
    here.acking = alarm.alarm_id;
    byId("ack-title").textContent = word("acknowledge");
    byId("ack-text").textContent = named(alarm.text);
    byId("ack-comment").value = "";
    byId("ack-error").hidden = true;
    byId("ack").showModal();
    byId("ack-comment").focus();
  },
  async read(button) {
    button.disabled = true;
    here.error = "";
    try {
      await ask("v1/read", { device: button.dataset.device });
      byId("said").textContent = word("asked now");
    } catch (error) {
      here.error = error.message;
    }
    button.disabled = false;
    round();
  },
};

async function acknowledge(event) {
  event.preventDefault();
  try {
    await ask("v1/alarms/order", { verb: "ack", alarm_id: here.acking, comment: byId("ack-comment").value });
    byId("ack").close();
  } catch (error) {
    byId("ack-error").textContent = told(error.message);
    byId("ack-error").hidden = false;
  }
  round();
}

async function logIn() {
  here.error = "";
  try {
    here.me = await ask("v1/login", { account: byId("login-account").value, password: byId("login-password").value });
  } catch (error) {
    here.error = error.status === 401 ? word("login is wrong") : error.status === 429 ? `${word("too many tries")} ${error.wait} s` : told(error.message);
    byId("login-password").value = "";
  }
  round();
}

function setLanguage(language) {
  here.language = language;
  try {
    localStorage.setItem("language", language);
  } catch { /* a browser that keeps nothing still shows the page */ }
}

function start() {
  let kept = null;
  try {
    kept = localStorage.getItem("language");
  } catch { /* as above */ }
  here.language = kept ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  document.addEventListener("click", (event) => {
    const used = event.target.closest("[data-do]");
    if (used && DOINGS[used.dataset.do]) DOINGS[used.dataset.do](used);
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset.do !== "search") return;
    here.search = event.target.value;
    draw();
  });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.target.id === "login") logIn();
    else acknowledge(event);
  });
  byId("ack-cancel").addEventListener("click", () => byId("ack").close());
  byId("language").addEventListener("click", () => { setLanguage(here.language === "zh" ? "en" : "zh"); draw(); round(); });
  byId("account").addEventListener("click", async () => { await ask("v1/logout", {}).catch(() => null); forget(); draw(); });
  addEventListener("hashchange", () => { here.error = ""; here.points = []; draw(); round(); byId("main").focus(); scrollTo(0, 0); });
  addEventListener("online", round);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) round(); });
  setInterval(drawLost, 1000);
  draw();
  round();
}

start();
