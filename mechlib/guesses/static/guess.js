// Guesses and answers: a form made of the HTML that mechlib.guesses writes, and what was said beside the answer.
// A classic script, so that pages opened from a disk run it. What keeps a guess is a store: get(id) gives
// { said, shown } or nothing, set(id, entry) keeps it, and forgets it without an entry.

const mechlibGuess = (() => {
  const NUMBER = /^([+\-\u2212]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?)(?:\s*\/\s*(\d+(?:[.,]\d*)?))?\s*(%?)$/i;

  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function button(text, onClick) {
    const node = element("button", { type: "button" }, text);
    node.addEventListener("click", onClick);
    return node;
  }

  const freshId = () => `ml-${Math.random().toString(36).slice(2)}`;
  const decimal = (text) => Number(text.replace(",", ".").replace("\u2212", "-"));

  // The number that somebody typed, such as .4, 0,4, 2/5, 40 % or 4e-1; NaN for anything else.
  function read(text, unit) {
    const found = NUMBER.exec(text.trim());
    if (!found) return NaN;
    const [, above, below, percent] = found;
    const number = decimal(above) / (below === undefined ? 1 : decimal(below));
    return percent && !unit.startsWith("%") ? number / 100 : number;
  }

  // The nodes of a text with code in backticks.
  const marked = (text) => text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));

  const rounded = (number) => (Number.isInteger(number) ? number : Number(number.toPrecision(4)));
  const words = (said, unit) => (typeof said === "string" ? `“${said}”` : `${rounded(said)} ${unit}`.trimEnd());

  const strong = (said, unit) => element("strong", {}, ...marked(words(said, unit)));

  // "right", or the way in which a guess is off.
  function judge(said, { value, within }) {
    if (typeof said === "string") return said === value ? "right" : said;
    if (Math.abs(said - value) <= within) return "right";
    return said < value ? "below" : "above";
  }

  const dataOf = (node) => JSON.parse(node.dataset.mechlib);

  // Whether what somebody said can be a guess.
  function fits({ options, between }, said) {
    if (options.length) return options.includes(said);
    return typeof said === "number" && Number.isFinite(said)
      && (!between || (between[0] <= said && said <= between[1]));
  }

  // What a store has of a question as it is put now; nothing if that was put otherwise.
  function known(guess, store) {
    const entry = store.get(guess.id);
    const same = entry && entry.question === guess.question;
    return same && (entry.shown || fits(guess, entry.said)) ? entry : undefined;
  }

  function numberField(data) {
    const [input, hint] = [freshId(), freshId()];
    const span = data.between ? `between ${data.between[0]} and ${data.between[1]}` : "";
    const field = element("input", {
      id: input, type: "text", autocomplete: "off", spellcheck: "false", size: 9, "aria-describedby": hint,
      inputmode: data.between && data.between[0] >= 0 ? "decimal" : "text",
    });
    const label = element("label", { for: input }, "My guess");
    const node = element("div", { class: "ml-field" }, label, field,
      element("span", { id: hint }, [data.unit, span].filter(Boolean).join(", ")));
    const wanted = `Please give a number${span ? ` ${span}` : ""}.`;
    return { node, first: field, wanted, value: () => read(field.value, data.unit) };
  }

  function choiceField(data) {
    const name = freshId();
    const radios = data.options.map((value) => element("input", { type: "radio", name, value }));
    const lines = radios.map((radio) => element("label", {}, radio, " ", ...marked(radio.value)));
    const node = element("fieldset", {}, element("legend", {}, "My guess"), ...lines);
    const value = () => radios.find((radio) => radio.checked)?.value;
    return { node, first: radios[0], wanted: "Please choose one.", value };
  }

  // The form of a guess: what was said once something was, the field before. On a page there is a way around it.
  function guessView(node, store, onPage) {
    const data = dataOf(node);
    const field = data.options.length ? choiceField(data) : numberField(data);
    const problem = element("p", { class: "ml-problem", role: "alert" });
    const buttons = element("div", { class: "ml-buttons" }, button("Keep my guess", take));
    // No form: a notebook's output may not submit one. JupyterLab would take the keys for itself without the mark.
    const marks = { class: "ml-form", "data-lm-suppress-shortcuts": "true" };
    const form = element("div", marks, field.node, problem, buttons);
    field.node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      take();
    });
    const said = element("p", { class: "ml-said", tabindex: "-1" });
    const keep = (entry, next) => {
      store.set(data.id, entry && { question: data.question, ...entry });
      show();
      next().focus({ preventScroll: true });
    };
    if (onPage) {
      buttons.append(button("Show me", () => keep({ shown: true }, () => said)), "What follows is folded until then.");
    }
    const back = button("Take it back", () => keep(undefined, () => field.first));
    function take() {
      const value = field.value();
      problem.textContent = fits(data, value) ? "" : field.wanted;
      if (fits(data, value)) keep({ said: value }, () => said);
      else field.first.focus();
    }
    function show() {
      const entry = known(data, store);
      form.hidden = Boolean(entry);
      said.hidden = back.hidden = !entry;
      if (!entry) return;
      said.replaceChildren(...(entry.shown
        ? ["You made no guess."] : ["You said ", strong(entry.said, data.unit), "."]));
      back.textContent = entry.shown ? "Guess after all" : "Take it back";
    }
    for (const plain of node.querySelectorAll("ul, .ml-by-hand")) plain.remove();
    node.append(form, element("div", { class: "ml-kept" }, said, back));
    show();
    return { data, node, show, open: () => !known(data, store) };
  }

  // An answer beside what was said. Who was off sees the one line that is meant for it.
  function answerView(node, store) {
    const data = dataOf(node);
    const said = element("span", { class: "ml-said" });
    node.querySelector(".ml-result").prepend(said);
    function show() {
      const given = known(data.guess, store)?.said;
      const way = given === undefined ? "" : judge(given, data);
      const verdict = data.guess.options.length ? "right" : "near enough";
      said.replaceChildren(...(way ? ["You said ", strong(given, data.guess.unit),
        way === "right" ? `: ${verdict}. ` : ". "] : []));
      for (const line of node.querySelectorAll("[data-off]")) line.hidden = Boolean(way) && line.dataset.off !== way;
    }
    show();
    return { show };
  }

  // In a notebook: one guess or one answer, kept in the trait of a widget.
  function render({ model, el }) {
    el.innerHTML = model.get("html");
    // JupyterLab would otherwise move the focus from a choice to the cell.
    for (const name of ["focusin", "mousedown"]) {
      el.addEventListener(name, (event) => event.target.type === "radio" && event.stopPropagation());
    }
    const node = el.firstElementChild;
    const store = {
      get: () => model.get("kept"),
      set: (id, entry) => {
        model.set("kept", entry ?? {});
        model.save_changes();
      },
    };
    const view = node.matches(".mechlib-guess") ? guessView(node, store, false) : answerView(node, store);
    model.on("change:kept", view.show);
    return () => model.off("change:kept", view.show);
  }

  return { answerView, button, element, guessView, judge, read, render, words };
})();
