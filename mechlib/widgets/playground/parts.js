// The pictures of the text explorer: heads, the lens, and the shares in a logit. `view.current` holds what was computed.

// One cell for each head: its pattern, its name, and a switch that takes it out.
function buildHeads(view) {
  const { current } = view;
  const prefix = freshId();
  view.headCells = current.patterns.map((heads, layer) => heads.map((rows, head) => {
    const canvas = element("canvas", { class: "ml-canvas", "aria-hidden": "true" });
    drawPattern(canvas, rows);
    const out = current.ablated.some((item) => item.join() === [layer, head].join());
    const name = `head ${headName(layer, head)}`;
    const pick = element(
      "button", { type: "button", class: "ml-pick", id: `${prefix}-${layer}-${head}`, "aria-label": `Show ${name}` },
      canvas, element("span", { class: "ml-name" }, headName(layer, head)),
    );
    pick.addEventListener("click", () => set(view, { layer, head }));
    const toggle = button(out ? "put back" : "take out", () => toggleHead(view, layer, head), {
      "aria-pressed": out, "aria-label": `${out ? "Put back" : "Take out"} ${name}`,
    });
    const cell = element("div", { class: out ? "ml-cell ml-out" : "ml-cell" }, pick, toggle);
    return { cell, pick };
  }));
  const grid = element("div", { role: "group", "aria-label": "Heads, one row for each layer" });
  for (const line of view.headCells) grid.append(element("div", { class: "ml-layer" }, ...line.map(({ cell }) => cell)));
  onArrows([grid], (across, down) => {
    const { layer, head } = selected(view);
    const row = clamp(layer + down, view.headCells.length - 1);
    const place = clamp(head + across, view.headCells[row].length - 1);
    set(view, { layer: row, head: place });
    view.headCells[row][place].pick.focus();
  });
  keepFocus(view.heads, grid);
}

// Puts a new node in the place of an old one; what had the focus has it again.
function keepFocus(place, node) {
  const old = place.contains(document.activeElement) ? document.activeElement : null;
  const at = old ? [...place.querySelectorAll("button, [tabindex]")].indexOf(old) : -1;
  place.replaceChildren(node);
  if (at >= 0) place.querySelectorAll("button, [tabindex]")[at]?.focus();
}

function showHeads(view, { layer, head, position }) {
  const { current: { patterns, tokens }, headCells, picture, looks } = view;
  headCells.forEach((line, l) => line.forEach(({ cell, pick }, h) => {
    const chosen = l === layer && h === head;
    cell.classList.toggle("ml-chosen", chosen);
    pick.setAttribute("aria-pressed", chosen);
    pick.tabIndex = chosen ? 0 : -1;
  }));
  const rows = patterns[layer][head];
  const texts = shownTokens(view, tokens);
  showPicture({ ...picture, texts }, rows, position, `Attention pattern of head ${headName(layer, head)} on your text`);
  looks.replaceChildren(`From “${texts[position]}”, head ${headName(layer, head)} looks at `, ...shareChips(texts, rows[position], position, 3));
}

// A map with a row for each entry, the last on top, and a column for each token: the darker, the surer the first guess.
function buildLens(view) {
  const { current: { guesses, tokens, model, patches } } = view;
  const grid = element("div", {
    class: "ml-map", role: "grid", tabindex: "0",
    "aria-label": "Map of the text: one row for each entry, one column for each token. Move with the arrow keys.",
  });
  grid.style.setProperty("--columns", tokens.length);
  const prefix = freshId();
  view.lensCells = guesses.map((line, entry) => line.map(({ id, p }, position) => {
    const cell = element("span", { role: "gridcell", id: `${prefix}-${entry}-${position}`, class: "ml-cell" });
    cell.style.background = shade(p);
    cell.dataset.position = position;
    cell.dataset.entry = entry;
    cell.setAttribute("aria-label", `${entryName(entry)}, token ${position}: ${tokenText(view.tokenizer, id)} ${percent(p)}`);
    cell.classList.toggle("ml-patched", patches.some(([e, place]) => e === entry && place === position));
    return cell;
  }));
  for (let entry = model.blocks.length; entry >= 0; entry -= 1) {
    const name = element("span", { role: "rowheader" }, entryName(entry));
    grid.append(element("div", { role: "row", class: "ml-row" }, name, ...view.lensCells[entry]));
  }
  grid.addEventListener("click", ({ target }) => {
    if (target.dataset.entry) set(view, { entry: Number(target.dataset.entry), position: Number(target.dataset.position) });
  });
  onArrows([grid], (across, down) => {
    const { entry, position } = selected(view);
    set(view, { entry: clamp(entry - down, model.blocks.length), position: clamp(position + across, tokens.length - 1) });
  });
  view.lensMap = grid;
  view.lensTable = element("div", { class: "ml-table", role: "table", "aria-label": "What each entry would say after the token" });
  keepFocus(view.lens, element("div", {}, grid, view.lensTable));
}

function showLens(view, { entry, position }) {
  const { current: { edited }, lensCells, lensMap, lensTable, tokenizer } = view;
  lensCells.forEach((line, e) => line.forEach((cell, place) => {
    cell.classList.toggle("ml-column", place === position);
    cell.classList.toggle("ml-current", place === position && e === entry);
  }));
  lensMap.setAttribute("aria-activedescendant", lensCells[entry][position].id);
  const lines = edited.entries.map((_, e) => element(
    "div", { role: "row", class: e === entry ? "ml-line ml-selected" : "ml-line" },
    element("div", { role: "cell", class: "ml-entry" }, entryName(e)),
    element("div", { role: "cell", class: "ml-guesses" }, ...guessChips(tokenizer, probabilitiesAt(edited, position, e), GUESSES)),
  ));
  lensTable.replaceChildren(...lines.toReversed());
}

// Bars to the right for what raises the logit of the first guess above the mean logit, to the left for what lowers it.
function showSharing(view, position) {
  const { current: { intact, edited }, tokenizer, shares } = view;
  const [token] = best(probabilitiesAt(intact, position), 1);
  const found = attribution(edited, position, token);
  const total = found.reduce((sum, { share }) => sum + share, 0);
  const top = Math.max(...found.map(({ share }) => Math.abs(share)));
  const lines = found.toSorted((a, b) => b.share - a.share).map(({ name, share }) => {
    const bar = element("span", { class: share < 0 ? "ml-amount ml-less" : "ml-amount" });
    bar.style.width = `${(50 * Math.abs(share)) / top}%`;
    bar.style[share < 0 ? "right" : "left"] = "50%";
    const number = `${share < 0 ? "−" : "+"}${Math.abs(share).toFixed(1)}`;
    return element(
      "div", { class: "ml-share", role: "listitem" }, element("span", { class: "ml-who" }, name),
      element("span", { class: "ml-track", "aria-hidden": "true" }, bar), element("span", { class: "ml-amounts" }, number),
    );
  });
  const said = `The logit of “${tokenText(tokenizer, token)}” is ${total.toFixed(1)} nats above the mean logit. What adds to it, in nats:`;
  shares.replaceChildren(element("p", { class: "ml-hint" }, said), element("div", { role: "list", class: "ml-bars" }, ...lines));
}
