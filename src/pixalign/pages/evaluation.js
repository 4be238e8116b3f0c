for (const table of document.querySelectorAll("table.classes")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  table.tHead.addEventListener("click", event => {
    const head = event.target.closest("button")?.parentElement;
    if (!head) return;
    const rising = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "descending"
      : head.dataset.first === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = head.dataset.key, sign = rising ? 1 : -1;
    const value = row => row.dataset[key] === "" ? null : Number(row.dataset[key]);
    body.append(...[...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
    }));
  });
}
const heat = document.querySelector("table.heat"), readout = document.querySelector(".readout");
if (heat) {
  const read = event => {
    const cell = event.target.closest("td");
    if (!cell) return;
    heat.querySelector(".at")?.classList.remove("at");
    cell.classList.add("at");
    const truth = cell.parentElement.cells[0].title, called = heat.tHead.rows[0].cells[cell.cellIndex].title;
    const pixels = Number(cell.dataset.n), all = Number(cell.parentElement.dataset.n);
    const share = (100 * pixels / all).toFixed(2);
    const numbers = [pixels, all].map(n => n.toLocaleString("en")).join(" of ");
    readout.textContent = all === 0 ? `${truth} has no pixel in the labels.`
      : `${share} % of ${truth} is called ${called}: ${numbers} pixels.`;
  };
  heat.addEventListener("pointerover", read);
  heat.addEventListener("click", read);
}
document.addEventListener("keydown", event => {
  if (event.key === "Escape") for (const box of document.querySelectorAll(".zoom input:checked")) box.checked = false;
});
