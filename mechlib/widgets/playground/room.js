// What the rooms of the playground share: their frame, and how they come by a model.

const MODELS = globalThis.mechlibModels ??= new Map();
const FROM_SERVER = "pages are to be opened from a server, such as “make book” starts";

function button(text, onClick, attributes = {}) {
  const node = element("button", { type: "button", class: "ml-button", ...attributes }, text);
  node.addEventListener("click", onClick);
  return node;
}

// A labelled field for text; `say` is called with it when it has rested for a moment.
function textField(label, text, rows, say) {
  const area = element("textarea", { class: "ml-text", rows, spellcheck: "false", autocapitalize: "off" });
  area.value = text;
  let waiting = 0;
  area.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => say(area.value), 250);
  });
  return { node: element("label", { class: "ml-field" }, element("span", {}, label), area), area };
}

// The frame of a room. A thing to try has a text and, where it can be set up, `traits` that do so.
function frame(view, name, { title, caption, tries }, ...parts) {
  const things = tries.map(({ text, traits }) => {
    const item = element("li", {}, text);
    if (traits) item.append(" ", button("Set it up", () => set(view, traits)));
    return item;
  });
  const summary = element("summary", {}, "Three things to try");
  const root = container(
    name,
    element("p", { class: "ml-title", role: "heading", "aria-level": 3 }, title),
    element("p", { class: "ml-caption" }, caption),
    element("details", { class: "ml-tries", open: "" }, summary, element("ol", {}, ...things)),
    ...parts,
  );
  root.classList.add("mechlib-room");
  return root;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)}\u00a0MB`;

async function fetched(base, name) {
  let answer;
  try {
    answer = await fetch(`${base}${name}.safetensors`);
  } catch {
    throw new Error(`${name} could not be read: ${FROM_SERVER}`);
  }
  if (!answer.ok) throw new Error(`${name} is not there: the server says ${answer.status}`);
  return answer.arrayBuffer();
}

// The weights that Python sends once it is told what is wanted.
function asked(model, name) {
  return new Promise((resolve) => {
    const look = () => {
      const weights = model.get("weights")[name];
      if (!weights) return false;
      model.off("change:weights", look);
      resolve(weights);
      return true;
    };
    if (look()) return;
    model.on("change:weights", look);
    model.set("wanted", name);
    model.save_changes();
  });
}

// A model by its name, made once for all rooms of a page; `make(shape, weights)` makes it.
function obtain(model, name, make) {
  const base = model.get("base");
  const key = `${base} ${name}`;
  if (!MODELS.has(key)) {
    const weights = base ? fetched(base, name) : asked(model, name);
    const made = weights.then((buffer) => make(model.get("models")[name].shape, buffer));
    MODELS.set(key, made);
    made.catch(() => MODELS.delete(key));
  }
  return MODELS.get(key);
}

// Says in `status` that a model is on its way, then calls `then(made)`; or says why it did not come.
async function whenLoaded(view, name, make, then) {
  const { model, status } = view;
  const waiting = setTimeout(() => {
    const from = model.get("base") ? "" : " from Python, where a kernel runs";
    status.textContent = `Loading ${name}, ${megabytes(model.get("models")[name].bytes)}${from} …`;
  }, 100);
  try {
    const made = await obtain(model, name, make);
    clearTimeout(waiting);
    then(made);
  } catch (error) {
    clearTimeout(waiting);
    status.textContent = error.message;
  }
}

// What a model says next, as chips; what would be shown as nothing is left out.
function guessChips(tokenizer, probabilities, k) {
  return best(probabilities, k).filter((id) => probabilities[id] >= 0.0005).map((id) => {
    const p = probabilities[id];
    const chip = element("span", { class: "ml-guess" });
    chip.style.setProperty("--share", `${100 * p}%`);
    chip.append(element("code", {}, tokenText(tokenizer, id)), ` ${percent(p)}`);
    return chip;
  });
}

// A choice among the language models of a room.
function modelChoice(view) {
  const select = element("select", { "aria-label": "Model" });
  const models = Object.entries(view.model.get("models"));
  for (const [name, { bytes }] of models) select.append(element("option", { value: name }, `${name}, ${megabytes(bytes)}`));
  select.addEventListener("change", () => set(view, { name: select.value }));
  return { node: element("label", {}, "Model ", select), select };
}
