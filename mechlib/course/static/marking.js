// The page on which answers are marked. Whatever is typed goes to the browser's own storage at once, one entry for each
// answer, so that neither a closed tab nor a second one loses any; `written.csv` comes out of it and goes back in.

{
  const { key, columns, items, kinds } = JSON.parse(document.getElementById("marking").textContent);
  const kindOf = (item) => kinds.find((kind) => kind.chapter === item.chapter && kind.question === item.question);
  const nameOf = (item) => `mechlib-marking ${key} ${JSON.stringify([item.student, item.chapter, item.question])}`;
  const KEPT = `mechlib-marking ${key} kept`;
  const EXPORTED = `mechlib-marking ${key} exported`;

  // What was left empty needs no marks, unless it has some; it is exported all the same.
  const toMark = items.filter((item) => item.text || item.points || item.comment);

  // ---- what was typed

  let forgets = false; // whether the browser refuses to keep it
  const memory = new Map();
  let unexported = 0;

  function keep(name, value) {
    const text = JSON.stringify(value);
    memory.set(name, text);
    try {
      localStorage.setItem(name, text);
    } catch {
      forgets = true;
    }
  }

  function recall(name) {
    try {
      const text = localStorage.getItem(name) ?? memory.get(name);
      return text === undefined || text === null ? undefined : JSON.parse(text);
    } catch {
      return memory.has(name) ? JSON.parse(memory.get(name)) : undefined;
    }
  }

  const markOf = (item) =>
    recall(nameOf(item)) ?? { points: item.points, comment: item.comment, answer: item.answer };

  function change(item, part) {
    keep(nameOf(item), { ...markOf(item), ...part, answer: item.answer });
    unexported += 1;
    keep(EXPORTED, false);
    status();
  }

  const isMarked = (item) => markOf(item).points.trim() !== "";
  const stale = (item) => {
    const mark = markOf(item);
    return Boolean(mark.answer && item.answer && mark.answer !== item.answer && (mark.points || mark.comment));
  };
  const valueOf = (text) => (/^\d+([.,]\d+)?$/.test(text.trim()) ? Number(text.trim().replace(",", ".")) : NaN);
  const fits = (item, text) => text.trim() === "" || valueOf(text) <= kindOf(item).rubric.most;

  // ---- tables

  // The rows of a CSV text, RFC 4180: commas, semicolons or tabs, quotes doubled within quotes.
  function parse(text) {
    const plain = text.replace(/^\ufeff/, "");
    const first = plain.split(/\r?\n/, 1)[0];
    const separator = [",", ";", "\t"].find((each) => first.split(each).some((cell) => /^"?question"?$/.test(cell)));
    if (!separator) return undefined;
    const rows = [[""]];
    let quoted = false;
    for (let i = 0; i < plain.length; i += 1) {
      const c = plain[i];
      const row = rows.at(-1);
      if (quoted && c === '"' && plain[i + 1] === '"') {
        row[row.length - 1] += '"';
        i += 1;
      } else if (c === '"' && (quoted || row.at(-1) === "")) quoted = !quoted;
      else if (!quoted && c === separator) row.push("");
      else if (!quoted && (c === "\n" || c === "\r")) {
        if (c === "\r" && plain[i + 1] === "\n") i += 1;
        rows.push([""]);
      } else row[row.length - 1] += c;
    }
    const [names, ...found] = rows;
    return found
      .filter((row) => row.some((cell) => cell !== ""))
      .map((row) => Object.fromEntries(names.map((name, place) => [name.trim(), row[place] ?? ""])));
  }

  const cell = (text) => (/[",;\t\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const row = (record) => columns.map((name) => cell(String(record[name] ?? ""))).join(",");

  function written() {
    const marked = items.map((item) => ({ ...item, ...markOf(item) }));
    return [columns.join(","), ...[...marked, ...(recall(KEPT) ?? [])].map(row), ""].join("\r\n");
  }

  const same = (a, b) => ["student", "chapter", "question"].every((name) => a[name] === (b[name] ?? ""));

  // Takes in what an earlier file says where nothing is typed yet; what differs is for a person to decide.
  function take(text) {
    const rows = parse(text);
    if (!rows) return { problem: "That is no table of marks: it has no column 'question'." };
    const differing = [];
    const kept = recall(KEPT) ?? [];
    let taken = 0;
    for (const read of rows) {
      const mark = { points: read.points ?? "", comment: read.comment ?? "", answer: read.answer ?? "" };
      const item = items.find((each) => same(each, read));
      if (!mark.points && !mark.comment) continue;
      if (!item) {
        if (!kept.some((each) => same(each, read))) kept.push(read);
        continue;
      }
      const mine = markOf(item);
      if (mine.points === mark.points && mine.comment === mark.comment) continue;
      if (mine.points || mine.comment) differing.push({ item, mark });
      else {
        keep(nameOf(item), mark);
        taken += 1;
      }
    }
    if (kept.length) keep(KEPT, kept);
    return { taken, differing, strangers: kept.length };
  }

  // ---- the page

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  const said = make("p", { className: "notice", role: "status", hidden: true });
  const progress = make("progress", { max: toMark.length });
  progress.setAttribute("aria-label", "answers marked");
  const count = make("span", { id: "count" });
  const only = make("select", { id: "only" }, make("option", { value: "", textContent: "all questions" }));
  kinds.forEach((kind, place) => only.append(make("option", { value: String(place), textContent: kind.title })));
  const unmarked = make("input", { type: "checkbox", id: "unmarked" });
  const nameless = make("input", { type: "checkbox", id: "nameless" });
  const file = make("input", { type: "file", accept: ".csv,text/csv", id: "file", hidden: true });
  file.setAttribute("aria-label", "a table of marks");
  const button = (text, id, action) => {
    const node = make("button", { type: "button", textContent: text, id });
    node.addEventListener("click", action);
    return node;
  };

  const heading = make("h2", { id: "heading" });
  const who = make("p", { className: "muted", id: "who" });
  const older = make("p", { className: "notice", id: "older" });
  const text = make("pre", { className: "answer", id: "text" });
  const rubric = make("div", { id: "rubric" });
  const points = make("input", { className: "points", id: "points", inputMode: "decimal", autocomplete: "off" });
  const comment = make("textarea", { id: "comment" });
  const of = make("span", { id: "of" });

  let shown = toMark;
  let place = 0;
  const current = () => shown[place];

  function say(...parts) {
    said.replaceChildren(...parts);
    said.hidden = parts.length === 0;
  }

  function status() {
    const done = toMark.filter(isMarked).length;
    progress.value = done;
    count.textContent = `${done} of ${toMark.length} marked${recall(EXPORTED) === false ? ", not all exported" : ""}`;
    if (forgets) say("This browser keeps nothing of what is typed here: export before you close the page.");
  }

  function table(kind) {
    const { lines, most, note } = kind.rubric;
    const head = make("tr", {}, ...["point", "of", "full", "none"].map((name) => make("th", { textContent: name })));
    const body = lines.map((line) =>
      make("tr", {}, ...[line.line, line.points, line.full, line.none].map((part) => make("td", {}, String(part)))),
    );
    const caption = make("caption", { textContent: `${most} points in all. ${note}` });
    const parts = [make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...body))];
    if (kind.model) {
      const summary = make("summary", { textContent: "A model answer" });
      parts.push(make("details", {}, summary, make("pre", { textContent: kind.model })));
    }
    return parts;
  }

  function show() {
    const item = current();
    if (!item) {
      heading.textContent = "Nothing is left here";
      for (const each of [who, older, text, rubric, mark]) each.hidden = true;
      status();
      return;
    }
    for (const each of [who, text, rubric, mark]) each.hidden = false;
    const kind = kindOf(item);
    heading.textContent = `${kind.title} (${place + 1} of ${shown.length})`;
    who.textContent = nameless.checked ? "" : [item.student, item.file].filter(Boolean).join(", ");
    text.textContent = item.shown || "(nothing is written here)";
    text.classList.toggle("prose", !item.question.includes("."));
    rubric.replaceChildren(...table(kind));
    const { points: given, comment: words } = markOf(item);
    points.value = given;
    comment.value = words;
    of.textContent = ` of ${kind.rubric.most}`;
    older.hidden = !stale(item);
    older.replaceChildren(
      "These marks were given to an earlier version of this answer. ",
      button("They hold for this one", "holds", () => {
        change(item, {});
        show();
      }),
    );
    judge();
    status();
  }

  function judge() {
    const wrong = current() && !fits(current(), points.value);
    points.setCustomValidity(wrong ? `a number from 0 to ${kindOf(current()).rubric.most}` : "");
  }

  function go(step) {
    place = Math.max(0, Math.min(shown.length - 1, place + step));
    show();
  }

  function nextUnmarked() {
    const order = [...shown.keys()].map((i) => (place + 1 + i) % shown.length);
    const found = order.find((i) => !isMarked(shown[i]));
    if (found === undefined) say("All answers here are marked.");
    else {
      place = found;
      show();
    }
  }

  function choose() {
    const before = current();
    const kind = kinds[Number(only.value)];
    shown = toMark.filter((item) => only.value === "" || kindOf(item) === kind);
    if (unmarked.checked) shown = shown.filter((item) => !isMarked(item));
    place = Math.max(0, shown.indexOf(before));
    show();
  }

  function give(value) {
    points.value = value;
    change(current(), { points: value });
    judge();
  }

  // Digits that follow one another soon are one number, where the question has so many points.
  let typed = { text: "", at: 0 };
  function digit(d) {
    const { most } = kindOf(current()).rubric;
    const longer = performance.now() - typed.at < 800 ? typed.text + d : d;
    const value = Number(longer) <= most ? longer : d;
    if (Number(value) > most) {
      say(`This answer has at most ${most} points.`);
      return;
    }
    typed = { text: value, at: performance.now() };
    say();
    give(value);
  }

  // Half a point more, or the half away again.
  function half() {
    const value = valueOf(points.value || "0");
    const { most } = kindOf(current()).rubric;
    if (Number.isNaN(value)) return;
    give(String(Number.isInteger(value) ? Math.min(value + 0.5, most) : Math.floor(value)));
  }

  const KEYS = {
    ArrowLeft: () => go(-1),
    ArrowUp: () => go(-1),
    ArrowRight: () => go(1),
    ArrowDown: () => go(1),
    n: nextUnmarked,
    c: () => comment.focus(),
    ".": half,
    ",": half,
    Backspace: () => give(""),
    Delete: () => give(""),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !current()) return;
    const inField = event.target.matches("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape") {
      event.target.blur();
      return;
    }
    if (event.target === points && event.key === "Enter") {
      event.preventDefault();
      points.blur();
      go(1);
    }
    if (inField || (event.target.matches("button, summary") && event.key === "Enter")) return;
    const action = /^\d$/.test(event.key) ? () => digit(event.key) : KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  function exported() {
    const wrong = items.filter((item) => !fits(item, markOf(item).points));
    const link = make("a", { href: URL.createObjectURL(new Blob([written()], { type: "text/csv" })) });
    link.download = "written.csv";
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    unexported = 0;
    keep(EXPORTED, true);
    say(
      wrong.length
        ? `written.csv is exported. ${wrong.length} marks in it are no number of points that the answer can have.`
        : "written.csv is exported.",
    );
    status();
  }

  function imported(content) {
    const { problem, taken, differing, strangers } = take(content);
    if (problem) {
      say(problem);
      return;
    }
    const sentence = `${taken} marks are taken from the file. `;
    const others = strangers ? `${strangers} of nobody on this page are kept for the export. ` : "";
    if (differing.length) {
      const list = differing.map(({ item, mark: theirs }) => {
        const mine = markOf(item);
        const line = `${nameless.checked ? "" : item.student} ${kindOf(item).title}: typed here ${mine.points || "no points"} `;
        return make("li", {}, `${line}"${mine.comment}", in the file ${theirs.points || "no points"} "${theirs.comment}"`);
      });
      const adopt = () => {
        for (const { item, mark: theirs } of differing) keep(nameOf(item), theirs);
        say("The marks of the file are taken.");
        show();
      };
      say(
        `${sentence}${others}${differing.length} differ from what is typed here, which stays: `,
        make("ul", {}, ...list),
        button("Take those of the file instead", "adopt", adopt),
      );
    } else say(sentence + others);
    show();
  }

  points.addEventListener("input", () => {
    change(current(), { points: points.value });
    judge();
  });
  comment.addEventListener("input", () => change(current(), { comment: comment.value }));
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (chosen) imported(await chosen.text());
    file.value = "";
  });
  for (const each of [only, unmarked]) each.addEventListener("change", choose);
  nameless.addEventListener("change", show);
  addEventListener("storage", (event) => {
    const item = current();
    const typing = item && event.key === nameOf(item) && document.activeElement === comment;
    if (!typing) show();
    else say(`Another tab of this page says of this answer: ${markOf(item).points || "no points"}, "${markOf(item).comment}"`);
  });
  addEventListener("beforeunload", (event) => {
    if (forgets && unexported) event.preventDefault();
  });

  const mark = make(
    "div",
    { id: "mark" },
    make("p", {}, make("label", { htmlFor: "points", textContent: "Points" }), points, of),
    make("label", { htmlFor: "comment", textContent: "Comment, which the student reads" }),
    comment,
  );
  const box = (input, words) => make("label", {}, input, ` ${words}`);
  document.getElementById("desk").replaceChildren(
    make(
      "p",
      { className: "muted" },
      "Digits give points, a point or comma half of one more, Backspace takes them away. Arrows move, N goes to the next " +
        "without points, C to the comment, Escape out of it. What is typed stays in this browser until it is exported.",
    ),
    make("div", { className: "bar-of" }, progress, count, make("label", {}, "Show ", only), box(unmarked, "without points only"), box(nameless, "hide names")),
    make(
      "div",
      { className: "bar-of" },
      button("Previous", "previous", () => go(-1)),
      button("Next", "next", () => go(1)),
      button("Export written.csv", "export", exported),
      button("Import an earlier one", "import", () => file.click()),
      file,
    ),
    said,
    make("div", { className: "desk" }, make("div", {}, heading, who, older, text), make("div", {}, mark, rubric)),
  );
  if (toMark.length < items.length) say(`${items.length - toMark.length} answers were left empty and are not shown.`);
  show();
}
