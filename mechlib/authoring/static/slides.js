// Slides: one at a time, by keys, by the buttons and by the address, set smaller where it is long; all of them, one a
// page, on paper.

{
  const slides = [...document.querySelectorAll("main > section")];
  const place = document.querySelector("nav output");
  const FORWARD = new Set(["ArrowRight", "ArrowDown", "PageDown", " "]);
  const BACK = new Set(["ArrowLeft", "ArrowUp", "PageUp"]);
  const SMALLEST = 60; // percent of the usual size
  let current = 0;

  function fit(slide) {
    for (let size = 100; size >= SMALLEST; size -= 5) {
      slide.style.fontSize = `${size}%`;
      if (document.documentElement.scrollHeight <= innerHeight) return;
    }
  }

  function show(wanted) {
    current = Math.min(Math.max(wanted, 0), slides.length - 1);
    slides.forEach((slide, i) => slide.classList.toggle("shown", i === current));
    place.textContent = `${current + 1} / ${slides.length}`;
    if (location.hash !== `#${current + 1}`) history.replaceState(null, "", `#${current + 1}`);
    fit(slides[current]);
    scrollTo(0, 0);
  }

  document.getElementById("before").addEventListener("click", () => show(current - 1));
  document.getElementById("after").addEventListener("click", () => show(current + 1));
  addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0));
  addEventListener("keydown", (event) => {
    const inside = event.target.closest?.("button, summary, a, input");
    if (event.ctrlKey || event.altKey || event.metaKey || (event.key === " " && inside)) return;
    const keys = { Home: 0, End: slides.length - 1 };
    if (event.key in keys) show(keys[event.key]);
    else if (FORWARD.has(event.key)) show(current + 1);
    else if (BACK.has(event.key)) show(current - 1);
    else return;
    event.preventDefault();
  });
  show(Number(location.hash.slice(1)) - 1 || 0);
}
