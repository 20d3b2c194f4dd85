// Under a result of the search stands what its page says: the sentence with the word, not badges and set-up code.

{
  const ASIDE = "script, style, nav, form, summary, .headerlink, .mechlib-exercises, .mechlib-guesses-kept, .ml-title, a[href*='colab.research']";
  const CODE = ".cell_input, .highlight, .output";
  const BEFORE = 160;
  const LENGTH = 240;

  const plain = (node) => node.textContent.replaceAll(/\s+/g, " ").trim();

  // The text of a page or of a part of it, without what stands aside, and the same with its code.
  function texts(html, anchor) {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const node of page.querySelectorAll(ASIDE)) node.remove();
    const article = page.querySelector("article") ?? page.body;
    const part = (anchor && page.getElementById(anchor.slice(1))) || article;
    part.querySelector("h1, h2, h3, h4")?.remove();
    const whole = plain(part);
    for (const node of part.querySelectorAll(CODE)) node.remove();
    return [plain(part), whole];
  }

  // Where the sentence begins that holds a place of a text, or a word of it if the sentence is long.
  function beginning(text, place) {
    const before = text.slice(Math.max(place - BEFORE, 0), place);
    if (before.length === place && !/[.?!:] /.test(before)) return 0;
    const sentence = Math.max(...[". ", "? ", "! ", ": "].map((end) => before.lastIndexOf(end)));
    return place - before.length + (sentence >= 0 ? sentence + 2 : before.indexOf(" ") + 1);
  }

  function summary(html, words, anchor) {
    const found = texts(html, anchor).map((text) => {
      const lower = text.toLowerCase();
      const places = [...words].map((word) => lower.indexOf(word.toLowerCase())).filter((place) => place >= 0);
      return { text, place: places.length ? Math.min(...places) : -1 };
    });
    const { text, place } = found.find((each) => each.place >= 0) ?? { ...found[0], place: 0 };
    if (!text) return null;
    const start = beginning(text, place);
    const node = document.createElement("p");
    node.className = "context";
    node.textContent = `${start ? "… " : ""}${text.slice(start, start + LENGTH)}${start + LENGTH < text.length ? " …" : ""}`;
    return node;
  }

  document.addEventListener("DOMContentLoaded", () => {
    Search.makeSearchSummary = summary;
  });
}
