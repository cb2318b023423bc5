
// Where the time of calls goes, in one line, and why.

const PARTS = {
  queue: "waiting for a worker",
  attach: "waiting for the interpreter",
  run: "in their handlers",
};
function showWhere(data) {
  const { recent } = data;
  const [part, headline] = mostly(data);
  $("where").dataset.part = part;
  put($("where"), headline);
  put($("why"), [refusals(), reason(part, data)].filter(Boolean).join(" "));
  const rows = recent.count ? [["Half of the calls", 0], ["99 of 100", 2]] : [];
  fill($("splits"), rows, splitRow, (item, [who, column]) => {
    put(item.children[0], `${who} in ${duration(recent.total[column])}`);
    const parts = Object.keys(PARTS).map((name) => [name, recent[name][column]]);
    const sum = Math.max(1, parts.reduce((sum, [, micros]) => sum + micros, 0));
    fill(item.children[1], parts, () => element("i"), (bar, [name, micros]) => {
      bar.className = name;
      bar.style.width = `${(micros / sum) * 100}%`;
    });
  });
}

function splitRow() {
  const bar = element("div", { kind: "parts" });
  bar.setAttribute("aria-hidden", "true");
  return element("li", {}, element("span"), bar);
}

// Which part most of the time goes to: of a call in the middle, or of the slowest ones where that one is quick. Who waits
// beside handlers that compute does so for a switch interval; of less nobody has to think.
function mostly({ recent, versions, workers }) {
  if (!recent.count) return ["", "No call has ended in the last ten seconds"];
  if (!recent.total[2]) return ["", "No call has come to a worker in the last ten seconds"];
  for (const [column, which] of [[0, "Mostly"], [2, "The slowest are mostly"]]) {
    const part = Object.keys(PARTS).reduce((one, other) => (recent[other][column] > recent[one][column] ? other : one));
    if (recent[part][column] < versions.switch_interval * 0.75e6) continue;
    return [part, `${which} ${part === "queue" && workers.loops.length ? "waiting for a worker or loop" : PARTS[part]}`];
  }
  return ["", "Quick: hardly any wait"];
}

// What makes them wait just now, as far as that is to be seen.
function reason(part, { recent, workers, waiting }) {
  const at = workers.each.filter((worker) => worker.call && worker.state !== "lost");
  const blocked = workers.loops.find(({ blocked_for }) => blocked_for !== null);
  if (!recent.count || part === "queue") {
    const waits = waiting ? `${plural(waiting, "call waits", "calls wait")}` : "";
    if (at.length >= workers.max) return `${allOf(workers)} in calls, most of them in ${names(at)}${waits ? `; ${waits}` : ""}.`;
    if (blocked) return `${blocked.name} is blocked.`;
    return waits ? `${waits} for a worker.` : "";
  }
  const computing = at.filter(({ state }) => state === "computing");
  if (part === "attach") {
    if (computing.length) return `${names(computing)} computes in ${plural(computing.length, "worker", "workers")}, and keeps it.`;
    return at.length ? `Handlers that compute keep it; in calls is ${names(at)}.` : "Handlers that compute keep it.";
  }
  return part === "run" && at.length ? `Most workers are in ${names(at)}; their stacks say where.` : "";
}

const allOf = ({ max }) => (max === 1 ? "The only worker is" : `All ${max} workers are`);

// The call that most of these workers are in.
function names(workers) {
  const counts = new Map();
  for (const { call } of workers) counts.set(title(call), (counts.get(title(call)) || 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one)[0]?.[0] ?? "";
}

// How calls ended of late: the counts of ten seconds ago are kept.
const SECONDS = 10;
let before = [];

function noteCounts({ time, calls }) {
  before = before.filter((old) => old.time > time - SECONDS - 1 && old.time <= time);
  before.push({ time, calls });
}

// The failure that most calls of the last seconds ended with, and what share of all.
function mostFailures() {
  const [first, now] = [before[0], before[before.length - 1]];
  const since = Object.entries(now.calls).map(([ending, count]) => [ending, count - (first.calls[ending] || 0)]);
  const all = since.reduce((sum, [, count]) => sum + count, 0);
  const failures = since.filter(([ending, count]) => count > 0 && !NO_FAILURES.includes(ending));
  const [ending, count] = failures.sort(([, one], [, other]) => other - one)[0] || [];
  return ending && { ending, share: count / all };
}

function refusals() {
  const most = mostFailures();
  return most?.ending === "overloaded" && most.share >= 0.02 ? `${percent(most.share)} find no room and are refused at once.` : "";
}
