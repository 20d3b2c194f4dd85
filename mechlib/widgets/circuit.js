// The circuit explorer. All data is in the model's traits: it works without a kernel.

const HINT = "Point at a path, or move to it with the tab key, and it lights up. A click or the space bar cuts it.";
const WIDTH = 336;
const LEVEL = 62;
const TOP = 26;
const [HALF_WIDTH, HALF_HEIGHT] = [21, 13];
const FEW = 24; // pixels by which paths with the same ends are bent apart

const isCut = (cut, i) => Math.floor(cut / 2 ** i) % 2 === 1;

function layout({ tokens, places }) {
  const levels = Math.max(...Object.values(places).map(({ level }) => level));
  const step = WIDTH / tokens.length;
  return {
    height: TOP + levels * LEVEL + 40,
    x: (column) => (column + 0.5) * step,
    y: (level) => TOP + (levels - level) * LEVEL,
  };
}

// From the upper edge of one box to the lower edge of another, or from side to side on one level.
function curve(start, end, bend) {
  const level = start.y === end.y;
  const way = Math.sign(end.x - start.x) || 1;
  const from = level ? [start.x + way * HALF_WIDTH, start.y] : [start.x, start.y - HALF_HEIGHT];
  const to = level ? [end.x - way * HALF_WIDTH, end.y] : [end.x, end.y + HALF_HEIGHT + 4];
  const middle = [(from[0] + to[0]) / 2 + bend, (from[1] + to[1]) / 2 - (level ? Math.abs(bend) : 0)];
  return `M${from.join()} Q${middle.join()} ${to.join()}`;
}

function buildPath(data, i, { x, y }, prefix) {
  const { start, end, about } = data.paths[i];
  const [from, to] = [start, end].map((key) => ({ x: x(data.places[key].column), y: y(data.places[key].level) }));
  const alike = data.paths.map((path, place) => [path, place]).filter(([path]) => path.start === start && path.end === end);
  const among = alike.findIndex(([, place]) => place === i);
  const bend = (among - (alike.length - 1) / 2) * 2 * FEW;
  const shape = { d: curve(from, to, bend) };
  const line = drawn("path", { ...shape, class: "ml-path", "marker-end": `url(#${prefix})` });
  const wide = drawn("path", { ...shape, class: "ml-wide" });
  const box = element("input", { type: "checkbox" });
  const label = element("label", { class: "ml-edge" }, box, element("span", {}, about));
  return { line, wide, box, label };
}

function buildDrawing(data, prefix) {
  const place = layout(data);
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${place.height}`, role: "img" });
  const marker = drawn(
    "marker", { id: prefix, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" },
    drawn("path", { d: "M0,0 L8,4 L0,8 z", class: "ml-tip" }),
  );
  const paths = data.paths.map((_, i) => buildPath(data, i, place, prefix));
  const boxes = Object.values(data.places).map(({ column, level, name }) => drawn(
    "g", { class: "ml-box" },
    drawn("rect", {
      x: place.x(column) - HALF_WIDTH, y: place.y(level) - HALF_HEIGHT, rx: 4, width: 2 * HALF_WIDTH, height: 2 * HALF_HEIGHT,
    }),
    drawn("text", { x: place.x(column), y: place.y(level) + 4, "text-anchor": "middle" }, name),
  ));
  const tokens = data.tokens.map((token, column) => drawn(
    "text", { x: place.x(column), y: place.height - 8, "text-anchor": "middle", class: "ml-below" }, token,
  ));
  svg.append(drawn("defs", {}, marker), ...paths.map(({ line }) => line), ...boxes, ...tokens, ...paths.map(({ wide }) => wide));
  return { svg, paths };
}

function buildWays(data) {
  const options = data.ways.map((name, i) => element("option", { value: i }, name));
  const choice = element("select", { "aria-label": "What stands in the place of a cut path" }, ...options);
  const whole = element("button", { type: "button", class: "ml-whole" }, "Mend all");
  const none = element("button", { type: "button", class: "ml-whole" }, "Cut all");
  const node = element("div", { class: "ml-controls" }, element("label", {}, "Instead of a cut path: ", choice), whole, none);
  return { node, choice, whole, none };
}

function build(model, el) {
  const data = model.get("data");
  const prefix = freshId();
  const view = { model, data, ways: buildWays(data), ...buildDrawing(data, prefix) };
  view.list = element("div", { class: "ml-edges", role: "group", "aria-label": "Paths to cut" }, ...view.paths.map(({ label }) => label));
  view.numbers = element("div", { class: "ml-numbers", "aria-live": "polite" });
  const rest = data.rest ? [element("p", { class: "ml-hint" }, data.rest)] : [];
  const side = element("div", { class: "ml-side" }, view.list, view.numbers);
  view.root = container(
    "circuit", view.ways.node, element("div", { class: "ml-both" }, view.svg, side), element("p", { class: "ml-hint" }, HINT), ...rest,
  );
  el.append(view.root);
  return view;
}

function selected({ model, data }) {
  const way = clamp(model.get("way"), data.ways.length - 1);
  return { cut: clamp(model.get("cut"), 2 ** data.paths.length - 1), path: model.get("path"), way, values: data.values[data.ways[way]] };
}

function buildNumber(data, name, values, cut) {
  const now = values[cut];
  const shown = (value) => (data.percent.includes(name) ? percent(Math.max(value, 0)) : words(value));
  const [whole, none] = [values[0], values[values.length - 1]];
  const share = (now - none) / (whole - none || 1);
  const bar = element("span", { class: "ml-meter", style: `--share: ${100 * Math.min(Math.max(share, 0), 1)}%` });
  return element(
    "div", { class: "ml-number" }, `${name}: `, element("strong", {}, shown(now)), bar,
    element("span", { class: "ml-ends" }, `whole ${shown(whole)}, all cut ${shown(none)}`),
  );
}

function show(view) {
  const { data, paths, ways } = view;
  const { cut, path, way, values } = selected(view);
  ways.choice.value = way;
  paths.forEach(({ line, box, label }, i) => {
    box.checked = !isCut(cut, i);
    for (const node of [line, label]) {
      node.classList.toggle("ml-cut", isCut(cut, i));
      node.classList.toggle("ml-lit", i === path);
    }
  });
  view.numbers.replaceChildren(...data.measures.map((name) => buildNumber(data, name, values[name], cut)));
  const gone = data.paths.filter((_, i) => isCut(cut, i)).map(({ about }) => about);
  view.svg.setAttribute("aria-label", `A circuit of ${paths.length} paths. Cut: ${gone.join("; ") || "none"}.`);
}

function listen(view) {
  const { data, paths, ways } = view;
  const toggle = (i) => {
    const { cut } = selected(view);
    set(view, { cut: cut + (isCut(cut, i) ? -1 : 1) * 2 ** i, path: i });
  };
  paths.forEach(({ wide, box, label }, i) => {
    wide.addEventListener("click", () => toggle(i));
    box.addEventListener("change", () => toggle(i));
    box.addEventListener("focus", () => set(view, { path: i }));
    for (const node of [wide, label]) {
      node.addEventListener("pointerenter", () => set(view, { path: i }));
      node.addEventListener("pointerleave", () => set(view, { path: -1 }));
    }
  });
  ways.choice.addEventListener("change", () => set(view, { way: Number(ways.choice.value) }));
  ways.whole.addEventListener("click", () => set(view, { cut: 0 }));
  ways.none.addEventListener("click", () => set(view, { cut: 2 ** data.paths.length - 1 }));
}

function render({ model, el }) {
  const view = build(model, el);
  listen(view);
  return keepShown(model, ["cut", "path", "way"].map((name) => [name, () => show(view)]));
}

export default { render };
