// ---- what a response was chosen from ----------------------------------------------------------

// The candidates with their votes and ratings; one or two that are ticked stand below, side by side.
function candidateTable(s) {
  const votes = new Map();
  for (const c of s.candidates) votes.set(c.class, (votes.get(c.class) || 0) + 1);
  const ratings = Object.keys(s.candidates[0].scores || {});
  const chosen = s.responses.map((parts) => parts.join(""));
  const beside = el("div", { class: "beside", "aria-live": "polite" });
  let ticked = [];
  const tick = (box) => {
    ticked = box.checked ? [...ticked, box].slice(-2) : ticked.filter((other) => other !== box);
    for (const other of boxes) other.checked = ticked.includes(other);
    beside.className = ticked.length > 1 ? "beside pair" : "beside";
    const texts = ticked.map((other) => String(s.candidates[boxes.indexOf(other)].text ?? ""));
    const shared = texts.length > 1 ? sharedLength(...texts) : 0;
    beside.replaceChildren(...ticked.map((other, i) => candidatePanel(boxes.indexOf(other), s, texts[i], shared)));
  };
  const boxes = s.candidates.map((_, i) => el("input", { type: "checkbox", "aria-label": `read candidate ${i + 1}`, onchange: (e) => tick(e.target) }));
  return [grid(["read", "choice", "answer", "votes", "right", ...ratings, "tokens"], s.candidates.map((c, i) => [
    el("label", {}, boxes[i], ` ${i + 1}`), chosen.includes(c.text) ? "chosen" : "", typeset(c.answer ?? MISSING, true), String(votes.get(c.class)), verdict(Number(c.correct)),
    ...ratings.map((name) => shownScore(c.scores?.[name])), number(c.total_tokens),
  ])), el("p", { class: "small soft" }, "Tick two to read them side by side; what both begin with is dimmed."), beside];
}
function candidatePanel(place, s, content, shared) {
  return el("div", {}, el("h2", { class: "side" }, `Candidate ${place + 1} `, verdict(Number(s.candidates[place].correct))),
    el("pre", { class: "text", tabindex: 0 }, el("span", { class: "soft" }, typeset(content.slice(0, shared))), typeset(content.slice(shared))));
}
// How far two texts are the same, without a part of a formula or of Markdown.
function sharedLength(a, b) {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  const cut = [a, b].flatMap((one) => [...one.matchAll(MARKED)]).filter((match) => match.index < length && length < match.index + match[0].length);
  return Math.min(length, ...cut.map((match) => match.index));
}

// The steps of a search, each within the one that it goes on from; the chosen path is open.
function searchTree(steps) {
  const root = el("div", { class: "tree" });
  const nodes = [];
  for (const [parent, content, score, kept] of steps) {
    const node = el("details", { class: "step " + kept, open: kept === "chosen" ? "" : null },
      el("summary", {}, el("b", {}, shownScore(score)), el("span", { class: "tag" }, kept), el("span", { class: "start" }, " " + content.trim().slice(0, 200))),
      withFormulas(content.trimEnd()));
    (nodes[parent] || root).append(node);
    nodes.push(node);
  }
  return root;
}
