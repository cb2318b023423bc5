
"use strict";

// Charts as SVG, drawn anew with each answer. What is drawn are numbers; texts are made here.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 44, right: 6, top: 6, bottom: 18 };

function shape(svg, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  svg.append(made);
}

// An empty chart of the size that it has on the page, with what stands on its axes: `ticks` are pairs of y, from 0 to 1, and
// text.
function canvas(svg, ticks, seconds) {
  const width = svg.clientWidth || 300, height = svg.clientHeight || 120;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const y = (part) => MARGIN.top + inner.height * (1 - part);
  const x = (second) => MARGIN.left + inner.width * (second / Math.max(1, seconds - 1));
  for (const [part, text] of ticks) {
    shape(svg, "line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(part), y2: y(part) });
    shape(svg, "text", { x: MARGIN.left - 6, y: y(part) + 4, "text-anchor": "end" }, text);
  }
  for (const [ago, text, anchor] of [[120, "−2 min", "start"], [60, "−1 min", "middle"], [0, "now", "end"]]) {
    shape(svg, "text", { x: MARGIN.left + inner.width * (1 - ago / 120), y: height - 3, "text-anchor": anchor }, text);
  }
  return { x, y };
}

// The stretches of seconds in which there was anything, as lists of numbers of seconds.
function stretches(values) {
  const found = [];
  let current = null;
  values.forEach((value, second) => {
    if (value <= 0) { current = null; return; }
    if (current === null) found.push(current = []);
    current.push(second);
  });
  return found;
}

const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// Two minutes of values, whatever there is of them: the missing ones stand at the front.
const padded = (values) => Array(Math.max(0, 119 - values.length)).fill(0).concat(values);

// Median and 99th percentile in microseconds, from 10 µs to `top`, a power of ten.
function drawLatency(svg, hue, p50, p99, top) {
  const decades = Math.log10(top) - 1;
  const ticks = [];
  const every = decades > 4 ? 2 : 1;
  for (let decade = decades; decade >= 0; decade -= every) ticks.push([decade / decades, duration(10 ** (decade + 1))]);
  [p50, p99] = [padded(p50), padded(p99)];
  const { x, y } = canvas(svg, ticks, p50.length);
  const place = (value) => y(Math.min(1, Math.max(0, (Math.log10(Math.max(value, 1)) - 1) / decades)));
  for (const stretch of stretches(p99)) {
    const upper = stretch.map((second) => [x(second), place(p99[second])]);
    const lower = stretch.map((second) => [x(second), place(p50[second])]);
    // A second alone would have no width.
    for (const line of [upper, lower]) if (line.length === 1) line.push([line[0][0] + 2, line[0][1]]);
    shape(svg, "path", { class: `area ${hue}`, d: path(upper.concat(lower.slice().reverse())) + "Z" });
    shape(svg, "path", { class: `edge ${hue}`, d: path(upper) });
    shape(svg, "path", { class: `line ${hue}`, d: path(lower) });
  }
}

// Calls per second, and how many of them failed.
function drawRate(svg, count, failed) {
  [count, failed] = [padded(count), padded(failed)];
  const most = Math.max(4, ...count);
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * 10 ** Math.floor(Math.log10(most / 2))).find((step) => step * 2 >= most);
  const top = step * 2;
  const { x, y } = canvas(svg, [[0, "0"], [0.5, number(step)], [1, number(top)]], count.length);
  const area = (values) => path([[x(0), y(0)], ...values.map((value, second) => [x(second), y(value / top)]), [x(values.length - 1), y(0)]]) + "Z";
  shape(svg, "path", { class: "area ok", d: area(count) });
  shape(svg, "path", { class: "line ok", d: path(count.map((value, second) => [x(second), y(value / top)])) });
  if (failed.some((value) => value > 0)) shape(svg, "path", { class: "solid failed", d: area(failed) });
}

// Figures as people read them.

function number(value) {
  if (value >= 1e6) return (value / 1e6).toFixed(1) + " M";
  if (value >= 1e4) return (value / 1e3).toFixed(value < 1e5 ? 1 : 0) + " k";
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

// From microseconds.
function duration(micros) {
  if (micros < 1000) return `${Math.round(micros)} µs`;
  const [value, unit] = micros < 1e6 ? [micros / 1000, "ms"] : [micros / 1e6, "s"];
  if (unit === "s" && value >= 100) return span(value);
  return `${value < 10 ? +value.toFixed(1) : Math.round(value)} ${unit}`;
}

// From seconds, in the two largest units.
function span(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  return units.slice(first, first + 2).map(([size, unit], n) => {
    const whole = Math.floor((n ? seconds % units[first][0] : seconds) / size);
    return whole || !n ? `${whole} ${unit}` : "";
  }).join(" ").trim();
}

function bytes(value) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (value < 1024) return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} GiB`;
}
