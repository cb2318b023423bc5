
// Asks for the data once a second and shows it. All texts from outside are put in as text, never as markup. What is on the
// page is changed in place, so that focus, selection and scrolling stay where they are.

const EVERY = 1000, PATIENCE = 5000;
const $ = (id) => document.getElementById(id);
// Below whatever prefix it is mounted, with or without a slash at the end.
const base = location.origin + location.pathname.replace(/\/?$/, "/");

const open = new Set(); // workers, by number, and loops, by name, whose stacks are shown
let timer = null, asking = false, paused = false, answered = null, failing = null, last = null;

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  const { text, kind, ...rest } = options;
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  Object.assign(made, rest);
  made.append(...children);
  return made;
}

function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// As many children as there are items, each made once and then only filled.
function fill(parent, items, make, change) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, n) => {
    if (!parent.children[n]) parent.append(make());
    change(parent.children[n], item);
  });
}

function row() {
  return element("tr", {}, ...Array.from({ length: 5 }, () => element("td")));
}

// What is to be told in its own words.
class Refused extends Error {}

async function ask() {
  if (asking || paused || document.hidden) return;
  asking = true;
  const abort = new AbortController();
  const patience = setTimeout(() => abort.abort(), PATIENCE);
  try {
    const answer = await fetch(base + (open.size ? "stacks.json" : "data.json"), { signal: abort.signal, cache: "no-store" });
    if (!answer.ok) throw new Refused(answer.status === 401 || answer.status === 403 ? "You are not signed in any more: load this page again." : `It answers with status ${answer.status}.`);
    last = await answer.json();
    [answered, failing] = [Date.now(), null];
    show(last);
  } catch (error) {
    failing = error instanceof Refused ? error.message : "Is the process still there?";
    showSilence();
  } finally {
    clearTimeout(patience);
    asking = false;
    clearTimeout(timer);
    timer = setTimeout(ask, EVERY);
  }
}

function showSilence() {
  document.body.classList.add("stale");
  const since = answered === null ? "" : ` for ${span((Date.now() - answered) / 1000)}`;
  say("bad", `The server does not answer${since}`, [failing, ...(answered === null ? [] : ["What is below is from before that."])], "The server does not answer");
}

let heard = "";

// What stands on top, in the tab and in its icon. A screen reader hears it when more than its figures has changed.
function say(level, headline, problems, title = headline) {
  $("verdict").dataset.level = level;
  put($("headline"), headline);
  fill($("problems"), problems, () => element("li"), put);
  const words = [headline, ...problems].join(" ").replace(/[\d.,]+/g, "");
  if (words !== heard) {
    heard = words;
    put($("spoken"), [headline, ...problems].join(". "));
  }
  const mark = { good: "●", warn: "▲", bad: "■" }[level];
  document.title = `${mark} ${title} – httpy`;
  const hue = { good: "#12805c", warn: "#d98a00", bad: "#c4211c" }[level];
  const icon = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="${SVG}" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${hue}"/></svg>`)}`;
  if ($("icon").getAttribute("href") !== icon) $("icon").setAttribute("href", icon);
}

const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const route = (call) => call.route || call.path || "";
const title = (call) => [call.method, route(call)].filter(Boolean).join(" ") || call.target;

// A wait of so many microseconds in half of the calls is worth a word.
const NOTABLE = 50_000;

// The words for each reason why the engine is not ready.
const NOT_READY = {
  shutting_down: () => "The engine is shutting down: new calls are answered with 503.",
  starting: () => "No worker process is ready: they are starting.",
  replacements_spent: ({ replacements }) => `All ${plural(replacements, "replacement for a lost worker is", "replacements for lost workers are")} spent.`,
  workers_lost: () => "All workers and their replacements are lost: only a restart helps.",
  interpreter_held: ({ held_for }) => `Python code has held the interpreter for ${span(held_for)}: no handler runs until it detaches.`,
};
const stops = ({ reason }) => reason === "shutting_down";

// What an operator should know first, the worst first.
function judge(data) {
  const { workers, recent, not_ready } = data;
  const [bad, warn] = [[], []];
  for (const why of not_ready) (stops(why) ? warn : bad).push(NOT_READY[why.reason]?.(why) || why.reason);
  if (data.waiting >= data.queue) bad.push("The queue is full: further calls are answered with 503.");
  else if (data.waiting > data.queue / 2) warn.push("The queue is more than half full.");
  const busy = workers.each.filter((worker) => worker.call && worker.state !== "lost").length;
  if (busy >= workers.max && workers.jobs && recent.queue[0] >= NOTABLE) warn.push(`${allOf(workers)} in calls; ${plural(workers.jobs, "call waits", "calls wait")} for one.`);
  for (const { name, blocked_for, blocked_by, waiting } of workers.loops) {
    if (blocked_for === null) continue;
    const by = blocked_by ? ` by ${title(blocked_by)}` : "", waits = waiting ? `; ${plural(waiting, "call waits", "calls wait")} for it` : "";
    (waiting ? bad : warn).push(`${name} has been blocked for ${span(blocked_for)}${by}${waits}.`);
  }
  if (workers.lost) warn.push(`${plural(workers.lost, "worker is lost: its handler does not end", "workers are lost: their handlers do not end")}.`);
  const oldest = workers.each.filter(isOld).sort((one, other) => other.call.elapsed - one.call.elapsed)[0];
  if (oldest) {
    const { elapsed, limit } = oldest.call;
    warn.push(`${title(oldest.call)} has used ${span(elapsed)} of its ${duration(limit * 1e6)}, in ${oldest.name}.`);
  }
  const share = recent.count ? recent.failed / recent.count : 0, most = mostFailures();
  const why = most ? `: most of them ${ENDINGS[most.ending] || most.ending}` : "";
  if (share >= 0.02) (share >= 0.5 ? bad : warn).push(`${percent(share)} of the calls fail${why}.`);
  const level = bad.length ? "bad" : warn.length ? "warn" : "good";
  const headline = { bad: not_ready.length ? "Not ready" : "In trouble", warn: not_ready.some(stops) ? "Shutting down" : "Serving, with a problem", good: "Serving" }[level];
  return [level, headline, [...bad, ...warn]];
}

// It may end in time, but an operator may want to look at it.
const isOld = ({ call }) => call && !call.streaming && call.elapsed > Math.max(1, call.limit / 2);

const percent = (share) => `${share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`;

function show(data) {
  document.body.classList.remove("stale");
  $("main").hidden = false;
  noteCounts(data);
  const [level, headline, problems] = judge(data);
  say(level, headline, problems);
  const targets = data.targets.length === 1 ? data.targets[0] : `${data.targets.length} targets`;
  put($("engine"), `${data.engine}: ${targets}`);
  put($("uptime"), `up for ${span(data.uptime)}`);
  showFigures(data);
  showWhere(data);
  showCharts(data);
  showWorkers(data);
  showLoops(data);
  showCounts(data.calls);
  showFailed(data);
  showSlow(data);
  const { httpy, python, gil, venv, executable, switch_interval } = data.versions;
  put($("versions"), [`httpy ${httpy}`, `Python ${python}, ${gil ? "with its GIL" : "free-threaded"}`, venv ? `venv ${venv}` : "no venv", executable && `sys.executable ${executable}`, `switch interval ${duration(switch_interval * 1e6)}`].filter(Boolean).join(" · "));
}

function showFigures({ recent, workers, waiting, queue, waiting_for_place, body_bytes, body_budget, calls }) {
  const seconds = Math.max(1, recent.seconds), share = recent.count ? recent.failed / recent.count : 0;
  put($("rate"), number(recent.count / seconds));
  put($("rate-note"), `${number(Object.values(calls).reduce((sum, count) => sum + count, 0))} since the start`);
  put($("failing"), percent(share));
  $("failing").className = share >= 0.02 ? "alarm" : "";
  put($("failing-note"), `${number(recent.failed)} in ${plural(seconds, "second", "seconds")}`);
  put($("p50"), recent.count ? duration(recent.total[0]) : "–");
  put($("p99-note"), recent.count ? `median; 99 % in ${duration(recent.total[2])}` : "no calls");
  const busy = workers.each.filter((worker) => worker.call).length;
  gauge("busy", number(busy), `of ${workers.max}`, busy / workers.max);
  gauge("waiting", number(waiting), `of ${number(queue)}${waiting_for_place ? `, ${number(waiting_for_place)} before it` : ""}`, waiting / queue);
  gauge("bodies", bytes(body_bytes), `of ${bytes(body_budget)}`, body_bytes / body_budget);
}

function gauge(name, text, of, share) {
  put($(name), text);
  put($(`${name}-of`), of);
  const bar = $(`${name}-bar`);
  bar.style.width = `${Math.min(100, share * 100)}%`;
  bar.className = share >= 1 ? "full" : "";
}

function showCharts({ history, recent }) {
  // The last second still goes on.
  const whole = (values) => values.slice(0, -1).slice(-119);
  const names = ["queue", "attach", "run", "total"];
  const most = Math.max(1e4, ...names.flatMap((name) => history[name].p99));
  const top = 10 ** Math.ceil(Math.log10(most));
  for (const name of names) {
    drawLatency($(`chart-${name}`), name, whole(history[name].p50), whole(history[name].p99), top);
    const known = recent[name].some((micros) => micros > 0);
    const now = known ? `median ${duration(recent[name][0])}, 99 % ${duration(recent[name][2])}` : "";
    put($(`${name}-now`), now);
    $(`chart-${name}`).setAttribute("aria-label", now || "nothing in the last ten seconds");
  }
  drawRate($("chart-rate"), whole(history.count), whole(history.failed));
  $("chart-rate").setAttribute("aria-label", `${number(recent.count / Math.max(1, recent.seconds))} calls per second`);
}

const STATES = { idle: "idle", lead: "leads", standby: "standby", working: "works", computing: "computes", lost: "lost" };

function showWorkers({ workers, stacks }) {
  // Those who have been at it for the longest first: that is what is stuck.
  const shown = workers.each.filter((worker) => worker.call || worker.state === "lost" || open.has(worker.number));
  shown.sort((one, other) => (other.call?.elapsed ?? -1) - (one.call?.elapsed ?? -1) || one.number - other.number);
  const others = workers.each.length - shown.length;
  const seen = some("worker", shown);
  const lost = workers.lost ? `; ${workers.lost} lost, of which ${workers.replacements} are replaced at most` : "";
  put($("workers-note"), `${plural(workers.each.length, "thread", "threads")} of ${workers.max} at most${lost}; ${others ? `${others} without a call${shown.length ? ", not shown" : ""}` : "all in calls"}.`);
  showRows($("worker-rows"), shown.filter((worker) => seen.includes(worker) || open.has(worker.number)), {
    key: (worker) => worker.number,
    label: (worker) => `Stack of worker ${worker.number}`,
    change: changeWorker,
    stack: (worker) => stackOfCall(stacks, worker.call, worker.stack),
  });
}

// Rows of workers or loops, each with a row of its stack below it where that was asked for.
function showRows(body, items, { key, label, change, stack }) {
  const rows = new Map([...body.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  const order = [];
  for (const item of items) {
    const name = key(item), row = rows.get(String(name)) || rowOf(name, label(item));
    change(row, item);
    order.push(row);
    if (open.has(name)) order.push(stackRow(row, label(item), stack(item)));
  }
  for (const row of body.querySelectorAll("tr")) if (!order.includes(row)) row.remove();
  // What stands in its place stays there, and with it the focus.
  order.forEach((row, n) => { if (body.children[n] !== row) body.insertBefore(row, body.children[n] || null); });
}

function rowOf(name, label) {
  const made = row();
  made.dataset.key = name;
  made.cells[1].append(element("span", { kind: "state" }));
  made.cells[2].append(element("span", { kind: "mono" }), element("span", { kind: "under" }));
  made.cells[3].className = "for";
  made.cells[3].append(element("span"), element("div", { kind: "gauge" }, element("i")));
  const button = element("button", { type: "button", text: "Stack" });
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-label", label);
  button.addEventListener("click", () => {
    if (!open.delete(name)) open.add(name);
    button.setAttribute("aria-expanded", String(open.has(name)));
    if (last) [showWorkers, showLoops].forEach((show) => show(last));
    resume();
  });
  made.cells[4].append(button);
  return made;
}

function changeWorker(row, { name, state, call }) {
  const [who, how, what, long, button] = row.cells;
  put(who, name);
  how.firstChild.dataset.state = state;
  put(how.firstChild, STATES[state] || state);
  put(what.firstChild, call ? title(call) : "no call");
  const notes = call ? [call.target, call.streaming && "streams its answer", call.gone && "its client has left"] : [];
  put(what.lastChild, notes.filter(Boolean).join(" · "));
  put(long.firstChild, call ? `${duration(call.elapsed * 1e6)}${call.streaming ? "" : ` of ${duration(call.limit * 1e6)}`}` : "");
  long.lastChild.hidden = !call || call.streaming;
  const bar = long.lastChild.firstChild, share = call ? call.elapsed / call.limit : 0;
  bar.style.width = `${Math.min(100, share * 100)}%`;
  bar.className = share >= 1 ? "full" : "";
  button.hidden = false;
}

function stackRow(row, label, text) {
  let under = row.stackRow;
  if (!under) {
    const place = element("pre", { tabIndex: 0, id: `stack-${row.dataset.key}` });
    place.setAttribute("aria-label", label);
    const cell = element("td", { colSpan: 5 }, place);
    under = row.stackRow = element("tr", { kind: "stack" }, cell);
    row.querySelector("button").setAttribute("aria-controls", place.id);
  }
  put(under.querySelector("pre"), text.trimEnd());
  return under;
}

function stackOfCall(stacks, call, stack) {
  if (stacks === "held") return "Not available: the interpreter was held for more than half a second.";
  if (stacks !== "read") return "Reading …";
  if (!call) return "It is no longer in a call.";
  if (stack === null) return "Its call has ended meanwhile.";
  return stack || "No Python code runs in it.";
}

const ENDINGS = {
  ok: "answered", exception: "raised", contract: "broke the contract", deadline: "passed their deadline", overloaded: "found no room",
  shutting_down: "came at the end", body: "had a bad body", not_found: "had no route", abandoned: "were abandoned", internal: "failed in httpy",
  gone: "lost their client", crashed: "lost their worker",
};
const NO_FAILURES = ["ok", "not_found", "abandoned", "gone"];

function showCounts(calls) {
  const told = Object.entries(calls).filter(([ending, count]) => count || ending === "ok");
  fill($("counts"), told, () => element("li", {}, element("b"), element("span")), (item, [ending, count]) => {
    put(item.firstChild, number(count));
    put(item.lastChild, ` ${ENDINGS[ending] || ending}`);
    item.className = NO_FAILURES.includes(ending) ? "" : "alarm";
  });
}

function showTime(cell, time, now) {
  put(cell, now - time < 1 ? "now" : `${span(now - time)} ago`);
  cell.title = new Date(time * 1000).toISOString();
}

function showStatus(cell, status) {
  put(cell, status ? String(status) : "–");
  cell.className = status >= 500 ? "status bad" : "status";
}

// The first ones of a list, or all of them once they were asked for.
const FIRST = 8, all = new Set();

function some(name, items) {
  const button = $(`${name}-more`), shown = all.has(name);
  button.hidden = items.length <= FIRST;
  button.setAttribute("aria-expanded", String(shown));
  put(button, shown ? "Show fewer" : `Show all ${items.length}`);
  return shown ? items : items.slice(0, FIRST);
}

for (const name of ["worker", "failed", "slow"]) {
  $(`${name}-more`).addEventListener("click", () => {
    if (!all.delete(name)) all.add(name);
    show(last);
  });
}

function showFailed({ failed, time }) {
  $("failed-empty").hidden = failed.length > 0;
  $("failed-table").hidden = failed.length === 0;
  fill($("failed-rows"), some("failed", failed), row, (line, call) => {
    const [when, times, status, what, why] = line.cells;
    showTime(when, call.time, time);
    put(times, call.times > 1 ? `${number(call.times)} ×` : "1 ×");
    showStatus(status, call.status);
    showCall(what, call);
    put(why, call.message || "the handler's own answer");
  });
}

function showCall(cell, call) {
  if (!cell.firstChild) cell.append(element("span", { kind: "mono" }), element("span", { kind: "under" }));
  const name = title(call);
  put(cell.firstChild, name);
  put(cell.lastChild, name === call.target ? "" : call.target);
}

function showSlow({ slow, slow_after, time }) {
  put($("slow-empty"), slow.length ? `Longer than ${duration(slow_after * 1e6)}.` : `None took longer than ${duration(slow_after * 1e6)}.`);
  $("slow-table").hidden = slow.length === 0;
  fill($("slow-rows"), some("slow", slow), row, (line, call) => {
    const [when, took, status, what, parts] = line.cells;
    showTime(when, call.time, time);
    put(took, duration(call.total * 1e6));
    showStatus(status, call.status);
    showCall(what, call);
    showParts(parts, call);
  });
}

function showParts(cell, { queue, attach, convert, run, total }) {
  const known = [["queue", queue, "for a worker"], ["attach", attach, "for the interpreter"], ["run", run + convert, "running"]];
  const parts = [...known, ["rest", Math.max(0, total - queue - attach - convert - run), "elsewhere"]];
  if (!cell.firstChild) cell.append(element("div", { kind: "parts" }), element("span", { kind: "under" }));
  cell.firstChild.setAttribute("aria-hidden", "true");
  fill(cell.firstChild, parts, () => element("i"), (bar, [name, seconds]) => {
    bar.className = name;
    bar.style.width = `${total ? (seconds / total) * 100 : 0}%`;
  });
  const told = parts.filter(([, seconds]) => seconds >= total / 100);
  put(cell.lastChild, told.map(([, seconds, text]) => `${duration(seconds * 1e6)} ${text}`).join(", "));
}

// Asks now, unless it is being asked: then right after that.
function resume() {
  clearTimeout(timer);
  if (asking) timer = setTimeout(ask, EVERY);
  else ask();
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  put($("pause"), paused ? "Paused: go on" : "Pause");
  if (!paused) resume();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) resume(); });
addEventListener("resize", () => { if (last) showCharts(last); });
ask();
