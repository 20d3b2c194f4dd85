// The page on a class: its tables sort by a click on a heading and show the rows of one section, or with some words.

{
  const number = (cell) => (cell.dataset.by === undefined ? NaN : Number(cell.dataset.by));

  // Numbers by size, text by the alphabet.
  function compare(a, b) {
    const [x, y] = [number(a), number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.textContent.localeCompare(b.textContent) : x - y;
  }

  function sort(table, column, heading) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column]));
    body.append(...(down ? rows.toReversed() : rows));
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      button.addEventListener("click", () => sort(table, column, heading));
      heading.replaceChildren(button);
    });
  }

  const section = document.getElementById("section");
  const words = document.getElementById("words");

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/);
    for (const row of document.querySelectorAll("tr[data-section]")) {
      const there = row.dataset.section.split("\n").includes(section?.value ?? "everybody");
      const text = row.textContent.toLowerCase();
      row.hidden = !there || !wanted.every((word) => text.includes(word));
    }
  }

  document.querySelectorAll("table").forEach(sortable);
  document.querySelector(".controls").hidden = false;
  section?.addEventListener("change", filter);
  words.addEventListener("input", filter);
  filter();

  // What is folded is printed too, and folded again afterwards.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((each) => (each.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((each) => (each.open = false)));
}
