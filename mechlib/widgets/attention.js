// The attention explorer. All data is in the model's traits: it works without a kernel.

const HINT = "Choose a head by a click or with the arrow keys. Then move over the passage or over the large picture, "
  + "or use the arrow keys there; a click holds. The framed token looks; the stronger a token's colour, the more it is looked at.";
const BEST = 3;

function buildHeads(data, prefix) {
  const grid = element("div", {
    class: "ml-heads", role: "grid", tabindex: "0",
    "aria-label": "Heads: one row for each layer. Choose with the arrow keys.",
  });
  const cells = data.patterns.map((heads, layer) => {
    const row = element("div", { role: "row", class: "ml-layer" });
    const line = heads.map((rows, head) => {
      const canvas = element("canvas", { class: "ml-canvas", "aria-hidden": "true" });
      drawPattern(canvas, rows);
      const name = element("span", { class: "ml-name" }, headName(layer, head));
      const cell = element("div", { class: "ml-cell", role: "gridcell", id: `${prefix}-${layer}-${head}` }, canvas, name);
      cell.dataset.layer = layer;
      cell.dataset.head = head;
      return cell;
    });
    row.append(...line);
    grid.append(row);
    return line;
  });
  return { node: grid, cells };
}

function buildLines(data, position, layer, head) {
  return data.patterns.flatMap((heads, l) => heads.map((rows, h) => {
    const chips = shareChips(data.tokens, rows[position], position, BEST);
    const cells = [["entry", [`head ${headName(l, h)}`]], ["guesses", chips]];
    const line = element("div", { role: "row", class: "ml-line" });
    if (l === layer && h === head) line.classList.add("ml-selected");
    for (const [kind, children] of cells) line.append(element("div", { role: "cell", class: `ml-${kind}` }, ...children));
    return line;
  }));
}

function build(model, el) {
  const data = model.get("data");
  const view = {
    model, data, held: false,
    heads: buildHeads(data, freshId()),
    picture: buildPicture(data.tokens),
    passage: buildPassage(data.tokens, data.tokens.length),
    status: element("p", { class: "ml-status", "aria-live": "polite" }),
    table: element("div", { class: "ml-table", role: "table", "aria-label": "Where each head looks from this token" }),
  };
  view.passage.node.classList.add("ml-shares");
  const large = element("div", { class: "ml-large" }, view.picture.named);
  const maps = element("div", { class: "ml-maps" }, view.heads.node, large);
  const hint = element("p", { class: "ml-hint" }, HINT);
  view.root = container("attention", maps, view.passage.node, hint, view.status, view.table);
  el.append(view.root);
  return view;
}

function selected({ model, data }) {
  const layer = clamp(model.get("layer"), data.patterns.length - 1);
  const head = clamp(model.get("head"), data.patterns[layer].length - 1);
  return { layer, head, position: clamp(model.get("position"), data.tokens.length - 1) };
}

function show(view) {
  const { data, heads, picture, passage, status, table } = view;
  const { layer, head, position } = selected(view);
  const rows = data.patterns[layer][head];
  const name = headName(layer, head);
  heads.cells.forEach((line, l) => line.forEach((cell, h) => {
    const current = l === layer && h === head;
    cell.setAttribute("aria-selected", current);
    cell.setAttribute("aria-label", `head ${headName(l, h)}`);
    if (current) heads.node.setAttribute("aria-activedescendant", cell.id);
  }));
  showPicture(picture, rows, position, `Attention pattern of head ${name} on the passage`);
  showShares(passage, rows[position], position);
  status.replaceChildren(
    `From “${data.tokens[position]}”, head ${name} looks most at `, ...shareChips(data.tokens, rows[position], position, 1),
  );
  table.replaceChildren(...buildLines(data, position, layer, head));
}

function listen(view) {
  const { data, heads, passage, picture } = view;
  const n = data.tokens.length;
  onPlaces(view, [passage.node], (event) => {
    const place = placeAt(view, event);
    if (place) set(view, { position: Number(place.position) });
  });
  onPlaces(view, [picture.node], (event) => set(view, { position: rowAt(picture, event, n) }));
  onArrows([passage.node, picture.node], (across, down) => {
    view.held = true;
    set(view, { position: clamp(selected(view).position + across + down, n - 1) });
  });
  onArrows([heads.node], (across, down) => {
    const { layer, head } = selected(view);
    const row = clamp(layer + down, data.patterns.length - 1);
    set(view, { layer: row, head: clamp(head + across, data.patterns[row].length - 1) });
  });
  heads.node.addEventListener("click", (event) => {
    const cell = event.target.closest(".ml-cell");
    if (cell) set(view, { layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) });
  });
}

function render({ model, el }) {
  const view = build(model, el);
  listen(view);
  return keepShown(model, ["layer", "head", "position"].map((name) => [name, () => show(view)]));
}

export default { render };
