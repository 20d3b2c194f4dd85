// The ledger of claims: only the rows that a reader has chosen are shown. The address keeps the choice.

{
  const FIELDS = ["verdict", "source", "chapter"];

  function start() {
    const form = document.querySelector(".mechlib-choice");
    const table = document.querySelector("table.mechlib-ledger");
    if (!form || !table) return;
    const rows = [...table.querySelectorAll("tbody tr")];
    const fields = FIELDS.map((name) => form.elements[name]);
    const asked = new URLSearchParams(location.search);

    function show() {
      const wanted = fields.filter(({ value }) => value).map(({ name, value }) => `${name}-${value}`);
      let chosen = false;
      let shown = 0;
      for (const row of rows) {
        // What the same claim is on another system stands with its claim.
        if (!row.classList.contains("further")) {
          chosen = wanted.every((name) => row.classList.contains(name));
          shown += chosen ? 1 : 0;
        }
        row.hidden = !chosen;
      }
      const claims = rows.filter((row) => !row.classList.contains("further")).length;
      form.querySelector("output").textContent = shown === claims ? `${claims} claims` : `${shown} of ${claims} claims`;
    }

    function keep() {
      const chosen = fields.filter(({ value }) => value).map(({ name, value }) => [name, value]);
      const query = new URLSearchParams(chosen).toString();
      history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
      show();
    }

    for (const field of fields) {
      const value = asked.get(field.name) ?? "";
      if ([...field.options].some((option) => option.value === value)) field.value = value;
    }
    form.addEventListener("change", keep);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(keep));
    form.hidden = false;
    show();
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
}
