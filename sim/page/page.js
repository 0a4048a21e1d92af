"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = () => getComputedStyle(document.documentElement);
  const ink = () => style().getPropertyValue("--soft").trim();
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  const DETAIL = { gantt: "Time line", memory: "Memory", idle: "Idle time" };
  const drawn = new Set();
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));

  // Figures are gzipped: a page with every schedule would be ten times as large.
  const opened = new Map();
  async function figuresOf(index) {
    if (!opened.has(index)) {
      const packed = bytes(data.schedules[index].figures);
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      opened.set(index, JSON.parse(await new Response(stream).text()));
    }
    return opened.get(index);
  }

  // Labels of a time line: those in sight that fit their bars at this width and zoom.
  const LETTER = 6, LABEL_SIZE = 10, LEFT = 72, MARGIN = 110, SHEET = 690;
  const column = x => x.bdata === undefined ? x
    : new { f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array,
            u1: Uint8Array, u2: Uint16Array, u4: Uint32Array }[x.dtype](bytes(x.bdata).buffer);

  function fitting(element, bars, range) {
    const width = element._fullLayout?.width ?? element.clientWidth;
    const pixels = (width - MARGIN) / Math.abs(range[1] - range[0]);
    return bars.map(bar => bar.labels.map((label, i) =>
      bar.lengths[i] * pixels > label.length * LETTER && bar.starts[i] < range[1]
        && bar.starts[i] + bar.lengths[i] > range[0] ? label : ""));
  }

  let bars = [];
  function labelled(element, figure) {
    bars = figure.data.map(trace =>
      ({ labels: trace.text, starts: column(trace.base), lengths: column(trace.x) }));
    const text = fitting(element, bars, figure.layout.xaxis.range);
    delete figure.layout.uniformtext;
    return figure.data.map((trace, i) => ({ ...trace, text: text[i], constraintext: "none",
      insidetextfont: { ...trace.insidetextfont, size: LABEL_SIZE } }));
  }

  function relabel(element, change) {
    const widths = ["autosize", "width"];
    if (!Object.keys(change).some(key => key.startsWith("xaxis.") || widths.includes(key))) return;
    const text = fitting(element, bars, element.layout.xaxis.range);
    Plotly.restyle(element, { text }, text.map((_, i) => i));
  }

  // Names of points: those on the front first, no other where it would cover a name or a point.
  function declutter(element) {
    const boxes = selector => [...element.querySelectorAll(selector)]
      .map(part => [part, part.getBoundingClientRect()]);
    const taken = boxes(".scatterlayer .points path").map(([, box]) => box);
    for (const [text, box] of boxes(".scatterlayer .textpoint text")) {
      const covers = taken.some(other => Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1
        && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 1);
      text.style.visibility = covers ? "hidden" : "";
      if (!covers) taken.push(box);
    }
  }

  async function draw(id, original, words) {
    const element = document.getElementById(id);
    const figure = structuredClone(original);
    figure.layout.font.color = ink();
    figure.layout.autosize = true;
    figure.layout.xaxis.ticklabelstandoff = 4; // two zeros meet in the corner
    if (touch) figure.layout.dragmode = false;
    if (id in DETAIL) { // below each other, on one axis of time
      figure.layout.margin.l = LEFT;
      figure.layout.yaxis.automargin = false;
    }
    element.style.height = `${figure.layout.height}px`; // lest it be lost when the window changes
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", words);
    if (id === "gantt") figure.data = labelled(element, figure);
    await Plotly.react(element, figure.data, figure.layout, config);
    if (!drawn.has(id) && id === "gantt") element.on("plotly_relayout", c => relabel(element, c));
    if (!drawn.has(id) && id.startsWith("comparison")) {
      element.on("plotly_afterplot", () => declutter(element));
      declutter(element);
    }
    drawn.add(id);
  }

  const table = document.querySelector("table.sortable");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const buttons = [...document.querySelectorAll(".picker button")];
  let wanted = -1;

  async function choose(index) {
    wanted = index;
    const chosen = data.schedules[index];
    buttons.forEach(b => b.setAttribute("aria-pressed", String(Number(b.dataset.index) === index)));
    rows.forEach(r => r.classList.toggle("chosen", Number(r.dataset.index) === index));
    document.getElementById("cards").replaceChildren(...chosen.cards.map(([name, value, more]) => {
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
    document.getElementById("cut").textContent = chosen.cut;
    const figures = await figuresOf(index);
    if (wanted !== index) return; // another one was clicked meanwhile
    for (const [id, what] of Object.entries(DETAIL)) {
      await draw(id, figures[id], `${what} of ${chosen.name}`);
    }
    document.getElementById("schedule").dataset.shown = chosen.name;
  }

  function sortBy(header) {
    const column = header.cellIndex;
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const order = isNaN(x) || isNaN(y) ? String(x).localeCompare(String(y)) : x - y;
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }

  buttons.forEach(b => b.addEventListener("click", () => choose(Number(b.dataset.index))));
  rows.forEach(r => r.addEventListener("click", () => choose(Number(r.dataset.index))));
  if (table) for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button").addEventListener("click", () => sortBy(header));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const id of drawn) Plotly.relayout(id, { "font.color": ink() });
  });

  // On paper: as wide as a sheet, dark on light.
  addEventListener("beforeprint", () => {
    Plotly.restyle("gantt", { "marker.line.width": 0 }); // edges would leave nothing of thin bars
    for (const id of drawn) Plotly.relayout(id, { width: SHEET, "font.color": "#586270" });
  });
  addEventListener("afterprint", () => {
    for (const id of drawn) Plotly.relayout(id, { width: null, autosize: true, "font.color": ink() });
  });

  (async () => {
    for (const [id, figure] of Object.entries(data.comparison)) {
      const heading = document.getElementById(id).parentElement.querySelector("h3");
      await draw(id, figure, `${heading.textContent}; the same numbers are in the table`);
      document.getElementById(id).on("plotly_click", event => {
        const name = event.points[0].customdata;
        const index = data.schedules.findIndex(schedule => schedule.name === name);
        if (index >= 0) choose(index);
      });
    }
    if (typeof DecompressionStream === "undefined") {
      document.getElementById("cut").textContent =
        "This browser is too old to open the time lines (it lacks DecompressionStream).";
      return;
    }
    await choose(data.first);
  })();
})();
