// The chain explorer. All data is in the model's traits: it works without a kernel.

const HINT = "Drag a slider, or use the arrow keys on it. Thin lines are the chains; the shaded part is the burn-in. "
  + "The thick line is the estimate, the dashed one the exact expectation at these settings.";
const SWITCHES = [["lr", "step ε"], ["gamma", "γ"], ["nbeta", "nβ"]];
const HEIGHT = 260;
const [WIDEST, NARROWEST] = [640, 240]; // pixels of the drawing, which is as wide as there is room
const FRAME = { left: 52, right: 8, top: 8, bottom: 34 };
const DASHES = ["", "6 2", "2 2", "8 2 2 2"];

function buildSwitch(data, [name, label]) {
  const last = data[name].length - 1;
  const slider = element("input", { type: "range", min: 0, max: last, step: 1, "aria-label": label });
  const value = element("output", { class: "ml-value" });
  const ends = [...new Set([0, last])].map((place) => [place, words(data[name][place])]);
  const ticked = element("span", { class: "ml-slider" }, slider, buildTicks(last, ends));
  return { name, slider, value, node: element("label", { class: "ml-switch" }, `${label} `, ticked, value) };
}

function build(model, el) {
  const data = model.get("data");
  const view = {
    model, data,
    switches: SWITCHES.map((names) => buildSwitch(data, names)),
    svg: drawn("svg", { role: "img" }),
    status: element("p", { class: "ml-status", "aria-live": "polite" }),
    warnings: element("ul", { class: "ml-warnings" }),
  };
  const controls = element("div", { class: "ml-switches" }, ...view.switches.map(({ node }) => node));
  view.root = container("chain", controls, element("div", { class: "ml-traces" }, view.svg), view.status, view.warnings, element("p", { class: "ml-hint" }, HINT));
  el.append(view.root);
  return view;
}

function selected({ model, data }) {
  const places = SWITCHES.map(([name]) => clamp(model.get(name), data[name].length - 1));
  const run = places.reduce((at, place, i) => at * data[SWITCHES[i][0]].length + place, 0);
  return { places, run: data.runs[run] };
}

// Round numbers from low to high, about four of them.
function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
  return Array.from({ length: count }, (_, i) => (Math.ceil(low / step) + i) * step);
}

// Most of the draws: single ones far out would press the rest together.
function range({ traces, llc, exact }) {
  const values = traces.flat().filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share) => values[Math.floor(share * (values.length - 1))];
  const marks = [0, llc, exact].filter((value) => value !== null);
  const [low, high] = [Math.min(...marks, at(0.002)), Math.max(...marks, at(0.998))];
  return high > low ? [low, high] : [low, low + 1];
}

function scales(run, width) {
  const [low, high] = range(run);
  const inner = [width - FRAME.left - FRAME.right, HEIGHT - FRAME.top - FRAME.bottom];
  return {
    low, high, width,
    x: (step) => FRAME.left + (step / run.steps) * inner[0],
    y: (value) => FRAME.top + (1 - (clampTo(value, low, high) - low) / (high - low)) * inner[1],
  };
}

const clampTo = (value, low, high) => Math.min(Math.max(value, low), high);

function axes(run, { low, high, width, x, y }) {
  const texts = ticks(low, high).flatMap((value) => [
    drawn("line", { x1: FRAME.left, x2: width - FRAME.right, y1: y(value), y2: y(value), class: "ml-grid" }),
    drawn("text", { x: FRAME.left - 6, y: y(value) + 4, "text-anchor": "end" }, words(value)),
  ]);
  const burnin = drawn("rect", {
    x: x(0), y: FRAME.top, width: x(run.burnin) - x(0), height: HEIGHT - FRAME.top - FRAME.bottom, class: "ml-burnin",
  });
  const anchors = [[0, "start"], [run.burnin, "middle"], [run.steps, "end"]];
  const steps = anchors.map(([step, anchor]) => (
    drawn("text", { x: x(step), y: HEIGHT - 18, "text-anchor": anchor }, step - run.burnin)
  ));
  const label = { x: (x(0) + x(run.steps)) / 2, y: HEIGHT - 3, "text-anchor": "middle" };
  return [burnin, ...texts, ...steps, drawn("text", label, "draw; vertical: nβ (loss − loss at w*)")];
}

function chainLines(run, { x, y }) {
  return run.traces.map((trace, chain) => {
    const finite = trace.map((value, i) => [i * run.stride, value]).filter(([, value]) => value !== null);
    return drawn("polyline", {
      points: finite.map(([step, value]) => `${x(step)},${y(value)}`).join(" "),
      class: "ml-trace", "stroke-dasharray": DASHES[chain % DASHES.length],
    });
  });
}

function level(run, { x, y }, value, kind, from) {
  if (value === null) return [];
  return [drawn("line", { x1: x(from), x2: x(run.steps), y1: y(value), y2: y(value), class: kind })];
}

const shown = (value) => (value === null ? "none" : words(value));

// What came of a run, in words: a chain that ran away leaves no number that could be believed.
function describe(run) {
  const exact = run.exact === null ? "" : `, exact ${words(run.exact)}`;
  if (run.diverged) {
    const chains = run.traces.length;
    const which = run.diverged === chains ? `All ${chains} chains` : `${run.diverged} of ${chains} chains`;
    const number = run.llc === null ? "there is no estimate" : `the estimate of ${words(run.llc)} means nothing`;
    return `${which} ran away: the step is too long for this nβ, and ${number}${exact}.`;
  }
  return `Estimate ${shown(run.llc)} ± ${shown(run.std_error)}${exact}. R-hat ${shown(run.rhat)}, `
    + `effective draws ${run.ess === null ? "none" : Math.round(run.ess)}, virial ratio ${shown(run.virial)}.`;
}

function show(view) {
  const { places, run } = selected(view);
  view.switches.forEach(({ name, slider, value }, i) => {
    slider.value = places[i];
    value.textContent = words(view.data[name][places[i]]);
    slider.setAttribute("aria-valuetext", value.textContent);
  });
  const width = clampTo(view.svg.parentNode.clientWidth, NARROWEST, WIDEST);
  view.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const scale = scales(run, width);
  view.svg.replaceChildren(
    ...axes(run, scale), ...chainLines(run, scale),
    ...level(run, scale, run.llc, "ml-estimate", run.burnin), ...level(run, scale, run.exact, "ml-exact", 0),
  );
  view.svg.setAttribute("aria-label", `Traces of ${run.traces.length} chains. ${describe(run)}`);
  view.status.textContent = describe(run);
  const warnings = run.warnings.length ? run.warnings : ["no warning"];
  view.warnings.replaceChildren(...warnings.map((text) => element("li", {}, text)));
}

function render({ model, el }) {
  const view = build(model, el);
  for (const { name, slider } of view.switches) {
    slider.addEventListener("input", () => set(view, { [name]: Number(slider.value) }));
  }
  const resized = new ResizeObserver(() => show(view));
  resized.observe(view.svg.parentNode);
  const unlisten = keepShown(model, SWITCHES.map(([name]) => [name, () => show(view)]));
  return () => {
    resized.disconnect();
    unlisten();
  };
}

export default { render };
