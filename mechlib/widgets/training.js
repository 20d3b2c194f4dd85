// The training explorer. All data is in the model's traits: it works without a kernel.

const HINT = "Drag the slider, or use the arrow keys on it. A click on a curve goes to the nearest checkpoint. "
  + "Choose a head in a table of scores to see its pattern.";
const [WIDTH, HEIGHT] = [200, 112];
const FRAME = { left: 46, right: 8, top: 8, bottom: 20 };
const PACE = 700; // milliseconds a checkpoint is shown when it plays

const stepName = (step) => step.toLocaleString("en").replaceAll(",", "\u202f");

function buildSlider(data) {
  const last = data.steps.length - 1;
  const slider = element("input", { type: "range", min: 0, max: last, step: 1, "aria-label": "Checkpoint" });
  const label = element("output", { class: "ml-step" });
  const play = element("button", { type: "button", class: "ml-play" }, "Play");
  const ticks = buildTicks(last, [[0, stepName(data.steps[0])], [last, stepName(data.steps[last])]]);
  const named = element("label", { class: "ml-slide" }, "Step ", element("span", { class: "ml-slider" }, slider, ticks));
  return { node: element("div", { class: "ml-controls" }, play, named, label), slider, label, play };
}

// Goes on to the last checkpoint, from the first where it stands at the end, until it is stopped.
function playing(view) {
  const { data, slider: { play } } = view;
  const last = data.steps.length - 1;
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const on = () => {
    const { checkpoint } = selected(view);
    if (checkpoint >= last || !view.root.isConnected) stop();
    else set(view, { checkpoint: checkpoint + 1 });
  };
  play.addEventListener("click", () => {
    if (timer) {
      stop();
      return;
    }
    if (selected(view).checkpoint >= last) set(view, { checkpoint: 0 });
    play.textContent = "Pause";
    timer = setInterval(on, PACE);
  });
  return stop;
}

// One curve over training, with a mark at the selected checkpoint.
function buildCurve(data, { name, unit, values }) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [data.steps[0], data.steps[data.steps.length - 1]];
  const x = (step) => FRAME.left + ((step - first) / (last - first)) * (WIDTH - FRAME.left - FRAME.right);
  const y = (value) => HEIGHT - FRAME.bottom - ((value - low) / (high - low || 1)) * (HEIGHT - FRAME.top - FRAME.bottom);
  const points = values.map((value, i) => [x(data.steps[i]), y(value)]);
  const line = drawn("polyline", { points: points.map((point) => point.join()).join(" "), class: "ml-curve" });
  const dots = points.map(([cx, cy]) => drawn("circle", { cx, cy, r: 2, class: "ml-dot" }));
  const axis = { points: `${FRAME.left},${FRAME.top} ${FRAME.left},${HEIGHT - FRAME.bottom} ${WIDTH - FRAME.right},${HEIGHT - FRAME.bottom}`, class: "ml-frame-line" };
  const beside = (value) => drawn("text", { x: FRAME.left - 4, y: y(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(2)));
  const below = [[first, "start"], [last, "end"]].map(([step, anchor]) => (
    drawn("text", { x: x(step), y: HEIGHT - 5, "text-anchor": anchor }, stepName(step))
  ));
  const axes = [drawn("polyline", axis), ...(high > low ? [low, high] : [low]).map(beside), ...below];
  const mark = drawn("line", { y1: FRAME.top, y2: HEIGHT - FRAME.bottom, class: "ml-mark" });
  const ball = drawn("circle", { r: 4.5, class: "ml-ball" });
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, ...axes, line, ...dots, mark, ball);
  const [start, end] = [values[0], values[values.length - 1]].map(words);
  svg.setAttribute("aria-label", `${name} over training: from ${start} to ${end} ${unit}`);
  const value = element("strong");
  const caption = element("div", { class: "ml-caption" }, `${name}: `, value, ` ${unit}`);
  const move = (checkpoint) => {
    const [cx, cy] = points[checkpoint];
    for (const [key, place] of [["x1", cx], ["x2", cx]]) mark.setAttribute(key, place);
    for (const [key, place] of [["cx", cx], ["cy", cy]]) ball.setAttribute(key, place);
    value.textContent = words(values[checkpoint]);
  };
  const nearest = (share) => {
    const gaps = points.map(([cx]) => Math.abs(cx - share * WIDTH));
    return gaps.indexOf(Math.min(...gaps));
  };
  return { node: element("div", { class: "ml-plot" }, caption, svg), svg, move, nearest };
}

// One kind of score: a cell for each head, one row for each layer.
function buildScores({ name, values }, prefix) {
  const grid = element("div", {
    class: "ml-scores", role: "grid", tabindex: "0",
    "aria-label": `${name}: one row for each layer, one cell for each head. Choose with the arrow keys.`,
  });
  const cells = values[0].map((heads, layer) => {
    const row = element("div", { role: "row", class: "ml-layer" });
    const line = heads.map((_, head) => {
      const cell = element("div", { role: "gridcell", class: "ml-cell", id: `${prefix}-${layer}-${head}` });
      cell.dataset.layer = layer;
      cell.dataset.head = head;
      return cell;
    });
    row.append(...line);
    grid.append(row);
    return line;
  });
  const node = element("div", { class: "ml-kind" }, element("div", { class: "ml-caption" }, name), grid);
  return { node, grid, cells, values };
}

function build(model, el) {
  const data = model.get("data");
  const view = {
    model, data, held: false,
    slider: buildSlider(data),
    curves: data.curves.map((curve) => buildCurve(data, curve)),
    scores: data.scores.map((score) => buildScores(score, freshId())),
    picture: buildPicture(data.tokens),
    passage: buildPassage(data.tokens, data.tokens.length),
    status: element("p", { class: "ml-status", "aria-live": "polite" }),
  };
  view.passage.node.classList.add("ml-shares");
  const parts = (name, views) => element("div", { class: name }, ...views.map((part) => part.node));
  const large = element("div", { class: "ml-large" }, view.picture.named);
  const maps = element("div", { class: "ml-maps" }, parts("ml-kinds", view.scores), large);
  const hint = element("p", { class: "ml-hint" }, HINT);
  view.root = container(
    "training", view.slider.node, parts("ml-curves", view.curves), maps, view.passage.node, hint, view.status,
  );
  el.append(view.root);
  return view;
}

function selected({ model, data }) {
  const checkpoint = clamp(model.get("checkpoint"), data.steps.length - 1);
  const layer = clamp(model.get("layer"), data.patterns[0].length - 1);
  const head = clamp(model.get("head"), data.patterns[0][layer].length - 1);
  return { checkpoint, layer, head, position: clamp(model.get("position"), data.tokens.length - 1) };
}

function showScores({ grid, cells, values }, { checkpoint, layer, head }) {
  cells.forEach((line, l) => line.forEach((cell, h) => {
    const score = values[checkpoint][l][h];
    const current = l === layer && h === head;
    cell.textContent = `${headName(l, h)}: ${score.toFixed(2)}`;
    cell.style.background = shade(score);
    cell.style.color = score > 0.5 ? "#ffffff" : "#14213d";
    cell.setAttribute("aria-selected", current);
    if (current) grid.setAttribute("aria-activedescendant", cell.id);
  }));
}

function show(view) {
  const { data, slider, curves, scores, picture, passage, status } = view;
  const now = selected(view);
  const { checkpoint, layer, head, position } = now;
  const step = stepName(data.steps[checkpoint]);
  slider.slider.value = checkpoint;
  slider.slider.setAttribute("aria-valuetext", `step ${step}`);
  slider.label.textContent = `${step}  (checkpoint ${checkpoint + 1} of ${data.steps.length})`;
  for (const curve of curves) curve.move(checkpoint);
  for (const score of scores) showScores(score, now);
  const rows = data.patterns[checkpoint][layer][head];
  const name = headName(layer, head);
  showPicture(picture, rows, position, `Attention pattern of head ${name} at step ${step}`);
  showShares(passage, rows[position], position);
  const best = shareChips(data.tokens, rows[position], position, 3);
  status.replaceChildren(`Step ${step}: from “${data.tokens[position]}”, head ${name} looks at `, ...best);
}

function listen(view) {
  const { data, slider, curves, scores, passage, picture } = view;
  const n = data.tokens.length;
  slider.slider.addEventListener("input", () => set(view, { checkpoint: Number(slider.slider.value) }));
  for (const { svg, nearest } of curves) {
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      set(view, { checkpoint: nearest((event.clientX - box.left) / box.width) });
    });
  }
  for (const { grid } of scores) {
    grid.addEventListener("click", (event) => {
      const cell = event.target.closest(".ml-cell");
      if (cell) set(view, { layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) });
    });
  }
  onArrows(scores.map(({ grid }) => grid), (across, down) => {
    const { layer, head } = selected(view);
    const row = clamp(layer + down, data.patterns[0].length - 1);
    set(view, { layer: row, head: clamp(head + across, data.patterns[0][row].length - 1) });
  });
  onArrows([passage.node, picture.node], (across, down) => {
    view.held = true;
    set(view, { position: clamp(selected(view).position + across + down, n - 1) });
  });
  onPlaces(view, [passage.node], (event) => {
    const place = placeAt(view, event);
    if (place) set(view, { position: Number(place.position) });
  });
  onPlaces(view, [picture.node], (event) => set(view, { position: rowAt(picture, event, n) }));
}

function render({ model, el }) {
  const view = build(model, el);
  listen(view);
  const stop = playing(view);
  const unlisten = keepShown(model, ["checkpoint", "layer", "head", "position"].map((name) => [name, () => show(view)]));
  return () => [stop, unlisten].forEach((end) => end());
}

export default { render };
