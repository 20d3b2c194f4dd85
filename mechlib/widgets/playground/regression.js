// Regression in context: points to drag, and the line of a transformer beside those of two algorithms. The model runs
// where it is shown.

const REACH = 3;
const SIZE = 300;
const STEPS_ACROSS = 61;
const LEAST_PENALTY = 0.01;

const ROOM = {
  title: "Points, and what a transformer makes of them",
  caption: "The model has three layers, has never seen these points, and its weights do not change: it reads them as a prompt "
    + "and predicts y at every x. Beside it are ridge regression and one step of gradient descent from zero. It was trained "
    + "on inputs of five dimensions from a normal distribution, and on lines through the origin; the points lie on one axis.",
  tries: [
    { text: "One point alone: drag it about. Where do the three agree?", traits: { points: [[1, 1.2]] } },
    {
      text: "Points near the origin: one step of the same size is now too short. What does the model do?",
      traits: { points: [[-0.5, -0.6], [-0.3, -0.36], [0.2, 0.24], [0.4, 0.48], [0.6, 0.72]] },
    },
    {
      text: "A parabola, which no line through the origin fits, and the model was never shown.",
      traits: { points: [[-1.5, 1.1], [-1, 0.5], [-0.5, 0.1], [0.5, 0.1], [1, 0.5], [1.5, 1.1]] },
    },
  ],
};

const across = (x) => SIZE * (0.5 + x / (2 * REACH));
const down = (y) => SIZE * (0.5 - y / (2 * REACH));
const within = (value) => Math.round(100 * Math.min(Math.max(value, -REACH), REACH)) / 100;

const LINES = [
  { key: "model", name: "the model", dash: "" },
  { key: "ridge", name: "ridge", dash: "9 4" },
  { key: "step", name: "one step", dash: "2 4" },
];

// What each of the three predicts at every x of the drawing.
function predictions({ model, regression }) {
  const points = model.get("points").map(([x, y]) => ({ x, y }));
  const xs = Array.from({ length: STEPS_ACROSS }, (_, i) => REACH * ((2 * i) / (STEPS_ACROSS - 1) - 1));
  const wide = (x) => Array.from({ length: regression.d }, (_, axis) => (axis ? 0 : x));
  const ys = points.map(({ y }) => y);
  const found = slopes(points, { penalty: model.get("penalty"), rate: model.get("rate") });
  return {
    xs,
    model: regressionPredictions(regression, points.map(({ x }) => wide(x)), ys, xs.map(wide)),
    ridge: xs.map((x) => found.ridge * x),
    step: xs.map((x) => found.step * x),
  };
}

function showLines(view) {
  const found = predictions(view);
  for (const { key } of LINES) {
    const at = found.xs.map((x, i) => `${across(x).toFixed(1)},${down(found[key][i]).toFixed(1)}`);
    view.lines[key].setAttribute("points", at.join(" "));
  }
  const one = found.xs.findIndex((x) => Math.abs(x - 1) < 1e-9);
  const said = LINES.map(({ key, name }) => `${name} ${found[key][one].toFixed(2)}`);
  view.said.textContent = `At x = 1: ${said.join(", ")}.`;
}

const moved = (points, place, to) => points.map((point, i) => (i === place ? to.map(within) : point));

function showPoints(view) {
  const { model, regression } = view;
  const points = model.get("points");
  const held = view.dots.findIndex((dot) => dot === document.activeElement);
  while (view.dots.length > points.length) view.dots.pop().remove();
  while (view.dots.length < points.length) view.dots.push(dot(view, view.dots.length));
  points.forEach(([x, y], place) => {
    const node = view.dots[place];
    node.setAttribute("cx", across(x));
    node.setAttribute("cy", down(y));
    node.setAttribute("aria-label", `Point ${place + 1}: x ${x}, y ${y}. Move with the arrow keys, remove with Delete.`);
  });
  if (held >= 0) (view.dots[held] ?? view.dots.at(-1))?.focus();
  view.add.disabled = points.length > regression.nPoints - 2;
  view.remove.disabled = !points.length;
  showLines(view);
}

const KEYS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

// A point that is dragged, or moved by keys.
function dot(view, place) {
  const node = drawn("circle", { r: 9, class: "ml-point", tabindex: "0", role: "button" });
  const put = (to) => set(view, { points: moved(view.model.get("points"), place, to) });
  node.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    node.setPointerCapture(event.pointerId);
    node.focus();
  });
  node.addEventListener("pointermove", (event) => {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const box = view.drawing.getBoundingClientRect();
    put([REACH * ((2 * (event.clientX - box.left)) / box.width - 1), REACH * (1 - (2 * (event.clientY - box.top)) / box.height)]);
  });
  node.addEventListener("keydown", (event) => {
    const points = view.model.get("points");
    if (event.key === "Delete" || event.key === "Backspace") set(view, { points: points.filter((_, i) => i !== place) });
    else if (KEYS[event.key]) put(points[place].map((value, axis) => value + KEYS[event.key][axis]));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  view.drawing.append(node);
  return node;
}

function slider(view, label, trait, { least, most, step }, shown) {
  const input = element("input", { type: "range", min: least, max: most, step, "aria-label": label });
  const told = element("output", {});
  input.addEventListener("input", () => set(view, { [trait]: shown.from(Number(input.value)) }));
  const update = () => {
    const value = view.model.get(trait);
    input.value = shown.to(value);
    told.textContent = words(value);
  };
  return { node: element("label", { class: "ml-slide" }, `${label} `, input, told), update };
}

function drawing() {
  const grid = [-2, -1, 0, 1, 2].flatMap((at) => [
    drawn("line", { x1: across(at), x2: across(at), y1: 0, y2: SIZE, class: at ? "ml-grid" : "ml-axle" }),
    drawn("line", { x1: 0, x2: SIZE, y1: down(at), y2: down(at), class: at ? "ml-grid" : "ml-axle" }),
  ]);
  const ticks = [-2, -1, 1, 2].flatMap((at) => [
    drawn("text", { x: across(at), y: down(0) + 13, class: "ml-tick", "text-anchor": "middle" }, at),
    drawn("text", { x: across(0) + 4, y: down(at) + 4, class: "ml-tick" }, at),
  ]);
  const lines = Object.fromEntries(LINES.map(({ key, dash }) => (
    [key, drawn("polyline", { class: `ml-curve ml-of-${key}`, "stroke-dasharray": dash })]
  )));
  const names = [
    drawn("text", { x: SIZE - 10, y: down(0) - 6, class: "ml-tick" }, "x"), drawn("text", { x: across(0) - 14, y: 13, class: "ml-tick" }, "y"),
  ];
  const node = drawn(
    "svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "ml-drawing", role: "group", "aria-label": "Points and three predictions of y from x" },
    ...grid, ...ticks, ...names, ...Object.values(lines),
  );
  return { node, lines };
}

function legend() {
  const entries = LINES.map(({ key, name, dash }) => {
    const sample = drawn("svg", { viewBox: "0 0 36 8", class: "ml-sample", "aria-hidden": "true" });
    sample.append(drawn("line", { x1: 0, x2: 36, y1: 4, y2: 4, class: `ml-curve ml-of-${key}`, "stroke-dasharray": dash }));
    return element("span", {}, sample, ` ${name}`);
  });
  return element("div", { class: "ml-controls ml-key" }, ...entries);
}

function build(model, el) {
  const { node, lines } = drawing();
  const view = {
    model, drawing: node, lines, dots: [],
    status: element("p", { class: "ml-loading", role: "status" }), said: element("p", { class: "ml-said", role: "status" }),
  };
  const logarithm = { to: (value) => Math.log10(value), from: (value) => Number((10 ** value).toPrecision(2)) };
  const plain = { to: (value) => value, from: (value) => value };
  view.sliders = [
    slider(view, "Penalty of ridge", "penalty", { least: Math.log10(LEAST_PENALTY), most: 1, step: 0.1 }, logarithm),
    slider(view, "Size of the step", "rate", { least: 0, most: 3, step: 0.05 }, plain),
  ];
  view.add = button("Add a point", () => {
    const points = model.get("points");
    set(view, { points: [...points, [within(REACH * Math.sin(5 * points.length + 1) * 0.8), 0]] });
  });
  view.remove = button("Remove the last", () => set(view, { points: model.get("points").slice(0, -1) }));
  const controls = element("div", { class: "ml-controls" }, view.add, view.remove, ...view.sliders.map((each) => each.node));
  view.body = element("div", { class: "ml-body", hidden: "" }, controls, legend(), node, view.said);
  view.root = frame(view, "regression", ROOM, view.status, view.body);
  el.append(view.root);
  return view;
}

function render({ model, el }) {
  const view = build(model, el);
  let stop = () => {};
  const [name] = Object.keys(model.get("models"));
  whenLoaded(view, name, regressionModel, (regression) => {
    view.regression = regression;
    view.body.hidden = false;
    view.status.textContent = "";
    const show = () => {
      for (const { update } of view.sliders) update();
      showPoints(view);
    };
    stop = keepShown(model, ["points", "penalty", "rate"].map((trait) => [trait, show]));
  });
  return () => stop();
}

export default { render };
