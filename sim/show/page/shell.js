"use strict";
// What every page does alike: figures that fit, parts that change, tables that sort.
const shell = (() => {
  const SHEET = 690, CORNER = 3; // pixels of a printed page; a diamond leaves its corners free
  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  const data = JSON.parse(document.getElementById("data").textContent);
  const drawn = new Set();

  // Names of points: the first ones first, no other where it would cover a word or a point, or be
  // cut off at the edge.
  function declutter(element) {
    const boxes = (selector, inset = 0) => [...element.querySelectorAll(selector)].map(part => {
      const { left, right, top, bottom } = part.getBoundingClientRect();
      return { part, left: left + inset, right: right - inset, top: top + inset, bottom: bottom - inset };
    });
    const meet = (one, other) =>
      Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
      && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1;
    const taken = [...boxes(".scatterlayer .points path", CORNER), ...boxes(".annotation text")];
    const [plot] = boxes(".bglayer rect, .cartesianlayer .bg");
    for (const name of boxes(".scatterlayer .textpoint text")) {
      const cut = name.left < plot.left || name.right > plot.right;
      const hidden = cut || taken.some(other => meet(name, other));
      name.part.style.visibility = hidden ? "hidden" : "";
      if (!hidden) taken.push(name);
    }
  }

  async function draw(id, figure, words) {
    const element = document.getElementById(id), { data, layout } = structuredClone(figure);
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    element.style.height = `${layout.height}px`; // lest it be lost when the window changes
    Object.assign(element, { role: "img", ariaLabel: words });
    await Plotly.react(element, data, layout, config);
    if (drawn.has(element)) return;
    drawn.add(element);
    element.on("plotly_afterplot", () => declutter(element));
    declutter(element);
  }
  const everywhere = change => drawn.forEach(element => Plotly.relayout(element, change));
  addEventListener("beforeprint", () => everywhere({ width: SHEET }));
  addEventListener("afterprint", () => everywhere({ width: null, autosize: true }));

  function fill(parts) { // HTML, by the id of its place
    for (const [id, html] of Object.entries(parts)) document.getElementById(id).innerHTML = html;
  }

  // A page with every schedule as it is would be ten times as large.
  function unzipped(text) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function sortBy(table, header) {
    const up = header.ariaSort !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
    header.ariaSort = up ? "ascending" : "descending";
    const key = ({ cells }) => cells[header.cellIndex].dataset.value ?? cells[header.cellIndex].innerText;
    const [body] = table.tBodies;
    body.append(...[...body.rows].sort((one, other) => {
      const [x, y] = up ? [key(one), key(other)] : [key(other), key(one)];
      return isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    }));
  }
  for (const button of document.querySelectorAll("table.sortable th button")) {
    button.addEventListener("click", () => sortBy(button.closest("table"), button.parentElement));
  }
  return { data, draw, fill, unzipped };
})();
