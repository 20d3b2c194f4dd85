// An attention pattern: for each token that looks, the shares in per cent that go to it and to the tokens before it.

const LINE_OF_TEXT = 14; // pixels
const SMALLEST = 200; // pixels across, of a picture with names

const headName = (layer, head) => `${layer}.${head}`;

// As a picture: one row of pixels for each token that looks, one column for each token looked at.
function drawPattern(canvas, rows) {
  const n = rows.length;
  canvas.width = canvas.height = n;
  const context = canvas.getContext("2d");
  const image = context.createImageData(n, n);
  rows.forEach((row, from) => {
    for (let to = 0; to < n; to += 1) {
      const pixel = to <= from ? [...colour(row[to] / 100), 255] : [225, 225, 225, 255];
      image.data.set(pixel, 4 * (from * n + to));
    }
  });
  context.putImageData(image, 0, 0);
}

// The `n` places with the largest shares, largest first; places without any are left out.
function strongest(row, n) {
  const places = row.map((share, place) => [share, place]).filter(([share]) => share > 0);
  return places.sort((a, b) => b[0] - a[0]).slice(0, n);
}

// A picture of the selected head: moving over it selects the token that looks, and a frame marks its row.
function buildPicture(texts) {
  const canvas = element("canvas", { class: "ml-canvas", role: "img" });
  const frame = element("div", { class: "ml-frame" });
  const node = element("div", {
    class: "ml-picture", role: "slider", tabindex: "0", "aria-label": "Token that looks: row of the pattern",
    "aria-valuemin": 0, "aria-valuemax": texts.length - 1,
  }, canvas, frame);
  const [rows, columns] = ["ml-beside", "ml-below"].map((side) => element("div", { class: side, "aria-hidden": "true" }));
  const named = element(
    "div", { class: "ml-named" }, element("span", { class: "ml-axis" }, "looks"), rows, node, columns,
    element("span", { class: "ml-axis ml-across" }, "is looked at"),
  );
  return { node, named, canvas, frame, rows, columns, texts };
}

// Names along a side: the one that matters, and of the others as many as have room for a line of text.
function showNames(side, texts, shown, { from, room }) {
  const every = Math.ceil((texts.length * LINE_OF_TEXT) / room);
  const names = texts.map((text, place) => {
    const matters = shown.includes(place);
    const free = place % every === 0 && !shown.some((other) => Math.abs(other - place) < every);
    if (!matters && !free) return null;
    const name = element("span", { class: matters ? "ml-place ml-matters" : "ml-place" }, text);
    name.style[from] = `${(100 * (place + 0.5)) / texts.length}%`;
    return name;
  });
  side.replaceChildren(...names.filter((name) => name));
}

function showPicture({ node, canvas, frame, rows: beside, columns, texts }, rows, position, label) {
  drawPattern(canvas, rows);
  const most = rows[position].indexOf(Math.max(...rows[position]));
  showNames(beside, texts, [position], { from: "top", room: SMALLEST });
  showNames(columns, texts, [most], { from: "left", room: SMALLEST });
  node.setAttribute("aria-valuenow", position);
  node.setAttribute("aria-valuetext", `${texts[position]} looks most at ${texts[most]}`);
  canvas.setAttribute("aria-label", label);
  frame.style.top = `${(100 * position) / rows.length}%`;
  frame.style.height = `${100 / rows.length}%`;
}

// The row of a picture under the pointer.
function rowAt({ canvas }, event, n) {
  const box = canvas.getBoundingClientRect();
  return clamp(Math.floor(((event.clientY - box.top) / box.height) * n), n - 1);
}

// The passage, each token as dark as the share of attention that it gets from the selected one.
function showShares(passage, row, position) {
  passage.tokens.forEach((token, place) => {
    const share = place <= position ? row[place] / 100 : 0;
    token.style.background = share > 0 ? shade(share) : "";
    token.style.color = share > 0.5 ? "#ffffff" : "";
    token.classList.toggle("ml-current", place === position);
  });
  passage.node.setAttribute("aria-valuenow", position);
  passage.node.setAttribute("aria-valuetext", passage.tokens[position].textContent);
}

// The strongest shares of a row as chips: token, how far back, share.
function shareChips(texts, row, position, n) {
  return strongest(row, n).map(([share, place]) => {
    const chip = element("span", { class: "ml-guess" });
    chip.style.setProperty("--share", `${share}%`);
    const back = position === place ? "itself" : `${position - place} back`;
    chip.append(element("code", {}, texts[place]), `, ${back}: ${share}\u00a0%`);
    return chip;
  });
}
