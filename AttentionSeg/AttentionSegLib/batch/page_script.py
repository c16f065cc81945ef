"""What the page of a batch does and how it looks."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2430; background: #fff; max-width: 1280px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.2em; margin: 2em 0 .4em; }
.research { font-weight: 600; color: #8a3b00; } .note { color: #566070; max-width: 62em; } small { color: #566070; font-weight: 400; }
.counts b { font-size: 1.5em; margin: 0 .15em 0 .6em; } .counts b:first-child { margin-left: 0; }
table { border-collapse: collapse; } th, td { padding: .35em .9em .35em 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e3e7ec; }
.wide { overflow-x: auto; } code { font-size: .88em; word-break: break-all; }
#cases thead th { position: sticky; top: 0; background: #fff; }
#cases td img { width: 204px; height: auto; }
#cases td.number { text-align: right; font-variant-numeric: tabular-nums; }
#cases button.sort { font: inherit; font-weight: 600; background: none; border: 0; padding: 0; cursor: pointer; color: inherit; }
th[aria-sort=ascending] button::after { content: " \\2191"; } th[aria-sort=descending] button::after { content: " \\2193"; }
tr.failed td { background: #fdeeee; } tr:target td { background: #fff3c4; } .error { color: #a01818; max-width: 62em; }
.flag { display: inline-block; background: #fff3c4; border-radius: 3px; padding: 0 .4em; margin: 0 .3em .2em 0; font-size: .88em; }
.name { overflow-wrap: anywhere; min-width: 12em; }
.tools { display: flex; gap: 1em; align-items: center; flex-wrap: wrap; margin: .8em 0; }
input[type=search], select { font: inherit; padding: .25em .5em; }
button.picture { padding: 0; border: 0; background: #14171c; cursor: zoom-in; line-height: 0; min-width: 60px; min-height: 24px; color: #f1f3f5; }
button.picture img { border-radius: 3px; } .queue { display: grid; grid-template-columns: repeat(auto-fill, minmax(306px, 1fr)); gap: 1em; }
.queue figure { margin: 0; } .queue figcaption { overflow-wrap: anywhere; }
dialog { max-width: 96vw; max-height: 94vh; border: 0; padding: 0; background: #14171c; color: #f1f3f5; }
dialog img { display: block; max-width: 100%; }
dialog p { margin: .5em 1em; } dialog::backdrop { background: #000b; } dialog a { color: #9cc4ff; }
svg { display: block; width: 100%; max-width: 920px; }
@media print { .tools { display: none; } tr, figure, svg { break-inside: avoid; } }
"""

SCRIPT = """
"use strict";
const body = document.querySelector("#cases tbody");
const search = document.getElementById("search"), state = document.getElementById("state"), shown = document.getElementById("shown");

function filter() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
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
"""
