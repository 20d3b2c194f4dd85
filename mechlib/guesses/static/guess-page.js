// The guesses of a page: the browser keeps them, and what follows one up to the next heading is folded until then.

{
  const KEY = "mechlib-guesses";
  const { answerView, button, element, guessView } = mechlibGuess;

  // The browser's own, or, where it keeps nothing, one that lasts as long as the page is open.
  function storage() {
    try {
      localStorage.setItem(`${KEY}-probe`, "");
      localStorage.removeItem(`${KEY}-probe`);
      return localStorage;
    } catch {
      const kept = new Map();
      return { getItem: (key) => kept.get(key), setItem: (key, text) => kept.set(key, text) };
    }
  }

  // What the browser keeps for the whole book; `changed` is called after every change.
  function browserStore(changed) {
    const place = storage();
    const entries = () => {
      try {
        return JSON.parse(place.getItem(KEY)) ?? {};
      } catch {
        return {};
      }
    };
    const set = (id, entry) => {
      place.setItem(KEY, JSON.stringify({ ...entries(), [id]: entry }));
      changed();
    };
    return { get: (id) => entries()[id], set };
  }

  // The blocks from a guess to the next heading.
  function following(node) {
    const blocks = [];
    let block = (node.closest(".cell") ?? node).nextElementSibling;
    while (block && !block.matches("section, h1, h2, h3, h4, h5, h6")) {
      blocks.push(block);
      block = block.nextElementSibling;
    }
    return blocks;
  }

  // Folds and unfolds. What an address leads to is never folded.
  function fold(folds) {
    const sought = document.getElementById(location.hash.slice(1));
    const waiting = new Set();
    for (const { view, blocks } of folds) {
      const wanted = sought && blocks.some((block) => block.contains(sought));
      if (view.open() && !wanted) blocks.forEach((block) => waiting.add(block));
    }
    for (const { blocks } of folds) {
      for (const block of blocks) block.classList.toggle("mechlib-waiting", waiting.has(block));
    }
  }

  // What concerns all guesses of the page, at its end.
  function footer(views, store) {
    const done = element("span", { role: "status" });
    const all = (entry, text) => () => {
      for (const { data, open } of views) {
        if (!entry || open()) store.set(data.id, entry && { question: data.question, ...entry });
      }
      done.textContent = text;
    };
    const clear = button("Clear those of this page", all(undefined, "They are cleared."));
    const show = button("Show every result of this page", all({ shown: true }, "Every result is shown."));
    show.classList.add("ml-show-all");
    return element("div", { class: "mechlib-guesses-kept" }, "Your guesses stay in this browser.", clear, show, done);
  }

  function start() {
    const nodes = [...document.querySelectorAll(".mechlib-guess")];
    if (!nodes.length) return;
    const store = browserStore(() => update());
    const views = nodes.map((node) => guessView(node, store, true));
    const answers = [...document.querySelectorAll(".mechlib-answer")].map((node) => answerView(node, store));
    const folds = views.map((view) => ({ view, blocks: following(view.node) }));
    function update() {
      for (const view of [...views, ...answers]) view.show();
      fold(folds);
    }
    (nodes[0].closest("article") ?? document.body).append(footer(views, store));
    addEventListener("storage", update);
    addEventListener("hashchange", () => fold(folds));
    update();
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
}
