// ---- formulas and Markdown ------------------------------------------------------------------
// KaTeX is in the page where a sample has a formula. It builds MathML, node by node; what it refuses
// stays as it was written, and so does what a browser could not lay out in no time.

const typesets = typeof katex !== "undefined";
// Markdown as responses have it: code, bold, italics, a heading. The limits keep a search from going
// through a long line once for each sign in it.
const MARKDOWN = [/(?<code>```[\s\S]*?```|`[^`\n]+`)/, /(?<strong>\*\*(?=[^\s*])[^\n]{0,500}?[^\s*]\*\*)/,
  /(?<em>(?<![\w*])\*(?=[^\s*])[^*\n]{0,500}(?<=[^\s*])\*(?![\w*]))/, /(?<heading>^#{1,6} [^\n]+$)/].map((mark) => mark.source);
const MARKED = new RegExp([...(typesets ? [board.formula] : []), ...MARKDOWN].join("|"), "gsm");
const SIGNS = { code: /^(`+)([\s\S]+?)(`+)$/, strong: /^(\*\*)([\s\S]+)(\*\*)$/, em: /^(\*)([\s\S]+)(\*)$/, heading: /^(#+ )([\s\S]+)()$/ };
const LATEX = new RegExp(board.latex);
const OPTIONS = { output: "mathml", throwOnError: true, strict: "ignore", maxSize: 20, trust: () => { throw new Error("no links, pictures or attributes"); } };
const LONGEST = 2000; // characters
const LARGEST = 1000; // elements
const DEEPEST = "* > ".repeat(40) + "*"; // the layout of 200 boxes in each other takes half a minute
const DEFINES = /\\([egx]?def|let|futurelet|global|long|(re|provide)?newcommand|providecommand)(?![A-Za-z])/;
// A formula is typeset when it comes into sight, so a text may have any number of them.
const inSight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { inSight.unobserve(target); target.draw(); }
});

// Return the parts of a text with its formulas and its Markdown; an answer may be a formula as a whole.
function typeset(given, isAnswer) {
  const content = String(given);
  const parts = [];
  let at = 0;
  for (const match of content.matchAll(MARKED)) {
    const [source, display, brackets, parentheses, dollars] = match;
    const kind = Object.keys(SIGNS).find((name) => match.groups[name] !== undefined);
    const inline = parentheses ?? dollars;
    parts.push(content.slice(at, match.index), kind ? marked(kind, source) : formula(source, inline ?? display ?? brackets ?? source, inline === undefined));
    at = match.index + source.length;
  }
  return !at && isAnswer && typesets && LATEX.test(content) ? formula(content, content, true) : [...parts, content.slice(at)];
}
// The signs stay, in grey: a response can be copied as it was written.
function marked(kind, source) {
  const [, before, inner, after] = source.match(SIGNS[kind]);
  const sign = (text) => el("span", { class: "soft" }, text);
  return el(kind === "heading" ? "strong" : kind, { class: kind }, sign(before), kind === "code" ? inner : typeset(inner), sign(after));
}
function formula(source, tex, displayMode) {
  const node = el("span", { class: "formula", title: source }, source);
  node.draw = () => node.replaceChildren(shown.raw ? source : made(tex, displayMode) || source);
  inSight.observe(node);
  return node;
}
function made(tex, displayMode) {
  if (!tex.trim() || tex.length > LONGEST || DEFINES.test(tex)) return null;
  const math = el("span");
  try { katex.render(tex, math, { ...OPTIONS, displayMode }); } catch { return null; }
  return math.querySelector(DEEPEST) || math.querySelectorAll("*").length > LARGEST ? null : math;
}
function setRaw(raw) {
  shown.raw = raw;
  document.getElementById("raw").setAttribute("aria-pressed", String(raw));
  for (const node of document.querySelectorAll(".formula")) { inSight.unobserve(node); inSight.observe(node); }
  remember(place(), shown, READ);
}
