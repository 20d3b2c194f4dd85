// The next-token game: the reader and a model guess the same tokens, one after the other. The model runs where it is
// shown.

const GIVEN = 12;
const SUGGESTED = 5;
const REMEMBERED = 6;

const ROOM = {
  title: "Who guesses the next token?",
  caption: "A passage of Python on which the model was not trained is uncovered token by token. Type how it goes on: the "
    + "first token of what you type counts. A right guess is a point, half a point once you have seen the model's five. The "
    + "model has a point where its first guess is right. Blanks and line breaks are not asked for.",
  tries: [
    { text: "Play ten tokens without suggestions. Who is ahead?" },
    { text: "Look for a token that the model gave less than 1 %. Did you know it? From what?" },
    {
      text: "Play a sentence in English. The model has read docstrings, and little else in words.",
      traits: { text: "In the morning the children walked down to the river and looked for the old boat that their father had left there." },
    },
  ],
};

const bare = (tokenizer, id) => decode(tokenizer, [id]).trim();

// Whether the first token of what was typed, after a space or not, is the token but for blanks.
function hits(tokenizer, typed, token) {
  const firsts = [typed.trim(), ` ${typed.trim()}`].map((text) => encode(tokenizer, text).find((id) => bare(tokenizer, id)));
  return firsts.some((id) => id !== undefined && bare(tokenizer, id) === bare(tokenizer, token));
}

// The next place that is asked for; the number of tokens at the end.
function nextPlace({ tokenizer, tokens }, from) {
  let place = from;
  while (place < tokens.length && !bare(tokenizer, tokens[place])) place += 1;
  return place;
}

function restart(view, language) {
  const { model, tokenizer } = view;
  view.tokens = [BOS, ...encode(tokenizer, model.get("text"))].slice(0, language.shape.n_ctx);
  view.run = readTokens(language, view.tokens);
  view.place = nextPlace(view, Math.min(GIVEN, Math.ceil(view.tokens.length / 3)));
  Object.assign(view, { rounds: [], helped: false, said: "" });
}

// One round is over: what was typed is compared with the token, which is uncovered.
function play(view, typed) {
  const { tokenizer, tokens, place, run, helped } = view;
  const token = tokens[place];
  const probabilities = probabilitiesAt(run, place - 1);
  const [first] = best(probabilities, 1);
  const right = typed.trim() !== "" && hits(tokenizer, typed, token);
  view.rounds.push({
    token, typed, first, p: probabilities[token], mine: right ? 1 / (1 + helped) : 0,
    theirs: bare(tokenizer, first) === bare(tokenizer, token) ? 1 : 0,
  });
  view.said = `${right ? "Right" : "It was"}: “${tokenText(tokenizer, token)}”. The model gave it ${percent(probabilities[token])}`
    + `${first === token ? ", as its first guess." : `; its first guess was “${tokenText(tokenizer, first)}”.`}`;
  view.place = nextPlace(view, place + 1);
  view.helped = false;
  show(view);
}

function score({ rounds }) {
  if (!rounds.length) return "Nothing guessed yet.";
  const sum = (of) => rounds.reduce((total, round) => total + of(round), 0);
  const [mine, theirs] = [sum(({ mine }) => mine), sum(({ theirs }) => theirs)];
  const loss = sum(({ p }) => -Math.log(p)) / rounds.length;
  return `After ${rounds.length} ${rounds.length === 1 ? "token" : "tokens"}: you ${mine}, the model ${theirs}. `
    + `Its loss on them: ${loss.toFixed(2)} nats a token.`;
}

function roundLine(tokenizer, { token, typed, first, p, mine, theirs }) {
  const cell = (...children) => element("td", {}, ...children);
  const code = (text) => element("code", {}, text);
  return element(
    "tr", {}, cell(code(tokenText(tokenizer, token))),
    cell(mine ? `✓ ${mine}` : "–", " ", code(typed.trim())), cell(theirs ? "✓ 1" : "–", " ", code(tokenText(tokenizer, first))), cell(percent(p)),
  );
}

// Puts what is typed or suggested into the game; a suggestion is a click.
function suggestions(view) {
  const { run, place, tokenizer } = view;
  const probabilities = probabilitiesAt(run, place - 1);
  return best(probabilities, SUGGESTED).map((id) => {
    const node = button(`${tokenText(tokenizer, id)} ${percent(probabilities[id])}`, () => play(view, decode(tokenizer, [id])));
    node.classList.add("ml-suggestion");
    return node;
  });
}

function show(view) {
  const { tokenizer, tokens, place, rounds, helped } = view;
  const over = place >= tokens.length;
  view.body.hidden = false;
  view.status.textContent = "";
  const uncovered = decode(tokenizer, tokens.slice(0, place));
  view.shown.replaceChildren(uncovered, over ? "" : element("span", { class: "ml-cover", "aria-label": "the next token" }, "?"));
  view.asking.hidden = over;
  view.input.value = "";
  view.help.disabled = helped;
  view.offers.replaceChildren(...(helped && !over ? suggestions(view) : []));
  view.told.textContent = `${view.said}${over ? " That was the whole passage." : ""}`;
  view.score.textContent = score(view);
  view.table.hidden = !rounds.length;
  view.lines.replaceChildren(...rounds.slice(-REMEMBERED).toReversed().map((round) => roundLine(tokenizer, round)));
}

function build(model, el) {
  const view = {
    model, tokenizer: buildTokenizer(model.get("tokenizer")),
    status: element("p", { class: "ml-loading", role: "status" }),
    shown: element("pre", { class: "ml-shown", tabindex: "0", "aria-label": "The passage so far" }),
    input: element("input", { class: "ml-guessing", type: "text", "aria-label": "Your guess", autocomplete: "off", autocapitalize: "off", spellcheck: "false" }),
    offers: element("div", { class: "ml-offers" }), told: element("p", { class: "ml-said", role: "status" }),
    score: element("p", { class: "ml-score" }), lines: element("tbody", {}),
  };
  view.choice = modelChoice(view);
  view.help = button("Show the model's five", () => {
    view.helped = true;
    show(view);
    view.offers.querySelector("button")?.focus();
  });
  const guess = element("button", { type: "submit", class: "ml-button" }, "Guess");
  view.asking = element("form", { class: "ml-asking" }, view.input, guess, view.help, button("I do not know", () => play(view, "")));
  view.asking.addEventListener("submit", (event) => {
    event.preventDefault();
    if (view.input.value.trim()) play(view, view.input.value);
  });
  view.input.addEventListener("keydown", (event) => event.stopPropagation());
  const heads = ["token", "you", "model", "its probability"].map((text) => element("th", { scope: "col" }, text));
  view.table = element("table", { class: "ml-rounds" }, element("thead", {}, element("tr", {}, ...heads)), view.lines);
  view.body = element("div", { class: "ml-body", hidden: "" }, view.shown, view.asking, view.offers, view.told, view.score, view.table);
  const another = button("Another passage", () => {
    const passages = model.get("passages");
    const text = passages[(passages.indexOf(model.get("text")) + 1) % passages.length];
    set(view, { text });
  });
  view.field = textField("Or a text of your own (it is uncovered from the start again)", "", 2, (text) => text.trim() && set(view, { text }));
  const controls = element("div", { class: "ml-controls" }, view.choice.node, another);
  view.root = frame(view, "game", ROOM, controls, view.status, view.body, view.field.node);
  el.append(view.root);
  return view;
}

function render({ model, el }) {
  const view = build(model, el);
  const begin = () => {
    const name = model.get("name");
    view.choice.select.value = name;
    whenLoaded(view, name, languageModel, (language) => {
      if (name !== model.get("name")) return;
      restart(view, language);
      show(view);
    });
  };
  return keepShown(model, ["name", "text"].map((trait) => [trait, begin]));
}

export default { render };
