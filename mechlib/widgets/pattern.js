// An attention pattern: for each token that looks, the shares in per cent that go to it and to the tokens before it.

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
function buildPicture() {
  const canvas = element("canvas", { class: "ml-canvas", role: "img" });
  const frame = element("div", { class: "ml-frame" });
  return { node: element("div", { class: "ml-picture" }, canvas, frame), canvas, frame };
}

function showPicture({ canvas, frame }, rows, position, label) {
  drawPattern(canvas, rows);
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
