"use strict";
// The page asks /status.json every EVERY milliseconds and puts what it says into tables.
// Everything is set as text; nothing that comes from the server is ever taken for markup.

const EVERY = 2000;
const $ = (id) => document.getElementById(id);

function element(name, options, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options || {})) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

// --- numbers and times for people

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const NONE = "\u2013";

const count = (value) => (value === null || value === undefined ? NONE : whole.format(value));

function rate(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0";
  if (value < 0.05) return "< 0.1";
  return value < 100 ? fine.format(value) : whole.format(value);
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.001) return `${whole.format(seconds * 1e6)} \u00b5s`;
  if (seconds < 1) return `${fine.format(seconds * 1e3)} ms`;
  return `${fine.format(seconds)} s`;
}

function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(value) : fine.format(value)} ${units[unit]}`;
}

const two = (number) => String(number).padStart(2, "0");

function clock(seconds, now) {
  const whole = moment(seconds);
  return seconds && now - seconds < 43200 ? whole.slice(11) : whole;
}

function moment(seconds) {
  if (!seconds) return NONE;
  const then = new Date(seconds * 1000);
  const day = `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
  return `${day} ${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
}

function since(seconds) {
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= length) return `${whole.format(Math.floor(seconds / length))} ${unit}`;
  }
  return `${whole.format(Math.max(0, Math.floor(seconds)))} s`;
}

const words = (text) => text.replaceAll("-", " ");

// --- tables

const cell = (text, kind) => element("td", kind ? { class: kind } : null, text);
const numeric = (text) => cell(text, text === "0" || text === NONE ? "number zero" : "number");

function table(id, heads, rows, nothing) {
  const place = $(id);
  place.parentElement.classList.toggle("empty", rows.length === 0);
  if (rows.length === 0) {
    place.replaceChildren(element("tbody", null, element("tr", null, cell(nothing, "nothing"))));
    return;
  }
  const head = element("tr", null);
  for (const [text, kind, span] of heads) {
    const options = { scope: span ? "colgroup" : "col" };
    if (kind) options.class = kind;
    if (span) options.colspan = span;
    head.append(element("th", options, text));
  }
  const body = element("tbody", null);
  for (const cells of rows) {
    const row = element("tr", cells.rest ? { class: "rest" } : null);
    row.append(...(cells.rest || cells));
    body.append(row);
  }
  place.replaceChildren(element("thead", null, head), body);
}

const title = (text) => element("th", { scope: "row" }, text);

// --- the sections

function showState(data) {
  document.title = `${data.ready ? "" : "Not ready: "}smmapd-gateway on ${data.host}`;
  $("where").textContent =
    `${data.host} \u00b7 version ${data.version} \u00b7 up ${since(data.now - data.started)}`;
  badge(data.ready ? "good" : "bad", data.ready ? "ready" : "not ready");
  $("reload").textContent = data.reload.success
    ? `configuration in force since ${moment(data.reload.success)}` : "";
  const amiss = [...data.reasons, ...data.notes];
  const problems = amiss.map((each) => element("p", { class: "notice" }, each));
  replaceIfNew($("problems"), amiss, problems);
}

function badge(kind, text) {
  const place = $("ready");
  place.className = `badge ${kind}`;
  if (place.textContent !== text) place.textContent = text;
}

// A live region speaks when it changes, so it changes only when there is news.
function replaceIfNew(place, key, children) {
  const text = JSON.stringify(key);
  if (place.dataset.shown !== text) {
    place.dataset.shown = text;
    place.replaceChildren(...children);
  }
}

function figure(name, value, unit, note) {
  const shown = element("dd", null, value);
  if (unit && value !== NONE) shown.append(" ", element("small", null, unit));
  return element("div", null, element("dt", null, name), shown, element("dd", null, note));
}

function showFigures(data) {
  const { totals, memory, latency } = data;
  const share = totals.asked ? (100 * totals.undeliverable) / totals.asked : null;
  const quick = memory.share === null ? NONE : `${fine.format(100 * memory.share)}`;
  const measured = totals.asked_per_second === null;
  $("figures").replaceChildren(
    figure("Recipients judged", rate(totals.asked_per_second), "a second",
      measured ? "the first rate comes in some seconds" : `${count(totals.asked)} since the start`),
    figure("Not deliverable", rate(totals.undeliverable_per_second), "a second",
      share === null ? "none since the start" : `${fine.format(share)} % of all since the start`),
    figure("Answered from memory", quick, "%",
      `${count(memory.entries)} verdicts remembered`),
    figure("Look-up, median", duration(latency.lookup.p50), "",
      latency.lookup.p50 === null ? "none in the last 5 minutes"
        : `99 % within ${duration(latency.lookup.p99)}`),
  );
}

// The newest value stands at the right edge; POINTS of them fill the width.
const POINTS = 60;

function points(values, top) {
  const step = 600 / (POINTS - 1);
  const begin = 600 - step * (values.length - 1);
  return values.map((value, at) =>
    `${(begin + at * step).toFixed(1)},${(70 - (66 * value) / top).toFixed(1)}`);
}

function stroke(outline, kind) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.setAttribute("d", outline);
  made.setAttribute("class", kind);
  return made;
}

function showTrace(data) {
  const { asked, undeliverable, step } = data.history;
  const drawn = [];
  let text = `The last five minutes: nothing to draw yet, there is a point every ${step} seconds.`;
  const caption = [];
  if (asked.length > 1) {
    const top = Math.max(1, ...asked);
    const all = points(asked, top);
    const begin = all[0].split(",")[0];
    drawn.push(stroke(`M${begin},72 L${all.join(" L")} L600,72 Z`, "area"));
    drawn.push(stroke(`M${all.join(" L")}`, "all"));
    if (Math.max(...undeliverable) > 0) {
      drawn.push(stroke(`M${points(undeliverable, top).join(" L")}`, "not"));
    }
    text = `The last five minutes, at most ${rate(Math.max(...asked))} a second.`;
    caption.push(element("span", { class: "key all" }), "judged",
      element("span", { class: "key not" }), "not deliverable");
  }
  $("trace").replaceChildren(...drawn);
  $("trace-text").replaceChildren(text, ...caption);
}

function showFrontEnds(data) {
  const fronts = data.front_ends;
  const heads = [["", "", 0]];
  for (const front of fronts) heads.push([`${front.name}, a second`, "number group", 0], ["total", "number", 0]);
  const rows = [];
  const add = (field, label, rest) => {
    const names = [];
    for (const front of fronts) {
      for (const each of front[field]) if (!names.includes(each.name)) names.push(each.name);
    }
    for (const name of names) {
      const cells = [title(label(words(name)))];
      for (const front of fronts) {
        const found = front[field].find((each) => each.name === name);
        const now = numeric(found ? rate(found.per_second) : NONE);
        now.classList.add("group");
        cells.push(now, numeric(found ? count(found.total) : NONE));
      }
      rows.push(rest ? { rest: cells } : cells);
    }
  };
  add("verdicts", (name) => name, false);
  add("skipped", (name) => `not judged: ${name}`, true);
  add("not_enforced", (name) => `not carried out: ${name}`, true);
  table("front-ends", heads, rows, "Nobody has asked yet.");
  $("front-ends-note").replaceChildren(...fronts.map((front) => element("li", null,
    element("b", null, front.name), ` ${front.mode}, ${count(front.connections)} connected, `,
    element("code", null, front.listen.join(", ")))));
}

function showRefusals(data) {
  const rows = data.refusals.map((each) => {
    const verdict = element("th", { scope: "row" }, words(each.verdict));
    if (each.waiver) verdict.append(" ", element("span", { class: "quiet" }, `(${words(each.waiver)})`));
    return [cell(moment(each.time), ""), cell(each.frontend, ""), verdict,
      recipient(each, data.addresses), cell(each.reply || NONE, "wide mono"),
      cell(each.sender || NONE, "wide mono"), cell(each.client || NONE, "mono"),
      cell(each.reason || NONE, "wide")];
  });
  table("refusals", [["Time"], ["Front end"], ["Verdict"], ["Recipient"], ["Reply"], ["Sender"], ["Client"], ["Reason"]],
    rows, "Nothing has been refused by the processes that run now.");
  filter();
  const privacy = {
    full: "Addresses are shown in full, as in the log ([logging] addresses).",
    hashed: "Local parts are hashed, as in the log ([logging] addresses).",
    off: "Addresses are hidden, as in the log ([logging] addresses).",
  };
  $("refusals-note").textContent = privacy[data.addresses];
}

// Where the address is whole, a link explains it: what was asked stands in the address bar.
function recipient(each, addresses) {
  if (addresses !== "full" || !each.recipient) return cell(each.recipient, "wide mono");
  const asked = { recipient: each.recipient };
  if (each.frontend !== "socketmap") Object.assign(asked, { client: each.client, sender: each.sender });
  const place = element("td", { class: "wide mono" });
  place.append(element("a", { href: `#${query(asked)}`, title: "Explain this recipient" }, each.recipient));
  return place;
}

// Rows that have all words of the filter; the others stay in the table, unseen.
function filter() {
  const wanted = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let seen = 0;
  const rows = $("refusals").querySelectorAll("tbody tr");
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
    if (!row.hidden) seen += 1;
  }
  $("filtered").textContent = wanted.length ? `${seen} of ${rows.length} shown` : "";
}

function showDatabases(data) {
  const rows = data.databases.map((each) => {
    const state = each.problem ? cell(each.problem, "wide bad")
      : each.absent ? cell("absent: nobody is denied", "") : cell("readable", "good");
    return [title(each.name), state, cell(each.format, ""), numeric(count(each.records)),
      numeric(bytes(each.size)), numeric(count(each.generation)), numeric(count(each.retries)),
      numeric(count(each.faults)), cell(each.path, "mono")];
  });
  table("databases", [["Database"], ["State"], ["Format"], ["Records", "number"], ["Size", "number"],
    ["Generation", "number"], ["Read again", "number"], ["Faults", "number"], ["File"]],
    rows, "No database is read here: other servers know the mailboxes.");
}

function showUpstreams(data) {
  const rows = data.upstreams.map((each) => [title(each.name || each.kind), cell(each.kind, ""),
    each.problem ? cell(each.problem, "wide bad") : cell("answers", "good"),
    cell(clock(each.time, data.now), "")]);
  table("upstreams", [["Server"], ["Kind"], ["Last answer"], ["Time"]], rows,
    "No other server has been asked.");
  const known = Object.entries(data.latency)
    .filter(([kind, found]) => kind !== "lookup" && found.p50 !== null)
    .map(([kind, found]) => `${kind}: half within ${duration(found.p50)}, 99 % within ${duration(found.p99)}.`);
  $("upstreams-note").textContent = known.join(" ");
}

function showProcesses(data) {
  const kinds = { ready: "good", starting: "warn", waiting: "bad", leaving: "quiet" };
  const rows = data.processes.map((each) => [title(`${each.name} ${each.index}`),
    cell(each.state === "waiting" ? "ended, starts again" : each.state, kinds[each.state] || ""),
    numeric(each.pid ? String(each.pid) : NONE), numeric(count(each.generation)),
    cell(clock(each.started, data.now), ""), numeric(bytes(each.resident_bytes)),
    numeric(duration(each.cpu_seconds)), numeric(count(each.restarts))]);
  table("processes", [["Process"], ["State"], ["PID", "number"], ["Configuration", "number"], ["Started"],
    ["Memory", "number"], ["Processor", "number"], ["Restarts", "number"]], rows, "No process is known.");
}

// --- explain

function showAnswer(found) {
  const place = $("answer");
  if (found.error) {
    place.replaceChildren(element("p", { class: "notice" }, found.error));
    return;
  }
  const { verdict } = found;
  const kind = verdict.accepts ? "good" : verdict.temporary ? "warn" : "bad";
  const later = verdict.accepts ? "" : verdict.temporary ? "may change by itself" : "final";
  const line = element("p", { class: "verdict" }, element("strong", { class: kind }, words(verdict.kind)),
    element("span", { class: "mono" }, found.recipient));
  if (verdict.reason) line.append(element("span", null, verdict.reason));
  if (later) line.append(element("span", { class: "quiet" }, later));
  const parts = [line];
  if (found.problem) parts.push(element("p", { class: "notice" }, found.problem));

  const replies = element("tbody", null);
  for (const front of found.front_ends) {
    const said = element("td", { class: "wide" }, element("code", null, front.reply));
    if (front.withheld) {
      said.append(element("div", { class: "quiet" }, "withheld: ", element("code", null, front.withheld), ` (${front.waiver})`));
    }
    replies.append(element("tr", null, title(front.name), said,
      element("td", { class: "wide quiet" }, front.listen.length ? front.scope : `off; ${front.scope}`)));
  }
  parts.push(element("h3", null, "Replies"), frame("Replies", element("table", null, element("thead", null,
    element("tr", null, ...["Front end", "Reply", "Scope"].map((each) => element("th", { scope: "col" }, each)))), replies)));

  const steps = element("tbody", null);
  for (const [name, rows] of found.sections) {
    rows.forEach(([label, text], at) => {
      const place = [at ? "more" : "first", at === rows.length - 1 ? "last" : ""].join(" ");
      const begin = at ? cell("", "") : title(name);
      steps.append(element("tr", { class: place }, begin, cell(label, "label"), cell(text, "wide")));
    });
  }
  parts.push(element("h3", null, "Steps"), frame("Steps", element("table", { class: "steps" }, steps)));
  place.replaceChildren(...parts);
}

const frame = (name, inside) => element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, inside);

const FIELDS = ["recipient", "size", "client", "sender"];

// A plus sign is a plus sign, since addresses have them.
const query = (asked) => FIELDS.filter((name) => asked[name])
  .map((name) => `${name}=${encodeURIComponent(asked[name])}`).join("&");

async function explain(event) {
  event.preventDefault();
  const asked = query(Object.fromEntries(FIELDS.map((name) => [name, $(name).value.trim()])));
  // Behind the #, so that no server and no log on the way sees it.
  if (location.hash !== `#${asked}`) history.pushState(null, "", `#${asked}`);
  await ask(asked);
}

// The address bar has a question: of a link, a bookmark, or of the way back.
function asked() {
  if (!location.hash.startsWith("#recipient=")) return;
  const told = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  for (const name of FIELDS) $(name).value = told.get(name) || "";
  $("explain").scrollIntoView();
  ask(location.hash.slice(1));
}

async function ask(question) {
  const button = $("ask").querySelector("button");
  button.disabled = true;
  try {
    const reply = await fetch(`/explain?${question}`, { credentials: "omit" });
    showAnswer(await reply.json());
  } catch (problem) {
    showAnswer({ error: `The gateway does not answer (${problem.message}).` });
  } finally {
    button.disabled = false;
  }
}

// --- the loop

let shown = 0;

async function refresh() {
  try {
    const reply = await fetch("/status.json", { credentials: "omit", signal: AbortSignal.timeout(10000) });
    if (!reply.ok) throw new Error(await reply.text());
    const data = await reply.json();
    for (const show of [showState, showFigures, showTrace, showFrontEnds, showRefusals, showDatabases, showUpstreams, showProcesses]) {
      show(data);
    }
    shown = Date.now();
    $("updated").textContent = `As of ${clock(data.now, data.now)}`;
    $("stale").textContent = "";
    document.body.dataset.state = "live";
  } catch (problem) {
    badge("bad", "no answer");
    const age = shown ? `; what is shown is ${since((Date.now() - shown) / 1000)} old` : "";
    $("updated").textContent = `The gateway does not answer${age}.`;
    $("stale").textContent = `The gateway does not answer${age}.`;
    document.body.dataset.state = "stale";
  }
  // A page that nobody looks at does not ask.
  if (document.visibilityState === "visible") setTimeout(refresh, EVERY);
  else document.addEventListener("visibilitychange", refresh, { once: true });
}

$("ask").addEventListener("submit", explain);
$("filter").addEventListener("input", filter);
addEventListener("hashchange", asked);
asked();
refresh();
