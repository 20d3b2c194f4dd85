// On a narrow screen the panels of a figure stand below each other, each as wide as the page. A figure of one panel that
// is too wide to be read there can be moved sideways.

{
  const NARROW = matchMedia("(max-width: 600px)");
  const WIDE = 640; // pixels, from which on a figure loses too much
  const INLINE = "data:image/svg+xml;base64,";
  const FRAMING = "[id^='patch_'], [id^='matplotlib.axis'], [id^='text_'], [id^='legend_']";

  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

  function union(boxes) {
    const [left, top] = ["left", "top"].map((side) => Math.min(...boxes.map((box) => box[side])));
    const [right, bottom] = ["right", "bottom"].map((side) => Math.max(...boxes.map((box) => box[side])));
    return { left, top, right, bottom };
  }

  function boxOf(node) {
    const { x, y, width, height } = node.getBBox();
    return { left: x - 3, top: y - 3, right: x + width + 3, bottom: y + height + 3 };
  }

  // The room that a part of the drawing takes; of axes what frames them, since curves may be cut off.
  function roomOf(group) {
    const framing = group.id.startsWith("axes_") ? [...group.querySelectorAll(`:scope > :is(${FRAMING})`)] : [];
    return union((framing.length ? framing : [group]).map(boxOf));
  }

  // Boxes that overlap are one.
  function merged(boxes) {
    const apart = [];
    for (let box of boxes) {
      for (let at = apart.findIndex((other) => overlap(box, other)); at >= 0; at = apart.findIndex((other) => overlap(box, other))) {
        box = union([box, ...apart.splice(at, 1)]);
      }
      apart.push(box);
    }
    return apart;
  }

  // From above to below, and in a row from left to right.
  function inOrder(boxes) {
    const rows = [];
    for (const box of boxes.toSorted((a, b) => a.top - b.top)) {
      const row = rows.find(([first]) => box.top < (first.top + first.bottom) / 2);
      if (row) row.push(box);
      else rows.push([box]);
    }
    return rows.flatMap((row) => row.toSorted((a, b) => a.left - b.left));
  }

  // The panels of a drawing, if some stand beside each other.
  function panelsOf(svg) {
    const place = document.createElement("div");
    place.style.cssText = "position: absolute; visibility: hidden; width: 0; height: 0; overflow: hidden";
    place.append(svg);
    document.body.append(place);
    const groups = [...svg.querySelectorAll("#figure_1 > g")].filter(({ id }) => !id.startsWith("patch_"));
    const boxes = merged(groups.map(roomOf).filter(({ right, left }) => right - left > 6));
    place.remove();
    const beside = boxes.some((a) => boxes.some((b) => a.right <= b.left && a.top < b.bottom && b.top < a.bottom));
    return beside ? inOrder(boxes) : [];
  }

  function cut(svg, { left, top, right, bottom }) {
    svg.setAttribute("viewBox", `${left} ${top} ${right - left} ${bottom - top}`);
    svg.setAttribute("width", right - left);
    svg.setAttribute("height", bottom - top);
    return `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
  }

  function stack(image) {
    const text = new TextDecoder().decode(bytes(image.src.slice(INLINE.length)));
    const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
    const boxes = panelsOf(svg);
    const figure = image.closest("figure");
    if (!boxes.length) {
      figure.classList.add("ml-movable");
      image.parentNode.tabIndex = 0;
      return;
    }
    const panels = boxes.map((box, place) => {
      const panel = document.createElement("img");
      panel.src = cut(svg, box);
      panel.alt = place ? `Part ${place + 1} of the same figure.` : image.alt;
      return panel;
    });
    const stacked = document.createElement("div");
    stacked.className = "ml-stacked";
    stacked.append(...panels);
    figure.classList.add("ml-in-panels");
    image.after(stacked);
  }

  function arrange() {
    if (!NARROW.matches) return;
    for (const image of document.querySelectorAll("figure.mechlib-figure:not(.ml-movable, .ml-in-panels) > img")) {
      if (image.src.startsWith(INLINE) && Number.parseFloat(image.style.maxWidth) > WIDE) stack(image);
    }
  }

  document.addEventListener("DOMContentLoaded", arrange);
  NARROW.addEventListener("change", arrange);
}
