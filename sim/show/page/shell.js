"use strict";
// What every page does alike: figures in the colours of the page, tables that sort, a sheet of paper.
const shell = (() => {
  const SHEET = 690, PRINTED = "#586270", CORNER = 3; // a diamond leaves its corners free
  const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--soft").trim();
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  const data = JSON.parse(document.getElementById("data").textContent);
  const drawn = new Set();

  // Names of points: the first ones first, no other where it would cover a word or a point, or be
  // cut off at the edge.
  function declutter(element) {
    const boxes = (selector, inset) => [...element.querySelectorAll(selector)].map(part => {
      const box = part.getBoundingClientRect();
      return { part, left: box.left + inset, right: box.right - inset,
               top: box.top + inset, bottom: box.bottom - inset };
    });
    const meet = (one, other) =>
      Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
      && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1;
    const taken = [...boxes(".scatterlayer .points path", CORNER), ...boxes(".annotation text", 0)];
    const [plot] = boxes(".bglayer rect, .cartesianlayer .bg", 0);
    for (const name of boxes(".scatterlayer .textpoint text", 0)) {
      const cut = name.left < plot.left || name.right > plot.right;
      const hidden = cut || taken.some(other => meet(name, other));
      name.part.style.visibility = hidden ? "hidden" : "";
      if (!hidden) taken.push(name);
    }
  }

  // Draws a figure, after `prepare(element, figure)`; true if nothing was there before.
  async function draw(id, original, words, prepare) {
    const element = document.getElementById(id);
    const figure = structuredClone(original);
    figure.layout.font.color = ink();
    figure.layout.autosize = true;
    for (const [name, axis] of Object.entries(figure.layout)) {
      if (name.startsWith("xaxis")) axis.ticklabelstandoff = 4; // two zeros meet in the corner
    }
    if (touch) figure.layout.dragmode = false;
    element.style.height = `${figure.layout.height}px`; // lest it be lost when the window changes
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", words);
    prepare?.(element, figure);
    await Plotly.react(element, figure.data, figure.layout, config);
    const first = !drawn.has(id);
    drawn.add(id);
    if (first) element.on("plotly_afterplot", () => declutter(element));
    declutter(element);
    return first;
  }

  function sortBy(table, header) {
    const column = header.cellIndex;
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const order = isNaN(x) || isNaN(y) ? String(x).localeCompare(String(y)) : x - y;
      return up ? order : -order;
    }));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      header.querySelector("button").addEventListener("click", () => sortBy(table, header));
    }
  }
  // [name, value, more] of facts, beside each other.
  function showCards(cards) {
    document.getElementById("cards").replaceChildren(...cards.map(([name, value, more]) => {
      const card = document.createElement("div");
      const big = document.createElement("b");
      big.textContent = value;
      const label = document.createElement("span");
      label.textContent = name;
      const extra = document.createElement("span");
      extra.textContent = more;
      card.append(label, big, extra);
      return card;
    }));
  }
  const everywhere = change => { for (const id of drawn) Plotly.relayout(id, change); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => everywhere({ "font.color": ink() }));

  // On paper: as wide as a sheet, dark on light.
  addEventListener("beforeprint", () => everywhere({ width: SHEET, "font.color": PRINTED }));
  addEventListener("afterprint",
    () => everywhere({ width: null, autosize: true, "font.color": ink() }));
  return { data, draw, showCards };
})();
