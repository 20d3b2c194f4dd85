// The lens explorer. All data is in the model's traits: it works without a kernel.

const MEASURES = {
  probability: { name: "probability of the true next token", unit: "", scale: (x) => x, digits: 2 },
  rank: { name: "rank of the true next token", unit: "", scale: (x) => Math.log1p(x), digits: 0 },
  entropy: { name: "entropy", unit: "nats", scale: (x) => x, digits: 2 },
  kl: { name: "KL to the final layer", unit: "nats", scale: Math.sqrt, digits: 2 },
};

function largest(rows) {
  return Math.max(...rows.map((row) => Math.max(...row)));
}

function buildControls(current, choose) {
  const select = element("select", { "aria-label": "Colour the map by" });
  for (const [key, measure] of Object.entries(MEASURES)) select.append(element("option", { value: key }, measure.name));
  select.value = current;
  select.addEventListener("change", () => choose(select.value));
  const legend = element("span", { class: "ml-legend" });
  const node = element("div", { class: "ml-controls" }, element("label", {}, "Colour by ", select), legend);
  return { node, select, legend };
}

function buildMap(data, prefix) {
  const grid = element("div", {
    class: "ml-map", role: "grid", tabindex: "0",
    "aria-label": "Map of the passage: one row for each layer, one column for each token. Move with the arrow keys.",
  });
  grid.style.setProperty("--columns", data.tokens.length - 1);
  const cells = data.kl.map((values, entry) => {
    const name = element("span", { role: "rowheader" }, data.entries[entry]);
    const row = element("div", { role: "row", class: "ml-row" }, name);
    const line = values.map((_, position) => {
      const cell = element("span", { role: "gridcell", id: `${prefix}-${entry}-${position}`, class: "ml-cell" });
      cell.dataset.position = position;
      cell.dataset.entry = entry;
      if (data.right[entry][position][0]) cell.classList.add("ml-right");
      return cell;
    });
    row.append(...line);
    grid.append(row);
    return line;
  });
  return { node: grid, cells };
}

function guess(data, entry, position, k) {
  const text = data.vocabulary[data.guesses[entry][position][k]];
  const p = data.probabilities[entry][position][k];
  const right = data.right[entry][position][k];
  const chip = element("span", { class: right ? "ml-guess ml-hit" : "ml-guess" });
  chip.style.setProperty("--share", `${100 * p}%`);
  chip.append(right ? "✓ " : "", element("code", {}, text), ` ${percent(p)}`);
  return chip;
}

function buildTable(data, position, selectedEntry) {
  const cell = (kind, ...children) => element("div", { role: "cell", class: `ml-${kind}` }, ...children);
  const head = element("div", { role: "row", class: "ml-line ml-head" });
  const numbers = ["rank", "entropy", "KL"].map((text) => ["number", text]);
  const columns = [["entry", "after"], ["guesses", "five best guesses"], ...numbers];
  for (const [kind, text] of columns) {
    head.append(element("div", { role: "columnheader", class: `ml-${kind}` }, text));
  }
  const lines = data.guesses.map((row, entry) => {
    const guesses = row[position].map((_, k) => guess(data, entry, position, k));
    const number = (key, label) => {
      const value = cell("number", data[key][entry][position]?.toFixed(MEASURES[key].digits) ?? "∞");
      value.dataset.label = label;
      return value;
    };
    return element(
      "div", { role: "row", class: entry === selectedEntry ? "ml-line ml-selected" : "ml-line" },
      cell("entry", data.entries[entry]), cell("guesses", ...guesses),
      number("rank", "rank "), number("entropy", "entropy "), number("kl", "KL "),
    );
  });
  return [head, ...lines];
}

function describe(data, position) {
  const last = data.kl.length - 1;
  const best = data.vocabulary[data.guesses[last][position][0]];
  return `After “${data.tokens[position]}” comes “${data.tokens[position + 1]}”; the final layer says “${best}” `
    + `(${percent(data.probabilities[last][position][0])}).`;
}

const HINT = "Move over the map or the passage, or use the arrow keys; a click holds. "
  + "A dot marks a right first guess; in the passage the token read is filled and the true next one framed.";

// The parts of one view.
function build(model, el) {
  const data = model.get("data");
  const view = {
    model, data, held: false, marked: [],
    last: { position: data.tokens.length - 2, entry: data.kl.length - 1 },
    controls: buildControls(model.get("colour"), (colour) => set(view, { colour })),
    map: buildMap(data, freshId()),
    passage: buildPassage(data.tokens, data.tokens.length - 1),
    status: element("p", { class: "ml-status", "aria-live": "polite" }),
    table: element("div", { class: "ml-table", role: "table", "aria-label": "Guesses after the selected token" }),
  };
  const hint = element("p", { class: "ml-hint" }, HINT);
  const parts = [view.controls.node, view.map.node, view.passage.node, hint, view.status, view.table];
  view.root = container("lens", ...parts);
  el.append(view.root);
  return view;
}

function selected({ model, last }) {
  return { position: clamp(model.get("position"), last.position), entry: clamp(model.get("entry"), last.entry) };
}

function select(view, position, entry) {
  set(view, { position: clamp(position, view.last.position), entry: clamp(entry, view.last.entry) });
}

function showSelection(view) {
  const { data, map, passage, status, table } = view;
  const { position, entry } = selected(view);
  for (const node of view.marked) node.classList.remove("ml-column", "ml-current", "ml-next");
  const column = map.cells.map((row) => row[position]);
  const [token, next] = [passage.tokens[position], passage.tokens[position + 1]];
  for (const cell of column) cell.classList.add("ml-column");
  column[entry].classList.add("ml-current");
  token.classList.add("ml-current");
  next.classList.add("ml-next");
  view.marked = [...column, token, next];
  map.node.setAttribute("aria-activedescendant", column[entry].id);
  passage.node.setAttribute("aria-valuenow", position);
  passage.node.setAttribute("aria-valuetext", data.tokens[position]);
  status.textContent = describe(data, position);
  table.replaceChildren(...buildTable(data, position, entry));
}

function showColour({ model, data, map, controls }) {
  const key = model.get("colour");
  const { name, unit, scale } = MEASURES[key];
  const top = largest(data[key]);
  map.cells.forEach((row, entry) => row.forEach((cell, position) => {
    const value = data[key][entry][position];
    const share = value === null ? 1 : top > 0 ? scale(value) / scale(top) : 0;
    cell.style.background = shade(share);
    cell.classList.toggle("ml-dark", share > 0.5);
    cell.setAttribute("aria-label", `${data.entries[entry]}, after ${data.tokens[position]}: ${name} ${value ?? "∞"} ${unit}`);
  }));
  controls.select.value = key;
  const bar = element("span", { class: "ml-bar" });
  bar.style.background = `linear-gradient(to right, ${Array.from({ length: 9 }, (_, i) => shade(i / 8)).join(",")})`;
  controls.legend.replaceChildren("0", bar, `${Number(top.toPrecision(3))} ${unit}`);
}

function listen(view) {
  const nodes = [view.map.node, view.passage.node];
  onPlaces(view, nodes, (event) => {
    const place = placeAt(view, event);
    if (place) select(view, Number(place.position), Number(place.entry ?? selected(view).entry));
  });
  onArrows(nodes, (across, down) => {
    view.held = true;
    const { position, entry } = selected(view);
    select(view, position + across, entry + down);
  });
}

function render({ model, el }) {
  const view = build(model, el);
  listen(view);
  const onSelection = () => showSelection(view);
  return keepShown(model, [["colour", () => showColour(view)], ["position", onSelection], ["entry", onSelection]]);
}

export default { render };
