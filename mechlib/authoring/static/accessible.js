// Names in the theme's parts of a page, for those who hear it: a button is named by its words, and what unfolds has a name.

document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".search-button__button")) button.removeAttribute("aria-label");
  for (const toggle of document.querySelectorAll("summary > .toctree-toggle")) {
    toggle.parentNode.setAttribute("aria-label", "Pages of this part");
  }
});
