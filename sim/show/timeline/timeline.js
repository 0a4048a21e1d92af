"use strict";
// Time lines with memory and idle time below them, on canvases that share one axis of time.
// `Timeline(host).show(lines)` draws what `packed.py` makes; again for another setting.
const Timeline = (() => {
  const { LEFT, RIGHT, AXIS, FONT, said, make, onCanvas } = drawing;
  const { passes, wires, inSight, rowHeight } = passCharts, { memory, idleTime, legend } = belowPasses;
  const PERFETTO = "https://ui.perfetto.dev";

  return function Timeline(host) {
    let lines = [], charts = [], links = false, view = { name: "all" }, hit = null, drag = null;
    const bar = make("div", { className: "tl-bar", role: "group", ariaLabel: "time line" });
    const pictures = make("div", {}), tip = make("div", { className: "tl-tip", role: "status" });
    const rows = make("tbody", {});
    const table = make("details", { className: "tl-table" }, make("summary", {}, "The passes in sight as a table"),
      make("div", { className: "scroll", tabIndex: 0 }, make("table", {}, make("thead", {}, make("tr", {},
        ...["row", "pass", "from", "to"].map(head => make("th", { scope: "col", textContent: head })))), rows)));
    host.classList.add("tl");
    host.replaceChildren(bar, pictures, table, tip);
    const canvases = () => [...pictures.querySelectorAll("canvas")];
    const whole = () => [Math.min(...lines.map(l => l.whole[0])), Math.max(...lines.map(l => l.whole[1]))];
    const range = () => view.range ?? lines[0].phases[view.name] ?? whole();
    const ink = () => getComputedStyle(host).color;

    function drawOne(canvas, chart) {
      const width = pictures.clientWidth, ratio = devicePixelRatio || 1, ctx = canvas.getContext("2d");
      if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx.clearRect(0, 0, width, chart.height);
      ctx.font = FONT;
      chart.draw(onCanvas(ctx), { width, top: 0, range: range(), ink: ink(),
        digit: ctx.measureText("0").width, hit: hit?.chart === chart && hit.i >= 0 ? hit : null });
      if (drag?.chart === chart) onCanvas(ctx).rect(Math.min(drag.from, drag.to), 0,
        Math.abs(drag.to - drag.from), chart.height - AXIS, ink(), 0.15);
    }
    let waiting = false;
    function draw(now) {
      if (!lines.length || !pictures.clientWidth) return;
      if (now === true) {
        canvases().forEach((canvas, i) => drawOne(canvas, charts[i]));
        host.dataset.range = range().join(" ");
        bar.querySelectorAll("[aria-pressed]").forEach(b => {
          b.ariaPressed = String(b.value === "links" ? links : !view.range && b.value === view.name);
        });
        if (table.open) fillTable();
      } else if (!waiting) {
        waiting = true;
        requestAnimationFrame(() => { waiting = false; draw(true); });
      }
    }
    const look = next => { view = next; draw(); };
    const all = () => look({ name: "all" });
    const leave = () => { hit = drag = null; tell(null); draw(); };
    function zoom(factor, shift = 0) {
      const [from, to] = range(), [low, high] = whole(), least = (high - low) / 1e5;
      const half = Math.min(Math.max((to - from) * factor, least), high - low) / 2;
      const middle = Math.min(Math.max((from + to) / 2 + shift * (to - from), low + half), high - half);
      look(half * 2 >= (high - low) * 0.9999 ? { name: "all" } : { range: [middle - half, middle + half] });
    }

    function fillTable() {
      const found = lines.flatMap(line => inSight(line.bars, range()).map(i => [line.rows[line.bars.row[i]],
        barWords.name(line, i), said(line.bars.start[i]), said(line.bars.start[i] + line.bars.length[i])]));
      if (found.length > 500) found.splice(500, Infinity, ["...", "zoom in to see the others", "", ""]);
      rows.replaceChildren(...found.map(cells => make("tr", {}, ...cells.map(c => make("td", { textContent: c })))));
    }
    function tell(found, x, y) {
      tip.replaceChildren(...(found ? found.words.map(line => make("div", { textContent: line })) : []));
      tip.style.display = found ? "block" : "none";
      if (!found) return;
      const box = host.getBoundingClientRect();
      tip.style.left = `${Math.max(0, Math.min(x - box.left + 14, box.width - tip.offsetWidth))}px`;
      tip.style.top = `${y - box.top + 16}px`;
    }
    const timeAt = px => {
      const [from, to] = range();
      return from + (px - LEFT) / (pictures.clientWidth - LEFT - RIGHT) * (to - from);
    };
    const pixelOf = time => {
      const [from, to] = range();
      return LEFT + (time - from) / (to - from) * (pictures.clientWidth - LEFT - RIGHT);
    };
    function over(event, chart) {
      const { offsetX: x, offsetY: y } = event;
      const found = x < LEFT || y > chart.height - AXIS ? null : chart.told(timeAt(x), chart.rowAt?.(y), y, range());
      if (hit?.i !== found?.i || hit?.chart !== chart) { hit = found && { ...found, chart }; draw(); }
      tell(found, event.clientX, event.clientY);
    }
    // Arrows go from pass to pass, and to the rows above and below; with shift they move the view.
    function keys(event, chart) {
      const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key], down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (event.key === "+" || event.key === "=") zoom(0.5);
      else if (event.key === "-") zoom(2);
      else if (event.key === "0" || event.key === "Escape") all();
      else if (along && event.shiftKey) zoom(1, along * 0.25);
      else if ((along || down) && chart.find) step(event.target.getBoundingClientRect(), chart, along, down);
      else return;
      event.preventDefault();
    }
    function step(box, chart, along, down) {
      const { bars } = chart.line, at = hit?.chart === chart ? hit.i ?? -1 : -1;
      const next = at < 0 ? 0 : along ? at + along : bars.row.findIndex((row, i) =>
        row === bars.row[at] + down && bars.start[i] + bars.length[i] > bars.start[at]);
      if (bars.row[next] === undefined || (along && at >= 0 && bars.row[next] !== bars.row[at])) return;
      hit = { i: next, chart, words: barWords.told(chart.line, next) };
      const [from, to] = range(), middle = bars.start[next] + bars.length[next] / 2;
      if (middle < from || middle > to) zoom(1, (middle - (from + to) / 2) / (to - from));
      tell(hit, box.left + pixelOf(middle), box.top + (bars.row[next] + 1) * rowHeight(chart.line.rows.length));
      draw();
    }
    const handlers = chart => ({
      onpointerdown(event) {
        const { offsetX: x, pointerType, button } = event;
        if (pointerType === "mouse" && button === 0) drag = { chart, from: x, to: x };
      },
      onpointermove(event) {
        if (!drag) return over(event, chart);
        drag.to = event.offsetX;
        draw();
      },
      onpointerup(event) {
        const { from, to } = drag ?? { from: 0, to: 0 }, [low, high] = range();
        drag = null;
        if (Math.abs(to - from) <= 4) return over(event, chart);
        const ends = [from, to].map(px => Math.min(Math.max(timeAt(px), low), high));
        look({ range: ends.sort((one, other) => one - other) });
      },
      onpointerleave: leave,
      onblur: leave,
      ondblclick: all,
      onkeydown: event => keys(event, chart),
      onwheel(event) {
        if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8);
        else if (event.deltaX && view.range) zoom(1, event.deltaX / 900);
        else return;
        event.preventDefault();
      },
    });

    const asShown = () => ({ charts, range: range(), width: pictures.clientWidth, title: lines[0].title });
    function buttons() {
      const button = (words, title, onclick, more) =>
        make("button", { type: "button", textContent: words, title, value: words, onclick, ...more });
      const pressed = { ariaPressed: "false" };
      const phase = name => (lines[0].phases[name]
        ? button(name, `show the ${name} alone`, () => look({ name }), pressed)
        : button(name, `this schedule has no ${name}`, null, { disabled: true }));
      const perfetto = make("a", { href: PERFETTO, target: "_blank", rel: "noopener", textContent: "Perfetto",
        title: "opens ui.perfetto.dev, where the downloaded trace can be dropped",
        onclick: () => timelineFiles.trace(lines, asShown()) });
      bar.replaceChildren(
        button("all", "the whole time line (0, or a double click)", all, pressed),
        ...["warm-up", "steady state", "cool-down"].map(phase),
        button("\u2212", "zoom out (-)", () => zoom(2)), button("+", "zoom in (+)", () => zoom(0.5)),
        button("\u2190", "earlier (shift and left)", () => zoom(1, -0.25)),
        button("\u2192", "later (shift and right)", () => zoom(1, 0.25)),
        ...(lines.some(line => line.links.names.length) ? [button("links",
          "what is on the links between devices", () => { links = !links; build(); }, pressed)] : []),
        button("PNG", "save the pictures as they are", () => timelineFiles.png(asShown())),
        button("SVG", "save the pictures as they are", () => timelineFiles.svg(asShown())),
        perfetto);
    }
    function build() {
      const several = lines.length > 1, unit = lines[0].unit ? ` (${lines[0].unit})` : "";
      const top = 1.08 * Math.max(1e-9, ...lines.flatMap(l =>
        [...l.memory.limits, ...l.memory.curves.flatMap(c => c.y)]));
      const kinds = { passes, ...(links && { wires }), memory: line => memory(line, top), idle: idleTime };
      charts = Object.entries(kinds).flatMap(([key, kind]) => lines.map(line => {
        const chart = Object.assign(kind(line), { line, legend: legend(line.legends[key] ?? []) });
        const words = `${chart.name}${key === "memory" ? "" : unit}`;
        chart.title = (several || line.title) ? `${line.title}: ${words}` : words;
        return chart;
      }));
      const old = canvases().findIndex(canvas => canvas === document.activeElement);
      pictures.replaceChildren(...charts.map(chart => {
        const canvas = make("canvas", { tabIndex: 0, height: chart.height * (devicePixelRatio || 1), role: "img",
          ariaLabel: `${chart.title}; arrows go from pass to pass, + and - zoom`, ...handlers(chart) });
        canvas.style.height = `${chart.height}px`;
        return make("figure", {}, make("figcaption", { textContent: chart.title }), chart.legend, canvas);
      }));
      if (old >= 0) canvases()[old]?.focus();
      buttons();
      draw(true);
    }

    table.addEventListener("toggle", () => draw());
    const again = () => draw(true), watcher = new ResizeObserver(again), listening = new AbortController();
    watcher.observe(pictures);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again, listening);
    for (const when of ["beforeprint", "afterprint"]) addEventListener(when, again, listening);
    return {
      // A part that was looked at stays, if the new time line has it; else all of it is shown.
      show(next) {
        lines = next.map(barWords.full);
        hit = drag = null;
        tell(null);
        const kept = view.range ? view.range[1] <= whole()[1] : lines[0].phases[view.name];
        if (!kept) view = { name: "all" };
        build();
        host.dataset.shown = lines.map(line => line.title).join(", ");
      },
      stop() {
        watcher.disconnect();
        listening.abort();
      },
    };
  };
})();
