"use strict";
// Time lines on a page: figures are opened when they are wanted, and labels shown where they fit.
const timelines = (() => {
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));

  // Figures are gzipped: a page with every schedule would be ten times as large.
  const opened = new Map();
  async function figuresOf(index, packed) {
    if (!opened.has(index)) {
      const stream = new Blob([bytes(packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
      opened.set(index, JSON.parse(await new Response(stream).text()));
    }
    return opened.get(index);
  }

  // Labels of a time line: those in sight that fit their bars at this width and zoom.
  const LETTER = 6, LABEL_SIZE = 10, LEFT = 72, MARGIN = 110;
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

  // Below each other, on one axis of time.
  function aligned(element, figure) {
    figure.layout.margin.l = LEFT;
    figure.layout.yaxis.automargin = false;
    if (element.id === "gantt") figure.data = labelled(element, figure);
  }

  const tooOld = typeof DecompressionStream === "undefined"
    && "This browser is too old to open the time lines (it lacks DecompressionStream).";
  addEventListener("beforeprint", () => { // edges would leave nothing of thin bars
    if (document.getElementById("gantt").data) Plotly.restyle("gantt", { "marker.line.width": 0 });
  });

  // Draws figures by the id of their place; what is said of them, by id, is `words`.
  async function drawAll(figures, words, name) {
    for (const [id, what] of Object.entries(words)) {
      const first = await shell.draw(id, figures[id], `${what} of ${name}`, aligned);
      if (first && id === "gantt") {
        document.getElementById(id).on("plotly_relayout",
          change => relabel(document.getElementById(id), change));
      }
    }
  }

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
  return { figuresOf, drawAll, showCards, tooOld };
})();
