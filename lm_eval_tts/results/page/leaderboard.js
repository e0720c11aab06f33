"use strict";
// Everything shown is put in by textContent: what a model wrote is never read as HTML.
const board = JSON.parse(document.getElementById("board").textContent);
const main = document.getElementById("main");
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7b61c9", "#8c564b", "#6b7280", "#b8860b", "#17a2a2", "#e36f9e"];
// A colour comes again in another shape: circle, square, diamond, triangles, plus, cross, bars.
const SHAPES = ["M-6,0a6,6 0 1,0 12,0a6,6 0 1,0 -12,0", "M-5.5,-5.5H5.5V5.5H-5.5z", "M0,-8L8,0L0,8L-8,0z", "M0,-7L7.5,6H-7.5z", "M0,7L7.5,-6H-7.5z",
  "M-2.5,-7H2.5V-2.5H7V2.5H2.5V7H-2.5V2.5H-7V-2.5H-2.5z", "M0,-3L4,-7L7,-4L3,0L7,4L4,7L0,3L-4,7L-7,4L-3,0L-7,-4L-4,-7z", "M-3,-8H3V8H-3z", "M-8,-3H8V3H-8z"];
const PER_PAGE = 50;
const MISSING = "–";
const START = { benchmark: board.benchmarks[0], cost: null, filter: "", sort: "rank", down: false, more: false };
const state = { ...START };

function el(tag, options, ...children) {
  const node = document.createElement(tag);
  fill(node, options, children);
  return node;
}
function svg(tag, options, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(node, options, children);
  return node;
}
function fill(node, options, children) {
  for (const [name, value] of Object.entries(options || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}
const number = (value, form) => {
  if (value === null || value === undefined) return MISSING;
  if (form === "share") return (100 * value).toFixed(1) + "%";
  return value < 100 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toLocaleString("en");
};
// The address has what is not as at the start: #board?filter="grpo"&sort="total_tokens"
function address(place, values, start) {
  const changed = Object.entries(values).filter(([name, value]) => name in start && value !== start[name]);
  const query = new URLSearchParams(changed.map(([name, value]) => [name, JSON.stringify(value)])).toString();
  return query ? `#${place}?${query}` : "#" + place;
}
const remember = (place, values, start) => history.replaceState(null, "", address(place, values, start));
function recalled(query, start) {
  const found = { ...start };
  for (const [name, value] of new URLSearchParams(query)) {
    try { if (name in start) found[name] = JSON.parse(value); } catch { /* written by hand */ }
  }
  return found;
}
// When and by what a run was made.
const MADE = [["date", "date"], ["weights_dtype", "dtype"], ["num_parameters", "parameters"], ["versions", "versions"]].map(([name, head]) =>
  ({ id: name, head, left: name !== "num_parameters", value: (r) => r[name], text: (r) => (typeof r[name] === "number" ? r[name].toLocaleString("en") : r[name]) || MISSING }));
const words = (name) => name.replaceAll("_", " ");
const percent = (value) => (value > 1 || value < 0 ? value.toPrecision(4) : (100 * value).toFixed(1));

// What is drawn anew keeps the focus that it had.
function redraw(place, ...parts) {
  const { id } = document.activeElement;
  place.replaceChildren(...parts);
  if (id && document.activeElement === document.body) document.getElementById(id)?.focus({ preventScroll: true });
}
// The points of the picture, and the links of the table, are one tab stop each: keys lead on from there.
const STOPS = ["#plot .dot", "#table td a"];
const among = (stops) => [...document.querySelectorAll(stops)];
const stopAt = (stops, item) => among(stops).forEach((other) => other.setAttribute("tabindex", other === item ? 0 : -1));
function lead(item, key) {
  const stops = STOPS.find((one) => item.matches(one));
  if (!stops) return false;
  const sideways = key === "ArrowLeft" || key === "ArrowRight";
  const lane = (one) => (sideways ? one.closest("tr") : one.closest("td")?.cellIndex);
  const lanes = among(stops).filter((one) => lane(one) === lane(item));
  const at = lanes.indexOf(item);
  const next = lanes[{ ArrowDown: at + 1, ArrowRight: at + 1, j: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, k: at - 1, Home: 0, End: lanes.length - 1 }[key]];
  next?.focus();
  return Boolean(next);
}
document.addEventListener("focusin", ({ target }) => { const stops = STOPS.find((one) => target.matches(one)); if (stops) stopAt(stops, target); });

// ---- table ----------------------------------------------------------------------------------

const cellOf = (row) => row.cells[state.benchmark];
const rowsShown = () => board.rows.filter((row) =>
  (state.benchmark === "" || cellOf(row)) &&
  state.filter.toLowerCase().split(/\s+/).every((word) => row.words.includes(word)));

function columns() {
  const head = [
    { id: "checkpoint", head: "checkpoint", left: true, value: (r) => r.name, make: nameCell },
    { id: "strategy", head: "prompt · strategy", left: true, value: method, make: strategyCell },
  ];
  if (state.benchmark === "") return [...head, ...board.benchmarks.map((name) => ({
    id: "b:" + name, head: name, down: true, score: true, value: (r) => r.cells[name]?.accuracy,
    make: (r) => (r.cells[name] ? linked(r.cells[name].samples, scoreCell(r.cells[name], true)) : MISSING),
  }))];
  const shown = board.columns.filter(([, name]) => (state.more || !board.extra.includes(name)) && board.rows.some((r) => cellOf(r)?.[name] != null));
  // What k samples score under each rule of choice: of repeats, or of the candidates of one response.
  const scored = (r) => ({ ...Object.fromEntries(Object.entries(cellOf(r)?.pass_at || {}).map(([k, v]) => ["pass@" + k, v])), ...cellOf(r)?.choices });
  const names = [...new Set(board.rows.flatMap((r) => Object.keys(scored(r))))];
  const k = Math.max(0, ...names.map((name) => Number(name.split("@")[1])));
  const choices = k > 1 ? names.filter((name) => name.endsWith("@" + k) && (state.more || /^(pass|maj)@/.test(name))) : [];
  return [
    { id: "rank", head: "rank", value: (r) => cellOf(r).rank, make: rankCell },
    ...head,
    { id: "accuracy", head: "accuracy %", down: true, score: true, value: (r) => cellOf(r).accuracy, make: (r) => scoreCell(cellOf(r)) },
    ...choices.map((name) => ({ id: name.split("@")[0], head: words(name), down: true, value: (r) => scored(r)[name], text: (r) => number(scored(r)[name], "share") })),
    ...shown.map(([heading, name, form]) => ({ id: name, head: heading, value: (r) => cellOf(r)[name], text: (r) => number(cellOf(r)[name], form) })),
    ...(state.more ? MADE : []),
    { id: "n", head: "n", value: (r) => cellOf(r).n, text: (r) => number(cellOf(r).n) },
  ];
}
const nameCell = (row) => [
  el("strong", { title: [row.checkpoint, row.made].filter(Boolean).join(", ") }, row.name),
  ...(row.adapter ? [el("div", { class: "small" }, "+ " + row.adapter)] : []),
  ...(row.revision ? [el("div", { class: "small soft" }, "revision " + row.revision.slice(0, 12))] : []),
];
const method = (row) => [row.prompt_style, row.strategy || row.model].filter(Boolean).join(" · ");
const strategyCell = (row) => [
  el("span", {}, method(row)),
  el("div", { class: "small soft" }, [row.settings, row.show_seed ? "seed " + row.seed : ""].filter(Boolean).join(", ")),
];
function rankCell(row) {
  const cell = cellOf(row);
  return cell.rank ? String(cell.rank) : el("span", { class: "soft", title: "not ranked" }, MISSING);
}
function scoreCell(cell, withMarks) {
  const known = cell.low !== null && cell.accuracy >= 0 && cell.accuracy <= 1;
  const marks = cell.not_comparable.map((mark) => el("div", { class: "mark" }, "not comparable: " + mark));
  return el("div", {},
    el("strong", {}, percent(cell.accuracy)),
    known ? el("span", { class: "soft small" }, ` (${percent(cell.low)}–${percent(cell.high)})`) : null,
    known ? el("div", { class: "ci", "aria-hidden": "true" },
      el("b", { style: `left:${100 * cell.low}%;width:${100 * (cell.high - cell.low)}%` }),
      el("i", { style: `left:${100 * cell.accuracy}%` })) : null,
    withMarks && marks.length ? el("div", { class: "mark" }, "not comparable") : marks);
}
const linked = (samples, content) => samples === null ? content : el("a", { class: "plain", href: "#samples/" + samples, title: "read the samples" }, content);
function compare(a, b) {
  const missing = (v) => v === null || v === undefined || v === "";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return state.down ? -order : order;
}
function sortBy(column) {
  state.down = state.sort === column.id ? !state.down : Boolean(column.down);
  state.sort = column.id;
  drawTable();
}
function drawTable() {
  const all = columns();
  const column = all.find((c) => c.id === state.sort) || all.find((c) => c.score);
  if (state.sort !== column.id) { state.sort = column.id; state.down = true; }
  const tie = (row) => (state.benchmark ? -cellOf(row).accuracy : 0);
  const rows = rowsShown().sort((a, b) => compare(column.value(a), column.value(b)) || tie(a) - tie(b));
  const head = el("tr", {}, all.map((c) => el("th", {
    scope: "col", class: c.left ? "left " + c.id : "",
    "aria-sort": c.id !== column.id ? null : state.down ? "descending" : "ascending",
  }, el("button", { id: "by-" + c.id, onclick: () => sortBy(c), title: board.explained[c.id] || null }, c.head))));
  const body = rows.map((row) => {
    const go = row.cells[state.benchmark]?.samples;
    const open = go != null ? () => { location.hash = "samples/" + go; } : null;
    return el("tr", { id: "row-" + row.id, class: open ? "link" : "", onclick: open || (() => {}) }, all.map((c) => {
      const content = c.make ? c.make(row) : c.text(row);
      return el("td", {
        "data-head": c.head,
        class: [c.left ? "left wide " + c.id : "", c.score ? "score" : "", content === MISSING ? "none" : ""].join(" "),
      }, c.id === "checkpoint" && open ? el("a", { href: "#samples/" + go, title: "read the samples" }, content) : content);
    }));
  });
  const table = el("table", {}, el("thead", {}, head), el("tbody", {}, body));
  redraw(document.getElementById("table"), table);
  stopAt(STOPS[1], table.querySelector("td a"));
  document.getElementById("count").textContent = `${rows.length} of ${board.rows.filter((r) => !state.benchmark || cellOf(r)).length} rows`;
  remember("board", state, START);
  const select = document.getElementById("sort");
  select.replaceChildren(...all.map((c) => el("option", { value: c.id, selected: c.id === column.id ? "" : null }, "sort by " + c.head)));
  select.onchange = () => sortBy(all.find((c) => c.id === select.value));
}

// ---- plot -----------------------------------------------------------------------------------

const weights = (row) => row.name + (row.adapter ? " + " + row.adapter : "");
const label = (row) => [weights(row), method(row)].filter(Boolean).join(" · ");
const costsKnown = () => board.costs.filter((cost) => board.rows.some((r) => cellOf(r)?.[cost] > 0));

function drawPlot() {
  const place = document.getElementById("plot");
  const costs = costsKnown();
  const rows = rowsShown();
  if (!state.benchmark || !costs.length) {
    place.replaceChildren();
    place.hidden = true;
    return;
  }
  place.hidden = false;
  if (!costs.includes(state.cost)) state.cost = costs[0];
  const select = el("select", { id: "cost", "aria-label": "cost on the x axis", onchange: (e) => { state.cost = e.target.value; drawPlot(); remember("board", state, START); } },
    costs.map((c) => el("option", { value: c, selected: c === state.cost ? "" : null }, words(c))));
  const points = rows.map((row) => ({ row, cell: cellOf(row), x: cellOf(row)[state.cost], y: cellOf(row).accuracy })).filter((p) => p.x > 0);
  const absent = rows.length - points.length;
  // Of all rows: what a filter leaves keeps its mark.
  const marks = new Map([...new Set(board.rows.map(weights))].map((name, i) => [name, { color: COLORS[i % COLORS.length], shape: SHAPES[Math.floor(i / COLORS.length) % SHAPES.length] }]));
  const drawn = new Set(points.map((p) => weights(p.row)));
  redraw(place,
    el("div", { class: "bar" }, el("h2", {}, "Accuracy against tokens"), el("label", { class: "small" }, "x: ", select)),
    chart(points, marks),
    marks.size > 1 ? el("div", { class: "legend small", role: "group", "aria-label": "checkpoints", tabindex: drawn.size > 16 ? 0 : null }, [...drawn].map((name) => el("span", {},
      svg("svg", { viewBox: "-9 -9 18 18", "aria-hidden": "true" }, svg("path", { d: marks.get(name).shape, fill: marks.get(name).color })), name))) : "",
    el("p", { class: "small soft" }, "Tokens of one problem, on average; dashed: the Pareto front (nothing else is as good for as little). Bars are 95 % intervals; hollow points are not comparable." +
      (absent ? ` ${absent} without such tokens ${absent > 1 ? "are" : "is"} not drawn.` : "")));
  stopAt(STOPS[0], place.querySelector(".dot"));
}
function chart(points, marks) {
  const narrow = window.innerWidth < 720;
  const W = narrow ? 400 : 1000, H = narrow ? 300 : 340, L = 46, R = 16, T = 26, B = 40;
  const curve = (p) => p.cell.points.filter((q) => q[state.cost] > 0).map((q) => ({ ...q, x: q[state.cost] }));
  const xs = points.flatMap((p) => [p.x, ...curve(p).map((q) => q.x)]);
  const tops = points.flatMap((p) => [p.cell.high ?? p.y, ...curve(p).map((q) => q.accuracy)]);
  const top = Math.min(1, Math.max(0.1, Math.ceil(Math.max(...tops, 0) * 10.5) / 10));
  const lo = Math.log(Math.min(...xs) / 1.25), hi = Math.log(Math.max(...xs) * 1.25);
  const x = (v) => L + ((Math.log(v) - lo) / (hi - lo || 1)) * (W - L - R);
  const y = (v) => H - B - (Math.min(v, top) / top) * (H - T - B);
  const parts = [];
  const step = top > 0.5 ? 0.2 : top > 0.2 ? 0.1 : 0.05;
  for (let v = 0; v <= top + 1e-9; v += step) {
    parts.push(svg("line", { class: "grid", x1: L, x2: W - R, y1: y(v), y2: y(v) }));
    parts.push(svg("text", { x: L - 7, y: y(v) + 4, "text-anchor": "end" }, (100 * v).toFixed(0)));
  }
  for (const v of ticks(Math.exp(lo), Math.exp(hi))) {
    parts.push(svg("line", { class: "grid", x1: x(v), x2: x(v), y1: T, y2: H - B }));
    parts.push(svg("text", { x: x(v), y: H - B + 17, "text-anchor": "middle" }, v.toLocaleString("en")));
  }
  parts.push(svg("text", { x: (L + W - R) / 2, y: H - 4, "text-anchor": "middle" }, words(state.cost) + " a problem (log)"));
  parts.push(svg("text", { x: L, y: 10 }, "accuracy %"));
  const ranked = points.filter((p) => p.cell.rank);
  const front = ranked.filter((p) => !ranked.some((q) => q.x <= p.x && q.y >= p.y && (q.x < p.x || q.y > p.y))).sort((a, b) => a.x - b.x);
  if (front.length) parts.push(svg("path", { class: "front", d: steps(front, x, y, W - R) }));
  for (const p of points) parts.push(...curveParts(curve(p), marks.get(weights(p.row)), x, y, p.row));
  for (const p of points) parts.push(...pointParts(p, marks.get(weights(p.row)), x, y));
  const taken = [{ x: L, w: 70, y: 10 }, ...points.map((p) => ({ x: x(p.x) - 6, w: 12, y: y(p.y) + 4 }))];
  for (const p of [...front].reverse()) {
    const end = x(p.x) > W * 0.45;
    const text = narrow ? cut(p.row.name, 30) : cut(label(p.row), 60);
    const at = { x: x(p.x) + (end ? -10 : 10), y: y(p.y) - 9 };
    const box = { x: at.x - (end ? 6.6 * text.length : 0), w: 6.6 * text.length, y: at.y };
    if (box.x < 0 || taken.some((t) => Math.abs(t.y - box.y) < 13 && t.x < box.x + box.w && box.x < t.x + t.w)) continue;
    taken.push(box);
    parts.push(svg("text", { class: "name", ...at, "text-anchor": end ? "end" : "start" }, text));
  }
  return svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": "accuracy against tokens" }, parts);
}
const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + "…" : text;
function ticks(from, to) {
  for (const digits of [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power++)
      for (const digit of digits) {
        const v = digit * 10 ** power;
        if (v >= from && v <= to && v >= 1) found.push(v);
      }
    if (found.length > 2 || digits.length > 3) return found;
  }
}
const steps = (front, x, y, right) => front.map((p, i) => (i ? `H${x(p.x)}V${y(p.y)}` : `M${x(p.x)},${y(p.y)}`)).join("") + `H${right}`;
function pointParts(p, { color, shape }, x, y) {
  const plain = !p.cell.not_comparable.length;
  const tip = `${label(p.row)}\n${p.row.settings}\naccuracy ${percent(p.y)} %, ${number(p.x)} ${words(state.cost)}${plain ? "" : "\nnot comparable: " + p.cell.not_comparable.join("; ")}`;
  const go = () => {
    const target = document.getElementById("row-" + p.row.id);
    target?.querySelector("a")?.focus({ preventScroll: true });
    target?.scrollIntoView({ behavior: "smooth", block: "center" });
    target?.classList.add("flash");
    setTimeout(() => target?.classList.remove("flash"), 1500);
  };
  return [
    p.cell.low === null ? null : svg("line", { x1: x(p.x), x2: x(p.x), y1: y(p.cell.low), y2: y(p.cell.high), stroke: color, "stroke-opacity": 0.4, "stroke-width": 2 }),
    svg("path", { class: "dot", d: shape, transform: `translate(${x(p.x)} ${y(p.y)})`, fill: plain ? color : "transparent", style: plain ? null : "stroke:" + color, role: "button", onclick: go,
      onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); go(); } } }, svg("title", {}, tip)),
  ];
}
function curveParts(points, { color, shape }, x, y, row) {
  if (!points.length) return [];
  return [
    svg("polyline", { points: points.map((q) => `${x(q.x)},${y(q.accuracy)}`).join(" "), fill: "none", stroke: color, "stroke-opacity": 0.7 }),
    ...points.map((q) => svg("path", { d: shape, transform: `translate(${x(q.x)} ${y(q.accuracy)}) scale(.5)`, fill: color }, svg("title", {}, `${label(row)} @${q.label}\naccuracy ${percent(q.accuracy)} %, ${number(q.x)} ${words(state.cost)}`))),
  ];
}

// ---- board ----------------------------------------------------------------------------------

function drawBoard(query) {
  if (query !== undefined) Object.assign(state, recalled(query, START));
  if (state.benchmark !== "" && !board.benchmarks.includes(state.benchmark)) state.benchmark = board.benchmarks[0];
  const tab = (name, text) => el("button", { id: "of-" + name, "aria-pressed": String(state.benchmark === name), onclick: () => { state.benchmark = name; state.sort = name ? "rank" : "b:" + board.benchmarks[0]; state.down = !name; drawBoard(); } }, text);
  redraw(main,
    el("h1", {}, board.title),
    el("p", { class: "soft small" }, board.subtitle),
    board.benchmarks.length > 1 ? el("div", { class: "bar tabs", role: "group", "aria-label": "benchmark" }, board.benchmarks.map((name) => tab(name, name)), tab("", "all")) : "",
    el("div", { class: "panel", id: "plot" }),
    el("div", { class: "bar" },
      el("input", { type: "search", id: "filter", placeholder: "filter: checkpoint, style, strategy …", "aria-label": "filter rows", value: state.filter, oninput: (e) => { state.filter = e.target.value; drawTable(); drawPlot(); } }),
      el("select", { id: "sort", class: "phone", "aria-label": "sort" }),
      state.benchmark === "" ? "" : el("label", { class: "small" }, el("input", { type: "checkbox", checked: state.more ? "" : null, onchange: (e) => { state.more = e.target.checked; drawTable(); } }), " all columns"),
      el("span", { class: "soft small", id: "count" }),
      el("span", { class: "small soft keys" }, "arrows, j, k: along rows or points")),
    el("div", { class: "scroll", id: "table" }),
    el("details", { class: "small" }, el("summary", {}, "what the columns mean"),
      el("dl", {}, columns().filter((c) => board.explained[c.id]).flatMap((c) => [el("dt", {}, c.head), el("dd", {}, board.explained[c.id])]))),
    el("p", { class: "small soft" }, board.legend),
    ...(board.notes.length ? [el("details", { class: "small" }, el("summary", {}, `${board.notes.length} note${board.notes.length > 1 ? "s" : ""} on the files`), el("ul", {}, board.notes.map((note) => el("li", {}, note))))] : []));
  drawTable();
  drawPlot();
}
