// ---- packed samples -------------------------------------------------------------------------

async function unpack(id) {
  const raw = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
const chunks = new Map();
function chunk(run, part) {
  const key = `s${run}-${part}`;
  if (!chunks.has(key)) {
    if (chunks.size > 20) chunks.delete(chunks.keys().next().value);
    chunks.set(key, unpack(key));
  }
  return chunks.get(key);
}
const whole = async (s) => (await chunk(s.run, Math.floor(s.place / board.chunk)))[s.place % board.chunk];
async function readIndex(run) {
  const index = await unpack("i" + run);
  return index.map(([id, score, start, tokens, flags], place) => ({ run, id, score, start, tokens, flags, place, text: (id + " " + start).toLowerCase() }));
}
// Responses are unpacked when somebody looks for words; until then the list has the problems alone.
async function readTexts(run, index) {
  for (let part = 0; part * board.chunk < index.length; part++)
    (await unpack(`s${run}-${part}`)).forEach((s, n) => {
      index[part * board.chunk + n].text = [s.label, s.problem, s.reference, ...s.extracted, ...s.responses.flat()].join(" ").toLowerCase();
    });
}

// ---- a run's samples ------------------------------------------------------------------------

const isRight = (s) => s.score === 1;
const isWrong = (s) => s.score !== null && s.score < 1;
const KINDS = {
  all: ["all", () => true],
  wrong: ["wrong", isWrong],
  right: ["right", isRight],
  unanswered: ["no answer", (s) => s.flags.includes("no answer")],
  loop: ["loops", (s) => s.flags.includes("loop")],
  cut: ["cut off", (s) => s.flags.some((f) => f.startsWith("cut"))],
  gained: ["A right, B wrong", (s) => s.other && isRight(s) && isWrong(s.other)],
  lost: ["A wrong, B right", (s) => s.other && isWrong(s) && isRight(s.other)],
  apart: ["not in B", (s) => shown.other !== null && !s.other],
};
const said = (score) => score === null ? "not graded" : score === 1 ? "right" : score === 0 ? "wrong" : "right in part of the repeats";
const verdict = (score) => {
  const [name, sign] = score === null ? ["soft", "?"] : score === 1 ? ["yes", "✓"] : score === 0 ? ["no", "✗"] : ["part", Math.round(100 * score) + "%"];
  return el("span", { class: name, title: said(score) }, sign);
};
const READ = { kind: "all", words: "", page: 0, other: null, raw: false };
let shown = null; // the run that is read, its index, and what of READ was chosen

const cells = () => board.rows.flatMap((row) => Object.entries(row.cells).map(([benchmark, cell]) => ({ row, benchmark, cell })));
const cellFor = (run) => cells().find(({ cell }) => cell.samples === run);
const runName = ({ row }) => [label(row), row.settings].filter(Boolean).join(", ");

async function drawSamples(run, wanted, query) {
  const here = cellFor(run);
  if (!here) { location.hash = ""; return; }
  main.replaceChildren(el("p", { class: "soft" }, "opening the samples …"));
  const chosen = recalled(query, READ);
  const index = shown?.run === run ? shown.index : await readIndex(run);
  shown = { run, index, open: null, ...chosen };
  await setOther(chosen.other);
  if (shown.words) await readTexts(run, index);
  const at = found().findIndex((s) => s.id === wanted);
  if (at >= 0) shown.page = Math.floor(at / PER_PAGE);
  drawPage(here);
  if (wanted === null) return;
  const item = document.querySelector(`.sample[data-id="${CSS.escape(wanted)}"] > button`);
  if (item) openSample(item);
  else document.querySelector(".where").textContent += `, ${wanted} is not among them`;
}
async function setOther(run) {
  const there = run === null ? null : cellFor(run);
  shown.other = there ? run : null;
  const others = new Map(there ? (await readIndex(run)).map((s) => [s.id, s]) : []);
  for (const s of shown.index) s.other = others.get(s.id) || null;
}
const found = () => shown.index.filter((s) => (KINDS[shown.kind] || KINDS.all)[1](s) && shown.words.toLowerCase().split(/\s+/).every((w) => s.text.includes(w)));
const place = () => ["samples", shown.run, ...(shown.open ? [encodeURIComponent(shown.open)] : [])].join("/");

function drawPage(here) {
  const { row, benchmark, cell } = here;
  const others = cells().filter((c) => c.benchmark === benchmark && c.cell.samples !== null && c.cell.samples !== shown.run);
  const kind = (name) => el("button", { "data-kind": name, onclick: () => { shown.kind = name; shown.page = 0; drawList(); } }, `${KINDS[name][0]} ${shown.index.filter(KINDS[name][1]).length.toLocaleString("en")}`);
  const search = async (text) => {
    Object.assign(shown, { words: text, page: 0 });
    drawList();
    const { index, run } = shown;
    if (!text.trim() || index.whole) return;
    index.whole = true;
    await readTexts(run, index);
    if (shown.index === index) drawList();
  };
  const pair = async (value) => { await setOther(value === "" ? null : Number(value)); Object.assign(shown, { kind: "all", page: 0 }); drawPage(here); };
  redraw(main,
    el("p", {}, el("a", { href: address("board", state, START) }, "‹ leaderboard")),
    el("h1", {}, weights(row)),
    el("p", { class: "soft" }, [benchmark, method(row), row.settings, row.made].filter(Boolean).join(" · "), el("br"),
      `accuracy ${percent(cell.accuracy)} %` + (cell.low === null ? "" : ` (${percent(cell.low)}–${percent(cell.high)})`) + `, n = ${number(cell.n)}`),
    el("div", { class: "bar tabs", role: "group", "aria-label": "which samples" }, Object.keys(KINDS).filter((k) => k === "all" || shown.index.some(KINDS[k][1])).map(kind)),
    el("div", { class: "bar" },
      el("input", { type: "search", placeholder: "find in problems and responses", "aria-label": "find samples", value: shown.words, oninput: (e) => search(e.target.value) }),
      others.length ? el("label", { class: "small" }, "beside it (B): ", el("select", { id: "other", "aria-label": "another run beside it", onchange: (e) => pair(e.target.value) },
        el("option", { value: "" }, "no other run"), others.map((c) => el("option", { value: c.cell.samples, selected: c.cell.samples === shown.other ? "" : null }, runName(c))))) : null,
      typesets ? el("button", { id: "raw", "aria-pressed": String(shown.raw), onclick: () => setRaw(!shown.raw) }, "formulas as written") : null,
      el("span", { class: "small soft keys" }, "j, k: next, previous" + (typesets ? "; f: formulas" : ""))),
    el("div", { class: "bar pager" }), el("div", { id: "samples" }), el("div", { class: "bar pager" }));
  drawList();
}
function drawList() {
  const list = found();
  const pages = Math.max(1, Math.ceil(list.length / PER_PAGE));
  shown.page = Math.min(shown.page, pages - 1);
  const from = shown.page * PER_PAGE;
  document.getElementById("samples").replaceChildren(...list.slice(from, from + PER_PAGE).map(sampleItem));
  const bars = document.querySelectorAll(".pager");
  const move = (by) => () => { shown.page += by; drawList(); document.querySelector(".sample > button").focus(); bars[0].scrollIntoView({ block: "start" }); };
  for (const bar of bars) bar.replaceChildren(
    el("button", { onclick: move(-1), disabled: shown.page === 0 ? "" : null }, "‹ previous"),
    el("span", { class: "small soft where" }, list.length ? `${from + 1}–${Math.min(from + PER_PAGE, list.length)} of ${list.length.toLocaleString("en")}` : "none"),
    el("button", { onclick: move(1), disabled: shown.page >= pages - 1 ? "" : null }, "next ›"));
  for (const button of document.querySelectorAll("[data-kind]")) button.setAttribute("aria-pressed", String(button.dataset.kind === shown.kind));
  remember(place(), shown, READ);
}
function sampleItem(s) {
  const body = el("div", { class: "body", hidden: "" });
  const button = el("button", { "aria-expanded": "false", onclick: async () => {
    body.hidden = !body.hidden;
    button.setAttribute("aria-expanded", String(!body.hidden));
    shown.open = body.hidden ? null : s.id;
    remember(place(), shown, READ);
    if (body.hidden || body.childNodes.length) return;
    const texts = [sampleBody(await whole(s), s)];
    if (s.other) texts.push(sampleBody(await whole(s.other), s.other, true));
    body.replaceChildren(...(s.other ? [el("div", { class: "pair" }, texts.map((parts, i) => el("div", {}, el("h2", { class: "side" }, `${"AB"[i]}: ${runName(cellFor([shown.run, shown.other][i]))}`), parts)))] : texts[0]));
  } }, el("span", {}, verdict(s.score), s.other ? [" ", verdict(s.other.score)] : null), el("span", {}, s.id), el("span", { class: "start" }, s.start),
    el("span", { class: "small soft" }, s.tokens === null ? "" : number(s.tokens) + " tokens", s.flags.map((f) => el("span", { class: "tag" }, f))));
  return el("div", { class: "sample", "data-id": s.id }, button, body);
}

// ---- one sample -----------------------------------------------------------------------------

const text = (content, empty) => el("pre", { class: "text", tabindex: 0 }, content === "" ? empty || "(empty)" : content);
const withFormulas = (content, bare) => (content === "" ? text("") : text(typeset(content, bare)));
function folded(title, make) {
  const details = el("details", {}, el("summary", {}, title));
  details.addEventListener("toggle", () => { if (details.open && details.childNodes.length === 1) details.append(make()); });
  return details;
}
// The part of a response from `start`, its phases in colours where the run has noted them.
function phases(content, start, pieces) {
  let at = 0;
  const parts = (pieces || []).map(([kind, length]) => {
    const part = content.slice(Math.max(0, at - start), Math.max(0, at + length - start));
    at += length;
    return part ? el("span", { class: "phase-" + kind, title: kind }, typeset(part)) : null;
  });
  return el("pre", { class: "text", tabindex: 0 }, parts, typeset(content.slice(Math.max(0, at - start))));
}
const grid = (heads, rows) => el("div", { class: "scroll" }, el("table", { class: "grid" },
  el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, words(head))))),
  el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => el("td", { "data-head": words(heads[i]) }, cell ?? MISSING)))))));
const shownScore = (value) => typeof value === "number" ? Number(value.toPrecision(4)).toString() : MISSING;

const pointTable = (s) => grid(["point", "answer", "right", "sampled", "thinking"], s.points.map((p) => [
  p.point, p.answer, verdict(p.score), number(p.sampled_tokens), number(p.thinking_tokens)]));

function sampleBody(s, entry, second) {
  const many = s.responses.length > 1;
  return [
    second ? null : [el("h2", {}, "Problem ", el("a", { href: `#samples/${entry.run}/${encodeURIComponent(entry.id)}`, title: "a link to this sample" }, "#")), withFormulas(s.problem)],
    s.prompt && s.prompt !== s.problem ? folded("the prompt as it was sent", () => text(s.prompt)) : null,
    el("div", { class: "pair" },
      el("div", {}, el("h2", {}, "Answer that was graded: ", verdict(s.score), " " + said(s.score)), text(s.extracted.length ? s.extracted.map((answer, i) => [i ? "\n" : "", typeset(answer, true)]) : MISSING)),
      second ? null : el("div", {}, el("h2", {}, "Reference"), withFormulas(s.reference, true))),
    ...s.responses.flatMap(([thinking, answer], i) => [
      el("h2", {}, many ? `Response ${i + 1}` : "Response"),
      thinking ? folded(`thinking, ${thinking.length.toLocaleString("en")} characters`, () => phases(thinking, 0, s.pieces[i])) : null,
      answer === "" ? text("", thinking ? "(nothing after the thinking)" : "(empty response)") : phases(answer, thinking.length, s.pieces[i]),
    ]),
    s.points.length ? [el("h2", {}, "Answers on the way"), pointTable(s)] : null,
    s.candidates.length ? [el("h2", {}, `Candidates, ${s.candidates.length}`), candidateTable(s)] : null,
    s.tree.length ? [el("h2", {}, `Search, ${s.tree.length} steps`), searchTree(s.tree)] : null,
    el("h2", {}, "Figures"), el("div", { class: "figures" }, Object.entries(s.figures).filter(([name]) => !name.includes("@") || !s.points.length).map(([name, value]) => el("span", {}, `${name} ${number(value)}`))),
  ].flat(Infinity).filter(Boolean);
}

// ---- the way around -------------------------------------------------------------------------

function openSample(item) {
  item.click();
  item.focus();
  item.scrollIntoView({ block: "start" });
}
// j and k open the next and the previous sample, in the place of the one that is open; or lead to the table.
function step(by) {
  const items = among(".sample > button");
  const open = items.find((item) => item.getAttribute("aria-expanded") === "true");
  const turn = document.querySelector(`.pager button:${by > 0 ? "last" : "first"}-child`);
  let next = items[open ? items.indexOf(open) + by : 0];
  if (!next && turn && !turn.disabled) {
    turn.click();
    next = among(".sample > button").at(by > 0 ? 0 : -1);
  }
  if (!next) { document.querySelector(STOPS[1] + "[tabindex='0']")?.focus(); return; }
  open?.click();
  openSample(next);
}
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (lead(e.target, e.key)) e.preventDefault();
  else if (e.key === "j" || e.key === "k") step(e.key === "j" ? 1 : -1);
  if (e.key === "f" && document.getElementById("raw")) setRaw(!shown.raw);
});
document.getElementById("skip").addEventListener("click", (e) => { e.preventDefault(); main.focus(); });

function route() {
  const [, at, query] = location.hash.match(/^#?([^?]*)\??(.*)$/);
  const match = at.match(/^samples\/(\d+)(?:\/(.+))?$/);
  if (match) drawSamples(Number(match[1]), match[2] === undefined ? null : decodeURIComponent(match[2]), query); else drawBoard(query);
  window.scrollTo(0, 0);
}
// The way back leads to the row that was read.
window.addEventListener("hashchange", () => {
  route();
  (document.querySelector(`#table a[href="#samples/${shown?.run}"]`) || main).focus();
});
let width = window.innerWidth < 720;
window.addEventListener("resize", () => { if (width !== window.innerWidth < 720 && document.getElementById("plot")) { width = !width; drawPlot(); } });
route();
