// What the widgets of the book share; the text of a widget's own script follows it in one module.

// From white to dark blue; luminance falls steadily, so a map reads in grey.
const RAMP = [[255, 255, 255], [157, 191, 214], [53, 113, 155], [12, 35, 64]];

function colour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[low].map((c, i) => Math.round(c + (at - low) * (RAMP[low + 1][i] - c)));
}

const shade = (share) => `rgb(${colour(share).join(",")})`;

const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The same in a drawing.
function drawn(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const percent = (p) => `${p >= 0.1 || p === 0 ? Math.round(100 * p) : (100 * p).toFixed(1)}\u00a0%`;
const words = (number) => Number(number.toPrecision(3)).toString();
const clamp = (value, top) => Math.min(Math.max(value, 0), top);
const freshId = () => `ml-${Math.random().toString(36).slice(2)}`;

const STEPS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  PageUp: [-10, 0], PageDown: [10, 0], Home: [-Infinity, 0], End: [Infinity, 0],
};

// JupyterLab would otherwise take the arrow keys for itself.
const container = (name, ...parts) => element(
  "div", { class: `mechlib-widget mechlib-${name}`, "data-lm-suppress-shortcuts": "true" }, ...parts,
);

function set({ model }, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

// The steps of a slider of whole numbers, under it; `names` are words at some of them: pairs of step and word.
function buildTicks(last, names) {
  const words = new Map(names);
  const at = (step) => `left: calc(var(--thumb) / 2 + (100% - var(--thumb)) * ${step / (last || 1)})`;
  const ticks = Array.from({ length: last + 1 }, (_, step) => (
    element("span", { class: "ml-tick", style: at(step) }, words.get(step) ?? "")
  ));
  return element("span", { class: "ml-ticks", "aria-hidden": "true" }, ...ticks);
}

// The tokens of a passage; the first `n` can be selected.
function buildPassage(texts, n) {
  const node = element("div", {
    class: "ml-passage", role: "slider", tabindex: "0", "aria-label": "Token of the passage",
    "aria-valuemin": 0, "aria-valuemax": n - 1,
  });
  const tokens = texts.map((text, position) => {
    const token = element("span", { class: "ml-token" }, text);
    if (position < n) token.dataset.position = position;
    return token;
  });
  for (const token of tokens) {
    node.append(token);
    if (token.textContent.includes("⏎")) node.append(element("br"));
  }
  return { node, tokens };
}

// Calls move(across, down) for every arrow key and its like on one of the nodes.
function onArrows(nodes, move) {
  const onKey = (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    move(...step);
  };
  for (const node of nodes) node.addEventListener("keydown", onKey);
}

// A mouse selects by passing over places until a click holds the selection; a finger or pen selects by dragging.
// `view.held` says that the mouse no longer selects by passing over them.
function onPlaces(view, nodes, selectAt) {
  const onMove = (event) => {
    if (event.buttons > 0 || (!view.held && event.pointerType === "mouse")) selectAt(event);
  };
  const onDown = (event) => {
    if (event.pointerType === "mouse") view.held = !view.held;
    selectAt(event);
  };
  for (const node of nodes) {
    node.addEventListener("pointermove", onMove);
    node.addEventListener("pointerdown", onDown);
  }
}

// The place under the pointer, if it lies in the view.
function placeAt(view, event) {
  const target = document.elementFromPoint(event.clientX, event.clientY);
  return target && view.root.contains(target) && target.dataset.position !== undefined ? target.dataset : null;
}

// Shows the view now and at every change of a trait; what it returns ends that.
function keepShown(model, events) {
  for (const [name, show] of events) {
    model.on(`change:${name}`, show);
    show();
  }
  return () => events.forEach(([name, show]) => model.off(`change:${name}`, show));
}
