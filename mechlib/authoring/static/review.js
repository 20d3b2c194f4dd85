// Review cards: those that are due are asked one by one, and come back after longer and longer times. And what this
// browser keeps of the book, guesses and cards, is given out as a file and taken in again; what is there stays. Comes
// behind guess.js.

{
  const { button, element } = mechlibGuess;
  const PREFIX = "mechlib-";
  const CARDS = "mechlib-cards";
  const DAYS = [0, 1, 3, 7, 16, 35, 90];
  const FORMAT = "mechlib-kept";

  // The browser's own, or, where it keeps nothing, one that lasts as long as the page is open.
  function storage() {
    try {
      localStorage.setItem(`${PREFIX}probe`, "");
      localStorage.removeItem(`${PREFIX}probe`);
      return localStorage;
    } catch {
      const kept = new Map();
      return {
        get length() { return kept.size; },
        key: (i) => [...kept.keys()][i],
        getItem: (key) => kept.get(key) ?? null,
        setItem: (key, text) => kept.set(key, text),
      };
    }
  }

  const isMap = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  // The day as the reader's clock has it, such as 2027-01-31, some days from now.
  function day(ahead = 0) {
    const date = new Date();
    date.setDate(date.getDate() + ahead);
    const two = (number) => String(number).padStart(2, "0");
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  }

  // What becomes of a card: known, it waits longer; known with an effort, as long as before; not known, it begins anew.
  function spaced(entry, grade) {
    const before = entry?.box ?? 0;
    const box = grade === "again" ? 0 : Math.min(Math.max(before + (grade === "good" ? 1 : 0), 1), DAYS.length - 1);
    return { box, due: day(DAYS[box]), seen: new Date().toISOString() };
  }

  const isCard = (entry) => isMap(entry) && Number.isInteger(entry.box) && typeof entry.due === "string";

  // Everything that the book keeps in this browser, by its key.
  function everything(place) {
    const keys = Array.from({ length: place.length }, (_, i) => place.key(i)).filter((key) => key.startsWith(PREFIX));
    return Object.fromEntries(keys.sort().map((key) => [key, parsed(place.getItem(key))]));
  }

  // Two things kept under one key. What is there stays; of a card the one that was looked at later.
  function merged(key, here, there) {
    if (here === undefined) return there;
    if (!isMap(here) || !isMap(there)) return here;
    const result = { ...there, ...here };
    if (key === CARDS) {
      for (const [id, entry] of Object.entries(there)) {
        if (isCard(entry) && String(here[id]?.seen ?? "") < String(entry.seen ?? "")) result[id] = entry;
      }
    }
    return result;
  }

  // Takes in a file that was given out. Says what came of it.
  function takeIn(place, text) {
    const file = parsed(text);
    if (!isMap(file) || file.format !== FORMAT || !isMap(file.kept)) return "This is no file that the book has given out.";
    let [added, stayed] = [0, 0];
    const before = everything(place);
    for (const [key, there] of Object.entries(file.kept).filter(([name]) => name.startsWith(PREFIX))) {
      const result = merged(key, before[key], there);
      if (isMap(result) && isMap(there)) {
        for (const id of Object.keys(there)) {
          const same = JSON.stringify(before[key]?.[id]) === JSON.stringify(result[id]);
          if (same) stayed += 1;
          else added += 1;
        }
      } else if (before[key] === undefined) added += 1;
      else stayed += 1;
      place.setItem(key, typeof result === "string" ? result : JSON.stringify(result));
    }
    return `${added} taken in; ${stayed} that were here stay as they are.`;
  }

  function keeping(node, place, changed) {
    const told = element("p", { role: "status" });
    const give = button("Save to a file", () => {
      const text = JSON.stringify({ format: FORMAT, version: 1, kept: everything(place) }, null, 1);
      const link = element("a", { download: `mechlib-${day()}.json` });
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href));
      told.textContent = "Saved.";
    });
    const field = element("input", { type: "file", accept: "application/json,.json" });
    field.addEventListener("change", async () => {
      if (!field.files.length) return;
      told.textContent = takeIn(place, await field.files[0].text());
      field.value = "";
      changed();
    });
    const label = element("label", {}, "Take in a file: ", field);
    node.append(element("h2", {}, "What this browser keeps"),
      element("p", {}, "Your guesses and the days of your cards stay in this browser. A file brings them to another; "
        + "what is already there stays."), element("p", {}, give), element("p", {}, label), told);
    node.hidden = false;
  }

  function reviewing(node, place, nodes) {
    const cards = nodes.map((each) => ({
      id: each.dataset.card,
      chapter: each.closest("[data-chapter]").dataset.chapter,
      front: each.querySelector("summary").textContent,
      back: [...each.querySelectorAll("p")].map((part) => part.cloneNode(true)),
    }));
    const chapters = [...new Set(cards.map(({ chapter }) => chapter))];
    const options = chapters.map((chapter) => element("option", { value: chapter }, `chapter ${chapter}`));
    const choice = element("select", {}, element("option", { value: "" }, "all chapters"), ...options);
    const status = element("p", { role: "status" });
    const body = element("div", { class: "ml-asked" });
    const asked = new URLSearchParams(location.search).get("chapter");
    if (chapters.includes(asked)) choice.value = asked;

    const entries = () => {
      const found = parsed(place.getItem(CARDS) ?? "{}");
      return isMap(found) ? found : {};
    };
    const isDue = ({ id }) => {
      const entry = entries()[id];
      return !isCard(entry) || entry.due <= day();
    };
    let later = [];

    function grade(card, how) {
      place.setItem(CARDS, JSON.stringify({ ...entries(), [card.id]: spaced(entries()[card.id], how) }));
      later = later.filter((id) => id !== card.id);
      if (how === "again") later.push(card.id);
      show(true);
    }

    function show(moved = false) {
      const mine = cards.filter(({ chapter }) => !choice.value || chapter === choice.value);
      const due = mine.filter(isDue);
      // What was not known comes again after all others.
      const next = due.find(({ id }) => !later.includes(id)) ?? due.find(({ id }) => id === later[0]) ?? due[0];
      status.textContent = `${due.length} of ${mine.length} cards are due.`;
      body.replaceChildren();
      if (!next) {
        const days = mine.map(({ id }) => entries()[id]?.due).filter(Boolean).sort();
        body.append(element("p", {}, days.length ? `Nothing more today. The next are due on ${days[0]}.` : "No cards."));
        return;
      }
      const front = element("p", { class: "ml-front", tabindex: "-1" }, next.front);
      const reveal = button("Show the answer", () => {
        const grades = element("div", { class: "ml-buttons" }, button("Not yet", () => grade(next, "again")),
          button("With an effort", () => grade(next, "hard")), button("I knew it", () => grade(next, "good")));
        const back = element("div", { class: "ml-back", tabindex: "-1" }, ...next.back.map((part) => part.cloneNode(true)));
        reveal.replaceWith(back, grades);
        back.focus({ preventScroll: true });
      });
      body.append(front, reveal);
      if (moved) front.focus({ preventScroll: true });
    }

    choice.addEventListener("change", () => show());
    node.append(element("p", {}, element("label", {}, "Cards of ", choice)), status, body);
    node.hidden = false;
    show();
    return show;
  }

  function start() {
    const review = document.querySelector(".mechlib-review");
    const kept = document.querySelector(".mechlib-kept");
    if (!review || !kept) return;
    const place = storage();
    const show = reviewing(review, place, [...document.querySelectorAll(".mechlib-card")]);
    keeping(kept, place, show);
    for (const group of document.querySelectorAll(".mechlib-cards")) group.open = false;
    addEventListener("storage", () => show());
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
}
