// The repair explorer. All data is in the model's traits: it works without a kernel.

const SHOWN = { change: "what changes", after: "shares after the cut", before: "shares before the cut" };
const HINT = "Cut a framed head by a click or with the arrow keys, or choose in the list; Home takes the cut back. "
  + "A cell says how many nats a head or MLP writes toward the right answer, after a cut how many more; striped ones "
  + "are against it. "
  + "Numbers below 0.05 are left out.";
const LEAST = 0.05;
const FULL = 1; // nats of the darkest colour
const READABLE = 0.62; // below this share of it black is read better on it, above it white

const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(2)}`;
const short = (x) => (Math.abs(x) < LEAST ? "" : signed(x).replace("0.", "."));

const kindOf = ({ model, data }) => data.kinds[clamp(model.get("kind"), data.kinds.length - 1)];
const cutOf = (view) => kindOf(view).cuts[cutNumber(view)];
const cutNumber = (view) => Math.min(view.model.get("cut"), kindOf(view).cuts.length - 1);
const partName = (data, layer, column) => (column === data.heads ? `MLP ${layer}` : `head ${layer}.${column}`);

function buildSelect(label, options, choose) {
  const select = element("select", { "aria-label": label });
  select.addEventListener("change", () => choose(select.value));
  const node = element("label", {}, `${label} `, select);
  const offer = (pairs) => select.replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
  offer(options);
  return { node, select, offer };
}

function buildMap(data, prefix) {
  const grid = element("div", {
    class: "ml-scores", role: "grid", tabindex: "0",
    "aria-label": "Heads and MLPs: one row for each layer. Cut a head with the arrow keys, take it back with Home.",
  });
  grid.style.setProperty("--columns", data.heads + 1);
  const names = Array.from({ length: data.heads }, (_, head) => `.${head}`);
  const head = element("div", { role: "row", class: "ml-row" }, element("span", { role: "columnheader" }, "layer"));
  head.append(...[...names, "MLP"].map((name) => element("span", { role: "columnheader" }, name)));
  grid.append(head);
  const cells = data.kinds[0].shares.map((line, row) => {
    const layer = data.first + row;
    const node = element("div", { role: "row", class: "ml-row" }, element("span", { role: "rowheader" }, layer));
    const made = line.map((_, column) => {
      const cell = element("span", { role: "gridcell", class: "ml-cell", id: `${prefix}-${layer}-${column}` });
      cell.dataset.place = `${layer}.${column}`;
      return cell;
    });
    node.append(...made);
    grid.append(node);
    return made;
  });
  return { node: grid, cells };
}

function build(model, el) {
  const data = model.get("data");
  const view = { model, data };
  view.kind = buildSelect("Prompts", data.kinds.map(({ name }, i) => [i, name]), (i) => set(view, { kind: Number(i), cut: -1 }));
  view.cut = buildSelect("Cut", [], (i) => set(view, { cut: Number(i) }));
  view.shown = buildSelect("Show", Object.entries(SHOWN), (shown) => set(view, { shown }));
  view.map = buildMap(data, freshId());
  view.example = element("p", { class: "ml-example" });
  view.status = element("p", { class: "ml-status", "aria-live": "polite" });
  view.table = element("div", { class: "ml-table", role: "table", "aria-label": "From the direct effect to the total one" });
  const controls = element("div", { class: "ml-controls" }, view.kind.node, view.cut.node, view.shown.node);
  const hint = element("p", { class: "ml-hint" }, HINT);
  view.root = container("repair", controls, view.example, view.map.node, hint, view.status, view.table);
  el.append(view.root);
  return view;
}

// The single heads that can be cut, in the order of the map, each with the number of its cut.
function places(kind) {
  const single = kind.cuts.map(({ heads }, i) => ({ heads, i })).filter(({ heads }) => heads.length === 1);
  return single.map(({ heads: [[layer, head]], i }) => ({ layer, head, i }))
    .sort((a, b) => a.layer - b.layer || a.head - b.head);
}

function valuesOf(kind, cut, shown) {
  if (!cut) return kind.shares;
  return kind.shares.map((line, row) => line.map((share, column) => {
    const change = cut.change[row][column];
    if (share === null) return null;
    return { change, before: share, after: share + change }[shown];
  }));
}

function showMap(view) {
  const { data, map, model } = view;
  const [kind, cut] = [kindOf(view), cutOf(view)];
  const gone = new Set((cut?.heads ?? []).map((head) => head.join(".")));
  const open = new Map(places(kind).map(({ layer, head, i }) => [`${layer}.${head}`, i]));
  const values = valuesOf(kind, cut, model.get("shown"));
  map.node.removeAttribute("aria-activedescendant");
  map.cells.forEach((line, row) => line.forEach((cell, column) => {
    const { place } = cell.dataset;
    const value = values[row][column];
    const share = Math.min(Math.abs(value ?? 0) / FULL, 1);
    cell.textContent = gone.has(place) ? "cut" : short(value ?? 0);
    cell.style.backgroundColor = gone.has(place) ? "#ffffff" : shade(share);
    cell.style.color = share > READABLE && !gone.has(place) ? "#ffffff" : "#000000";
    cell.classList.toggle("ml-against", !gone.has(place) && (value ?? 0) <= -LEAST);
    cell.classList.toggle("ml-open", open.has(place));
    cell.setAttribute("aria-selected", gone.has(place));
    const name = partName(data, data.first + row, column);
    cell.setAttribute("aria-label", gone.has(place) ? `${name}, cut` : `${name}: ${value === null ? "none" : signed(value)} nats`);
    if (gone.has(place)) map.node.setAttribute("aria-activedescendant", cell.id);
  }));
}

function changesOf(data, cut) {
  const all = cut.change.flatMap((line, row) => line.map((value, column) => (
    { name: partName(data, data.first + row, column), value: value ?? 0 }
  )));
  return all.filter(({ value }) => Math.abs(value) >= LEAST).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

// The rows of the account: what the head wrote, what is made up for, what is lost.
function accountOf(data, cut) {
  const largest = changesOf(data, cut).slice(0, 5);
  const named = largest.reduce((sum, { value }) => sum + value, 0);
  const others = cut.direct - cut.total - cut.norm - named;
  return [
    ["direct effect", cut.direct, "what the head wrote"],
    ...largest.map(({ name, value }) => [name, -value, value > 0 ? "makes up" : "makes it worse"]),
    ["all others", -others, others > 0 ? "make up" : "make it worse"],
    ["final norm", -cut.norm, cut.norm > 0 ? "makes up, by dividing by less" : "makes it worse, by dividing by more"],
    ["total effect", cut.total, "what is lost"],
  ];
}

function buildLine([name, value, what], top) {
  const bar = element("span", { class: value < 0 ? "ml-stroke ml-minus" : "ml-stroke" });
  bar.style.width = `${(100 * Math.abs(value)) / top}%`;
  const whole = name.endsWith("effect");
  return element(
    "div", { role: "row", class: whole ? "ml-line ml-selected" : "ml-line" },
    element("div", { role: "cell", class: "ml-entry" }, name),
    element("div", { role: "cell", class: "ml-number" }, signed(value)),
    element("div", { role: "cell", class: "ml-strokes" }, bar),
    element("div", { role: "cell", class: "ml-what" }, what),
  );
}

function show(view) {
  const { data, kind: kinds, cut: cuts, shown, status, table, example, model } = view;
  const [kind, cut] = [kindOf(view), cutOf(view)];
  kinds.select.value = data.kinds.indexOf(kind);
  cuts.offer([[-1, "nothing"], ...kind.cuts.map(({ name }, i) => [i, name])]);
  cuts.select.value = cut ? cutNumber(view) : -1;
  shown.select.value = model.get("shown");
  shown.select.disabled = !cut;
  example.textContent = kind.example;
  showMap(view);
  if (!cut) {
    status.textContent = `Nothing is cut: the right answer is ${kind.intact.toFixed(2)} nats ahead, the mean of ${kind.prompts} prompts.`;
    table.replaceChildren();
    return;
  }
  const most = changesOf(data, cut)[0];
  const who = most ? ` The largest answer: ${most.name}, ${signed(most.value)}.` : " No later part answers with 0.05 or more.";
  const many = cut.heads.length > 1 ? "them" : "it";
  status.textContent = `Without ${cut.name}: ${many} wrote ${signed(cut.direct)}, and ${signed(cut.total)} is lost.${who}`;
  const lines = accountOf(data, cut);
  const top = Math.max(...lines.map(([, value]) => Math.abs(value))) || 1;
  table.replaceChildren(...lines.map((line) => buildLine(line, top)));
}

function listen(view) {
  const { map } = view;
  map.node.addEventListener("click", (event) => {
    const place = event.target.closest(".ml-cell")?.dataset.place;
    const found = places(kindOf(view)).find(({ layer, head }) => `${layer}.${head}` === place);
    if (found) set(view, { cut: found.i === cutNumber(view) ? -1 : found.i });
  });
  onArrows([map.node], (across, down) => {
    const order = places(kindOf(view));
    const here = order.findIndex(({ i }) => i === cutNumber(view));
    if (across === -Infinity) set(view, { cut: -1 });
    else set(view, { cut: order[clamp(here + across + down, order.length - 1)].i });
  });
}

function render({ model, el }) {
  const view = build(model, el);
  listen(view);
  return keepShown(model, ["kind", "cut", "shown"].map((name) => [name, () => show(view)]));
}

export default { render };
