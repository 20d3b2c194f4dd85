// The text explorer: a text of the reader's own, seen from inside a language model, with parts of it taken out or
// exchanged. The model runs where the widget is shown.

const LONGEST = 64;
const GUESSES = 5;

const TAKEN = { text: "zebra_height = 12\nprint(zebra_", position: LONGEST, ablated: [], patches: [], name: "code-2l" };

const ROOM = {
  title: "A text of your own, seen from inside",
  caption: "The model reads your text and says after every token what comes next. Choose a token. You see where each head "
    + "looks from it, what every entry of the residual stream would say if the model stopped there, and what each part "
    + "adds to the first guess. Take a head out, or put in an entry from another text: all of it is computed anew.",
  tries: [
    {
      text: "After the second “zebra_” the model expects what followed the first. Head 1.1 looks there. Take out 1.1, "
        + "put it back, and take out 1.3.",
      traits: { ...TAKEN, layer: 1, head: 1, entry: 2 },
    },
    {
      text: "Exchange what the model knows at the token after the first “zebra_” for what it knows of “width” in "
        + "another text. The guess at the end follows.",
      traits: { ...TAKEN, other: "zebra_width = 12\nprint(zebra_", source: 5, layer: 1, head: 1, entry: 1, patches: [[1, 5, 5]] },
    },
    { text: "Type a sentence in which a rare word comes twice. Which heads follow it? In code-4l-mlp they are others." },
  ],
};

function passageOf(view, text) {
  const { tokenizer, models } = view;
  const tokens = [BOS, ...encode(tokenizer, text)];
  return { tokens: tokens.slice(0, Math.min(LONGEST, models[view.model.get("name")].shape.n_ctx)), whole: tokens.length };
}

// What is selected, within what is there.
function selected({ model, current }) {
  const { blocks } = current.model;
  const layer = clamp(model.get("layer"), blocks.length - 1);
  return {
    layer,
    head: clamp(model.get("head"), blocks[layer].nHeads - 1),
    entry: clamp(model.get("entry"), blocks.length),
    position: clamp(model.get("position"), current.tokens.length - 1),
    source: clamp(model.get("source"), current.others.length - 1),
  };
}

// The edits that fit the texts and the model as they are now.
function editsOf({ model }, language, tokens, others) {
  const layers = language.blocks.length;
  const ablated = model.get("ablated").filter(([layer, head]) => layer < layers && head < language.blocks[layer].nHeads);
  const patches = model.get("patches").filter(
    ([entry, position, source]) => entry <= layers && position < tokens.length && source < others.length,
  );
  return { ablated, patches };
}

// Runs the model on both texts, and on the first with the edits.
function compute(view, language) {
  const { tokens, whole } = passageOf(view, view.model.get("text"));
  const { tokens: others } = passageOf(view, view.model.get("other"));
  const { ablated, patches } = editsOf(view, language, tokens, others);
  const intact = readTokens(language, tokens);
  const current = { model: language, tokens, whole, others, ablated, patches, intact, edited: intact };
  if (ablated.length + patches.length) {
    const width = language.shape.d_model;
    const { entries } = readTokens(language, others);
    const byLayer = language.blocks.map((_, layer) => ablated.filter(([l]) => l === layer).map(([, head]) => head));
    const rows = patches.map(([entry, position, source]) => (
      { entry, position, row: entries[entry].slice(source * width, (source + 1) * width) }
    ));
    current.edited = readTokens(language, tokens, { ablated: byLayer, patches: rows });
  }
  current.guesses = firstGuesses(current.edited);
  current.patterns = current.edited.patterns.map((heads) => heads.map((rows) => rows.map((row) => percents(row))));
  view.current = current;
}

const percents = (row) => Array.from(row, (share) => Math.round(100 * share));
const entryName = (entry) => (entry ? `layer ${entry - 1}` : "embedding");
const shownTokens = (view, tokens) => tokens.map((id) => (id ? tokenText(view.tokenizer, id) : "⊢"));

function toggled(list, item) {
  const same = (other) => JSON.stringify(other) === JSON.stringify(item);
  return list.some(same) ? list.filter((other) => !same(other)) : [...list, item];
}

const toggleHead = (view, layer, head) => set(view, { ablated: toggled(view.model.get("ablated"), [layer, head]) });

function togglePatch(view) {
  const { entry, position, source } = selected(view);
  set(view, { patches: toggled(view.model.get("patches"), [entry, position, source]) });
}

// The parts of one view.
function build(model, el) {
  const view = {
    model, models: model.get("models"), tokenizer: buildTokenizer(model.get("tokenizer")),
    status: element("p", { class: "ml-loading", role: "status" }),
    passage: element("div", { class: "ml-passages" }), others: element("div", { class: "ml-passages" }),
    prediction: element("div", { class: "ml-prediction", "aria-live": "polite" }),
    edits: element("div", { class: "ml-edits" }),
    heads: element("div", { class: "ml-heads" }), picture: buildPicture([]),
    lens: element("div", { class: "ml-lens" }), shares: element("div", { class: "ml-sharing" }),
    patch: button("", () => togglePatch(view)),
  };
  view.choice = modelChoice(view);
  view.field = textField("Your text", model.get("text"), 2, (text) => set(view, { text, position: LONGEST, patches: [] }));
  view.otherField = textField("The other text", model.get("other"), 2, (other) => set(view, { other, patches: [] }));
  view.looks = element("p", { class: "ml-looks" });
  const part = (heading, ...nodes) => element("section", {}, element("p", { class: "ml-part" }, heading), ...nodes);
  onArrows([view.picture.node], (across, down) => {
    set(view, { position: clamp(selected(view).position + across + down, view.current.tokens.length - 1) });
  });
  const large = element("div", { class: "ml-large" }, view.picture.named, view.looks);
  view.body = element(
    "div", { class: "ml-body", hidden: "" }, view.passage, view.prediction, view.edits,
    part("Heads: where they look", element("div", { class: "ml-maps" }, view.heads, large)),
    part("Logit lens: what each entry would say", view.lens),
    part("What adds to the first guess", view.shares),
    part("Another text to take entries from", view.otherField.node, view.others, view.patch),
  );
  view.root = frame(view, "explorer", ROOM, element("div", { class: "ml-controls" }, view.choice.node), view.field.node, view.status, view.body);
  el.append(view.root);
  return view;
}

// A passage in which one token is selected, by a click or the arrow keys.
function choosable(view, place, tokens, label, at, trait) {
  const passage = buildPassage(shownTokens(view, tokens), tokens.length);
  const move = (position) => set(view, { [trait]: clamp(position, tokens.length - 1) });
  passage.node.setAttribute("aria-label", label);
  passage.node.addEventListener("click", (event) => {
    const { position } = event.target.dataset;
    if (position !== undefined) move(Number(position));
  });
  onArrows([passage.node], (across, down) => move(at() + across + down));
  place.replaceChildren(passage.node);
  return passage;
}

function showPassages(view) {
  const { current } = view;
  view.tokens = choosable(view, view.passage, current.tokens, "Token that is read", () => selected(view).position, "position");
  view.otherTokens = choosable(view, view.others, current.others, "Token of the other text", () => selected(view).source, "source");
  if (current.whole > current.tokens.length) {
    view.passage.append(element("p", { class: "ml-hint" }, `Only the first ${current.tokens.length} tokens are read.`));
  }
}

function mark(passage, position) {
  passage.tokens.forEach((token, place) => token.classList.toggle("ml-current", place === position));
  passage.node.setAttribute("aria-valuenow", position);
  passage.node.setAttribute("aria-valuetext", passage.tokens[position].textContent);
}

function showPrediction(view, position) {
  const { current: { intact, edited }, tokenizer } = view;
  const before = probabilitiesAt(intact, position);
  const line = (label, ...nodes) => element("div", { class: "ml-says" }, element("span", {}, label), ...nodes);
  const [first] = best(before, 1);
  const lines = [line("Next, says the model:", ...guessChips(tokenizer, before, GUESSES))];
  if (edited !== intact) {
    const after = probabilitiesAt(edited, position);
    const change = `“${tokenText(tokenizer, first)}” went from ${percent(before[first])} to ${percent(after[first])}; `
      + `KL ${words(divergence(before, after))} nats`;
    lines.push(line("With your edits:", ...guessChips(tokenizer, after, GUESSES)), line("", change));
  }
  view.prediction.replaceChildren(...lines);
}

function showEdits(view) {
  const { current: { ablated, patches, tokens, others }, model } = view;
  const off = ablated.map((item) => button(
    `head ${headName(...item)} is out ✕`, () => set(view, { ablated: toggled(model.get("ablated"), item) }),
  ));
  const put = patches.map((item) => {
    const [here, there] = [shownTokens(view, tokens)[item[1]], shownTokens(view, others)[item[2]]];
    const text = `${entryName(item[0])} at “${here}” (${item[1]}) is that of “${there}” (${item[2]}) ✕`;
    return button(text, () => set(view, { patches: toggled(model.get("patches"), item) }));
  });
  const undo = off.length + put.length > 1 ? [button("Undo all", () => set(view, { ablated: [], patches: [] }))] : [];
  view.edits.replaceChildren(...off, ...put, ...undo);
}

// The state on the screen is that of the traits, after the model ran.
function show(view) {
  const chosen = selected(view);
  view.body.hidden = false;
  view.status.textContent = "";
  mark(view.tokens, chosen.position);
  mark(view.otherTokens, chosen.source);
  showPrediction(view, chosen.position);
  showEdits(view);
  showHeads(view, chosen);
  showLens(view, chosen);
  showSharing(view, chosen.position);
  showPatch(view, chosen);
}

function showPatch(view, { entry, position, source }) {
  const { current: { tokens, others, patches } } = view;
  const there = patches.some((patch) => patch.join() === [entry, position, source].join());
  const [here, taken] = [shownTokens(view, tokens)[position], shownTokens(view, others)[source]];
  view.patch.textContent = `${there ? "Take back: put" : "Put"} ${entryName(entry)} at “${taken}” (${source}) in the place of `
    + `${entryName(entry)} at “${here}” (${position})`;
  view.patch.setAttribute("aria-pressed", there);
}

function render({ model, el }) {
  const view = build(model, el);
  const recompute = () => {
    const name = model.get("name");
    view.choice.select.value = name;
    for (const [{ area }, trait] of [[view.field, "text"], [view.otherField, "other"]]) {
      if (area !== document.activeElement || area.value.trim() !== model.get(trait).trim()) area.value = model.get(trait);
    }
    whenLoaded(view, name, languageModel, (language) => {
      if (name !== model.get("name")) return;
      compute(view, language);
      showPassages(view);
      buildHeads(view);
      buildLens(view);
      show(view);
    });
  };
  const reshow = () => view.current && show(view);
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      recompute();
    });
  };
  const first = keepShown(model, ["name", "text", "other", "ablated", "patches"].map((name) => [name, later]));
  const second = keepShown(model, ["layer", "head", "entry", "position", "source"].map((name) => [name, reshow]));
  return () => [first, second].forEach((stop) => stop());
}

export default { render };
