// The loom: a tree of continuations of a text, grown branch by branch. The model runs where it is shown.

const BRANCHES = 3;

const ROOM = {
  title: "The loom",
  caption: "The model continues a text in several ways, and each way can be continued again. The first tokens of three "
    + "branches differ; the rest is drawn at random. The number is the geometric mean of the probabilities of a branch's "
    + "tokens: what the model would draw more readily is darker.",
  tries: [
    { text: "Grow a branch with a high number, then one with a low number. Does the difference stay?" },
    {
      text: "Temperature 0.3 and 16 tokens, grown again and again; then the same at 1.5. What becomes of the text?",
      traits: { temperature: 0.3, length: 16 },
    },
    {
      text: "Begin with a name that the model cannot know, used once. How many branches take it up again?",
      traits: { text: "def total(zebras):\n    return sum(", temperature: 1, length: 4 },
    },
  ],
};

// Numbers from 0 to 1 that are the same for the same seed (mulberry32).
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Different tokens, drawn one after the other in proportion to p^(1 / temperature): by Gumbel noise on the logarithms.
function sampled(probabilities, temperature, random, n) {
  const noisy = Float64Array.from(probabilities, (p) => Math.log(p) / temperature - Math.log(-Math.log(random() || Number.MIN_VALUE)));
  return best(noisy, n);
}

// A node: the tokens that it adds, the mean of their log-probabilities, and what is needed to go on from it.
function nodeOf(parent, tokens, logs, run) {
  const mean = logs.length ? logs.reduce((sum, value) => sum + value, 0) / logs.length : 0;
  const next = probabilitiesAt(run, run.tokens.length - 1);
  const depth = parent ? parent.depth + tokens.length : tokens.length;
  return { parent, tokens, mean, next, past: run.present, depth, children: [], id: freshId() };
}

// Continues a node by `length` tokens that begin with `first`.
function branch(view, language, parent, first) {
  const { model, random } = view;
  const [tokens, logs] = [[], []];
  let [run, token, next, past] = [null, first, parent.next, parent.past];
  for (let step = 0; step < model.get("length"); step += 1) {
    if (step) [token] = sampled(next, model.get("temperature"), random, 1);
    tokens.push(token);
    logs.push(Math.log(next[token]));
    run = readTokens(language, [token], { past });
    next = probabilitiesAt(run, 0);
    past = run.present;
  }
  return nodeOf(parent, tokens, logs, run);
}

function grow(view, node) {
  const { language, model, random } = view;
  if (node.depth + model.get("length") > language.shape.n_ctx) {
    view.status.textContent = `The model reads ${language.shape.n_ctx} tokens at most, and this branch would have more.`;
    return;
  }
  const firsts = sampled(node.next, model.get("temperature"), random, BRANCHES);
  node.children.push(...firsts.map((first) => branch(view, language, node, first)));
  view.chosen = node.children.at(-BRANCHES);
  show(view);
}

function restart(view, language) {
  const { model, tokenizer } = view;
  const tokens = [BOS, ...encode(tokenizer, model.get("text"))].slice(-language.shape.n_ctx / 2);
  if (tokens[0] !== BOS) tokens.unshift(BOS);
  const root = nodeOf(null, tokens, [], readTokens(language, tokens));
  Object.assign(view, { language, root, chosen: root, random: numbers(model.get("seed")) });
  grow(view, root);
  view.chosen = root;
}

const ancestry = (node) => (node ? [...ancestry(node.parent), node] : []);
const inOrder = (node) => [node, ...node.children.flatMap(inOrder)];

function item(view, node) {
  const { tokenizer, chosen, root } = view;
  const text = node.tokens.map((id) => (id ? tokenText(tokenizer, id) : "")).join("");
  const label = element("span", { class: "ml-twig" }, element("code", {}, node === root ? `…${text.slice(-24)}` : text));
  if (node !== root) {
    const p = Math.exp(node.mean);
    label.style.setProperty("--share", `${100 * p}%`);
    label.append(` ${percent(p)}`);
  }
  label.classList.toggle("ml-chosen", node === chosen);
  label.addEventListener("click", () => {
    view.chosen = node;
    if (node !== chosen || node.children.length) show(view);
    else grow(view, node);
  });
  const children = node.children.length ? [element("ul", { role: "group" }, ...node.children.map((child) => item(view, child)))] : [];
  return element(
    "li", { role: "treeitem", id: node.id, "aria-selected": node === chosen, "aria-expanded": node.children.length > 0 }, label, ...children,
  );
}

function show(view) {
  const { tokenizer, chosen, root, tree } = view;
  view.body.hidden = false;
  view.status.textContent = "";
  tree.replaceChildren(item(view, root));
  tree.setAttribute("aria-activedescendant", chosen.id);
  const path = ancestry(chosen);
  const texts = path.map(({ tokens }) => decode(tokenizer, tokens));
  view.path.replaceChildren(texts.slice(0, -1).join(""), chosen === root ? texts.at(-1) : element("mark", {}, texts.at(-1)));
  const total = path.slice(1).reduce((sum, { mean, tokens }) => sum + mean * tokens.length, 0);
  view.told.textContent = chosen === root ? "" : `The log-probability of all that was added is ${total.toFixed(1)} nats.`;
}

// Up and down the tree as it is drawn; right into it, growing it where it ends; left to the parent.
function move(view, across, down) {
  const { chosen, root } = view;
  if (across > 0 && !chosen.children.length) return grow(view, chosen);
  const order = inOrder(root);
  const place = clamp(order.indexOf(chosen) + down, order.length - 1);
  view.chosen = across > 0 ? chosen.children[0] : across < 0 ? chosen.parent ?? root : order[place];
  return show(view);
}

function choice(view, label, trait, options) {
  const select = element("select", { "aria-label": label });
  for (const option of options) select.append(element("option", { value: option }, option));
  select.addEventListener("change", () => set(view, { [trait]: Number(select.value) }));
  return { node: element("label", {}, `${label} `, select), select, trait };
}

function build(model, el) {
  const view = {
    model, tokenizer: buildTokenizer(model.get("tokenizer")),
    status: element("p", { class: "ml-loading", role: "status" }),
    tree: element("ul", { class: "ml-tree", role: "tree", tabindex: "0", "aria-label": "Continuations: right grows a branch" }),
    path: element("pre", { class: "ml-shown", "aria-live": "polite" }), told: element("p", { class: "ml-hint" }),
  };
  view.choice = modelChoice(view);
  view.length = choice(view, "Tokens a branch", "length", [1, 4, 8, 16]);
  view.temperature = choice(view, "Temperature", "temperature", [0.3, 0.7, 1, 1.5]);
  view.field = textField("The beginning", model.get("text"), 2, (text) => set(view, { text }));
  onArrows([view.tree], (across, down) => move(view, across, down));
  const buttons = element(
    "div", { class: "ml-controls" }, button("Grow three branches here", () => grow(view, view.chosen)),
    button("Cut what grows here", () => {
      view.chosen.children = [];
      show(view);
    }),
    button("Another tree", () => set(view, { seed: model.get("seed") + 1 })),
  );
  const hint = element("p", { class: "ml-hint" }, "A click chooses a branch, another one grows it. With the keyboard: up and down, right to grow, left to go back.");
  view.body = element("div", { class: "ml-body", hidden: "" }, buttons, view.tree, hint, view.path, view.told);
  const controls = element("div", { class: "ml-controls" }, view.choice.node, view.length.node, view.temperature.node);
  view.frame = frame(view, "loom", ROOM, controls, view.field.node, view.status, view.body);
  el.append(view.frame);
  return view;
}

function render({ model, el }) {
  const view = build(model, el);
  const settings = () => {
    for (const { select, trait } of [view.length, view.temperature]) select.value = model.get(trait);
  };
  const begin = () => {
    const name = model.get("name");
    view.choice.select.value = name;
    if (view.field.area !== document.activeElement) view.field.area.value = model.get("text");
    whenLoaded(view, name, languageModel, (language) => {
      if (name !== model.get("name")) return;
      restart(view, language);
      show(view);
    });
  };
  const stops = [
    keepShown(model, ["length", "temperature"].map((trait) => [trait, settings])),
    keepShown(model, ["name", "text", "seed"].map((trait) => [trait, begin])),
  ];
  return () => stops.forEach((stop) => stop());
}

export default { render };
