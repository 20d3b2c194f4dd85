// Shows the widgets of a page from what a notebook wrote into it: of each the traits, among them its own script and
// style (ipywidgets, "Embedding Jupyter Widgets"; anywidget, "The anywidget front-end module").

const KIND = "application/vnd.jupyter.widget";
const MODULES = new Map();

// What the notebook wrote of its widgets, by their ids.
function written() {
  const states = [...document.querySelectorAll(`script[type="${KIND}-state+json"]`)];
  return Object.assign({}, ...states.map((node) => JSON.parse(node.textContent).state));
}

// A script as a module; widgets with the same text share it.
function imported(text) {
  if (!MODULES.has(text)) MODULES.set(text, import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))));
  return MODULES.get(text);
}

async function furnish(place, widget) {
  const node = document.createElement("div");
  node.className = "widget-subarea";
  place.before(node);
  if (widget?.model_module !== "anywidget") {
    node.textContent = "This part of the page needs a notebook.";
    return;
  }
  const { _esm: script, _css: style, ...traits } = widget.state;
  const sheet = document.createElement("style");
  sheet.textContent = style;
  node.before(sheet);
  const { default: view } = await imported(script);
  view.render({ model: kept(traits), el: node });
}

const widgets = written();
for (const place of document.querySelectorAll(`script[type="${KIND}-view+json"]`)) {
  furnish(place, widgets[JSON.parse(place.textContent).model_id]);
}
