"use strict";
const body = document.querySelector("#cases tbody");
const search = document.getElementById("search"), state = document.getElementById("state"), shown = document.getElementById("shown");

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    const wanted = state.value === "all" || (state.value === "failed" ? row.classList.contains("failed") : row.dataset.flags !== "0");
    row.hidden = !(wanted && words.every(word => text.includes(word)));
    count += !row.hidden;
  }
  shown.textContent = count + " of " + body.rows.length + " cases";
}

function sort(head) {
  const up = head.getAttribute("aria-sort") !== "ascending", column = head.cellIndex;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => row.cells[column]?.dataset.value ?? "";
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = head.dataset.kind === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true });
    return up ? order : -order;
  });
  body.append(...rows);
}

function enlarge(button) {
  const box = document.getElementById("enlarged"), image = box.querySelector("img"), small = button.querySelector("img");
  image.onerror = () => { image.onerror = null; if (small) image.src = small.src; };
  image.src = button.dataset.source;
  image.alt = button.dataset.title;
  box.querySelector("b").textContent = button.dataset.title;
  box.querySelector("a").href = button.dataset.source;
  box.showModal();
}

search.addEventListener("input", filter);
state.addEventListener("change", filter);
for (const button of document.querySelectorAll("button.sort")) button.addEventListener("click", () => sort(button.parentNode));
for (const button of document.querySelectorAll("button.picture")) button.addEventListener("click", () => enlarge(button));
document.getElementById("enlarged").addEventListener("click", event => event.currentTarget.close());
filter();
