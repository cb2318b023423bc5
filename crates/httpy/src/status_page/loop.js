
// The event loops of async handlers: whether they are blocked, and their calls.

function showLoops({ workers, stacks }) {
  const { loops } = workers;
  $("loops").hidden = loops.length === 0;
  put($("queue-name"), loops.length ? "Waiting for a worker or loop" : "Waiting for a worker");
  const calls = loops.reduce((sum, { calls }) => sum + calls, 0);
  put($("loops-note"), `${plural(calls, "call", "calls")} of async handlers under way.`);
  showRows($("loop-rows"), loops, {
    key: ({ name }) => name,
    label: ({ name }) => `Stacks of ${name}`,
    change: changeLoop,
    stack: (loop) => stacksOfLoop(stacks, loop),
  });
}

function changeLoop(row, { name, calls, waiting, lag, blocked_for, blocked_by, oldest }) {
  const [who, how, what, long] = row.cells;
  const blocked = blocked_for !== null, first = oldest[0];
  put(who, name);
  how.firstChild.dataset.state = blocked ? "blocked" : calls ? "serving" : "idle";
  put(how.firstChild, blocked ? "blocked" : calls ? "serves" : "idle");
  put(what.firstChild, blocked ? (blocked_by ? title(blocked_by) : "not known yet, or a background task") : plural(calls, "call", "calls"));
  const notes = blocked ? [plural(calls, "call", "calls")] : first ? [`the oldest ${title(first)}, for ${span(first.elapsed)}`] : [];
  if (waiting) notes.push(waiting === 1 ? "1 waits for it" : `${number(waiting)} wait for it`);
  put(what.lastChild, notes.join(" · "));
  put(long.firstChild, blocked ? `${duration(blocked_for * 1e6)} so far` : lag === null ? "" : duration(lag * 1e6));
  long.lastChild.hidden = true;
  put(row.cells[4].firstChild, "Stacks");
}

// What its thread does, where that is what keeps it, and what its calls await.
function stacksOfLoop(stacks, { blocked_for, stack, oldest }) {
  if (stacks !== "read") return stackOfCall(stacks);
  const found = oldest.map((call) => `${title(call)}, for ${span(call.elapsed)}:\n${stackOfCall(stacks, call, call.stack)}`);
  if (blocked_for !== null && stack) found.unshift(`Its thread:\n${stack}`);
  return found.join("\n\n") || "It has no calls.";
}
