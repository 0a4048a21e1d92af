"use strict";
// Time lines with memory and idle time below them, on canvases that share one axis of time.
// `Timeline(host).show(lines)` draws what `packed.py` makes; again for another setting.
const Timeline = (() => {
  const LEFT = 72, RIGHT = 14, AXIS = 22, FONT = "11px system-ui, sans-serif", DIM = 0.16;
  const GROUND = "rgba(128,138,150,0.12)", GRID = "rgba(128,138,150,0.28)", ALARM = "#cf4a3c";
  const LINK = "#8a949e", PERFETTO = "https://ui.perfetto.dev";
  const rowHeight = n => (n <= 4 ? 40 : n <= 8 ? 32 : n <= 16 ? 24 : n <= 32 ? 17 : 12);
  const said = x => x.toLocaleString("en", { maximumSignificantDigits: 6 });
  const make = (tag, props, ...inside) => {
    const part = Object.assign(document.createElement(tag), props);
    part.append(...inside);
    return part;
  };

  // What a picture is drawn with: on a canvas, or as SVG. Places in CSS pixels.
  const canvasPen = ctx => ({
    rect(x, y, w, h, fill, alpha = 1) {
      ctx.globalAlpha = alpha;
      ctx.fillStyle = fill;
      ctx.fillRect(x, y, w, h);
      ctx.globalAlpha = 1;
    },
    text(words, x, y, fill, align = "center") {
      Object.assign(ctx, { fillStyle: fill, textAlign: align, font: FONT, textBaseline: "middle" });
      ctx.fillText(words, x, y);
    },
    line(points, stroke, dash = [], width = 1.6) {
      Object.assign(ctx, { strokeStyle: stroke, lineWidth: width });
      ctx.setLineDash(dash);
      ctx.beginPath();
      points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
      ctx.stroke();
    },
    within(x, y, w, h, draw) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(x, y, w, h);
      ctx.clip();
      draw();
      ctx.restore();
    },
  });
  const svgPen = parts => {
    const safe = words => String(words).replace(/[&<>]/g, c => `&#${c.charCodeAt(0)};`);
    return {
      rect: (x, y, w, h, fill, alpha = 1) => parts.push(`<rect x="${x.toFixed(2)}" y="${y}"`
        + ` width="${w.toFixed(2)}" height="${h}" fill="${fill}" opacity="${alpha.toFixed(3)}"/>`),
      text: (words, x, y, fill, align = "center") => parts.push(`<text x="${x.toFixed(1)}" y="${y + 4}"`
        + ` fill="${fill}" text-anchor="${{ center: "middle", left: "start", right: "end" }[align]}">`
        + `${safe(words)}</text>`),
      line: (points, stroke, dash = [], width = 1.6) => parts.push(`<polyline fill="none"`
        + ` stroke="${stroke}" stroke-width="${width}" stroke-dasharray="${dash}"`
        + ` points="${points.map(at => at.map(v => v.toFixed(1))).join(" ")}"/>`),
      within(x, y, w, h, draw) {
        const id = `c${parts.length}`;
        parts.push(`<clipPath id="${id}"><rect x="${x}" y="${y}" width="${w}" height="${h}"/>`
          + `</clipPath><g clip-path="url(#${id})">`);
        draw();
        parts.push("</g>");
      },
    };
  };

  function ticks(low, high, most) {
    const rough = (high - low) / most, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find(f => unit * f >= rough * 0.999);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
    return found.map(x => Number(x.toPrecision(12)));
  }

  // One picture: where times and rows lie in it, and its ground, axis and name.
  function plot(pen, at, chart) {
    const wide = at.width - LEFT - RIGHT, [from, to] = at.range;
    const x = t => LEFT + (t - from) / (to - from) * wide;
    const height = chart.height - AXIS;
    pen.rect(LEFT, at.top, wide, height, GROUND);
    const shift = chart.fromZero ? from : 0; // idle time is counted from zero, at the same scale
    for (const t of ticks(from - shift, to - shift, Math.max(4, wide / 110))) {
      pen.rect(x(t + shift), at.top, 0.6, height, GRID);
      pen.text(said(t), Math.min(x(t + shift), at.width - 18), at.top + height + 11, at.ink);
    }
    return { x, y: at.top, wide, height, scale: wide / (to - from) };
  }

  // -- passes ------------------------------------------------------------------------------------

  function fittingLabels(bars, shades, seen, scale, high, digit) {
    const fits = {}; // all bars of a kind are labelled, or none
    for (const name of ["label", "short"]) {
      const ok = {};
      for (const i of seen) {
        const kind = shades[bars.shade[i]].kind, words = bars[name][i];
        const room = bars.length[i] * scale >= words.length * digit + 2 && high * bars.height[i] >= 11;
        ok[kind] = (ok[kind] ?? true) && words.length > 0 && room;
      }
      for (const kind in ok) if (ok[kind]) fits[kind] ??= name;
    }
    return fits;
  }

  // Bars narrower than a pixel: each pixel gets the mean of the colours that fall into it.
  function mix(columns, x, w, weight, [r, g, b]) {
    for (let left = Math.floor(x); left < x + w; left++) {
      const part = (Math.min(x + w, left + 1) - Math.max(x, left)) * weight;
      const sum = columns.get(left) ?? columns.set(left, [0, 0, 0, 0]).get(left);
      [r * part, g * part, b * part, part].forEach((v, i) => { sum[i] += v; });
    }
  }

  const passes = line => ({
    name: "Time line",
    height: line.rows.length * rowHeight(line.rows.length) + AXIS,
    draw(pen, at) {
      const { bars, shades } = line, row = rowHeight(line.rows.length), high = row - 2;
      const { x, y, wide, scale } = plot(pen, at, this);
      line.rows.forEach((name, i) => {
        if (row >= 14 || i % 2 === 0) pen.text(name, LEFT - 6, y + (i + 0.5) * row, at.ink, "right");
      });
      const seen = [], rgb = shades.map(s => [1, 3, 5].map(i => parseInt(s.fill.slice(i, i + 2), 16)));
      for (let i = 0; i < bars.start.length; i++) {
        if (bars.start[i] < at.range[1] && bars.start[i] + bars.length[i] > at.range[0]) seen.push(i);
      }
      const fits = fittingLabels(bars, shades, seen, scale, high, at.digit);
      const [first, last] = at.hit ? [bars.first[at.hit.i], bars.last[at.hit.i]] : [0, Infinity];
      const alike = i => bars.first[i] <= last && bars.last[i] >= first;
      pen.within(LEFT, y, wide, this.height - AXIS, () => {
        const thin = line.rows.map(() => new Map());
        for (const i of seen) {
          const left = x(bars.start[i]), w = bars.length[i] * scale, shade = shades[bars.shade[i]];
          const top = y + bars.row[i] * row + 1 + bars.offset[i] * high, tall = bars.height[i] * high;
          const alpha = alike(i) ? 1 : DIM;
          if (w < 1) { mix(thin[bars.row[i]], left, w, bars.height[i] * alpha, rgb[bars.shade[i]]); continue; }
          pen.rect(left, top, w > 4 ? w - 0.7 : w, tall, shade.fill, alpha);
          const words = bars[fits[shade.kind]]?.[i];
          if (words && alpha === 1) pen.text(words, left + w / 2, top + tall / 2 + 0.5, shade.ink);
        }
        thin.forEach((columns, r) => columns.forEach(([red, green, blue, weight], left) => {
          const fill = `rgb(${[red, green, blue].map(v => Math.round(v / weight))})`;
          pen.rect(left, y + r * row + 1, 1, high, fill, Math.min(1, weight));
        }));
        if (at.hit) this.mark(pen, at, x, y, row);
      });
    },
    mark(pen, at, x, y, row) { // the pass under the pointer, and what it waited for
      const { bars } = line, middle = i => y + (bars.row[i] + 0.5) * row;
      const frame = i => {
        const [a, b, c] = [x(bars.start[i]), x(bars.start[i] + bars.length[i]), y + bars.row[i] * row];
        pen.line([[a, c], [b, c], [b, c + row - 1], [a, c + row - 1], [a, c]], at.ink, [], 2);
      };
      frame(at.hit.i);
      const from = bars.source[at.hit.i];
      if (from < 0) return;
      frame(from);
      pen.line([[x(bars.start[from] + bars.length[from]), middle(from)],
                [x(bars.start[at.hit.i]), middle(at.hit.i)]], at.ink, [4, 3]);
    },
    rowAt: y => Math.floor(y / rowHeight(line.rows.length)),
    find(t, r) {
      const { bars } = line;
      for (let i = 0; i < bars.start.length; i++) {
        if (bars.row[i] === r && bars.start[i] <= t && t < bars.start[i] + bars.length[i]) return i;
      }
      return -1;
    },
    told(t, r) {
      const i = this.find(t, r);
      if (i >= 0) return { i, words: line.bars.hover[i] };
      const { idle } = line, d = Number((line.rows[r] ?? "").slice(7));
      const gap = idle.device.findIndex((at, j) => at === d && idle.start[j] <= t && t < idle.end[j]);
      return gap < 0 ? null : { words: `<b>device ${d}</b> idle ${said(idle.end[gap] - idle.start[gap])}`
        + `: ${idle.reasons[idle.reason[gap]].name}` };
    },
  });

  const wires = line => ({
    name: "Links",
    height: line.links.names.length * 16 + AXIS,
    draw(pen, at) {
      const { links } = line, { x, y, wide, scale, height } = plot(pen, at, this);
      links.names.forEach((name, i) => pen.text(name, LEFT - 6, y + i * 16 + 8, at.ink, "right"));
      pen.within(LEFT, y, wide, height, () => links.start.forEach((t, i) => {
        if (t > at.range[1] || t + links.length[i] < at.range[0]) return;
        pen.rect(x(t), y + links.row[i] * 16 + 2, Math.max(links.length[i] * scale, 0.7), 12, LINK);
      }));
    },
    told(t, _, y) {
      const { links } = line, r = Math.floor(y / 16);
      const i = links.row.findIndex((row, j) =>
        row === r && links.start[j] <= t && t < links.start[j] + links.length[j]);
      return i < 0 ? null : { words: `<b>${links.what[i]}</b><br>${links.names[r]}, `
        + `${said(links.start[i])} to ${said(links.start[i] + links.length[i])}` };
    },
  });

  // -- memory and idle time ----------------------------------------------------------------------

  const valueAt = ({ x, y }, t) => {
    let low = 0, high = x.length;
    while (low < high) { const middle = (low + high) >> 1; if (x[middle] <= t) low = middle + 1; else high = middle; }
    return low ? y[low - 1] : 0;
  };

  const memory = (line, top) => ({
    name: `${line.memory.what} (${line.memory.unit})`,
    height: 190 + AXIS,
    draw(pen, at) {
      const { curves, limits } = line.memory, { x, y, wide, height } = plot(pen, at, this);
      const up = value => y + height - value / top * (height - 6);
      for (const tick of ticks(0, top, 5)) {
        pen.rect(LEFT, up(tick), wide, 0.6, GRID);
        pen.text(said(tick), LEFT - 6, up(tick), at.ink, "right");
      }
      pen.within(LEFT, y, wide, height, () => {
        for (const curve of curves) {
          const points = [];
          curve.x.forEach((t, i) => points.push([x(t), up(i ? curve.y[i - 1] : 0)], [x(t), up(curve.y[i])]));
          points.push([x(line.whole[1]), up(curve.y.at(-1) ?? 0)]);
          pen.line(points, curve.tone, curve.name === "host" ? [2, 3] : []);
        }
        for (const limit of limits) pen.line([[LEFT, up(limit)], [LEFT + wide, up(limit)]], ALARM, [6, 4]);
      });
    },
    told: t => ({ words: `<b>at ${said(t)}</b><br>` + line.memory.curves.slice(0, 16)
      .map(curve => `${curve.name}: ${said(valueAt(curve, t))}`).join("<br>") }),
  });

  const idleTime = line => ({
    name: "Idle time in sight",
    height: Math.max(line.rows.filter(name => name.startsWith("device")).length * 13, 40) + AXIS,
    fromZero: true,
    sums([from, to]) { // by device and reason, of what the time line shows
      const { idle } = line, n = line.rows.filter(name => name.startsWith("device")).length;
      const found = Array.from({ length: n }, () => idle.reasons.map(() => 0));
      idle.device.forEach((d, i) => {
        found[d][idle.reason[i]] += Math.max(0, Math.min(idle.end[i], to) - Math.max(idle.start[i], from));
      });
      return found;
    },
    draw(pen, at) {
      const { y, scale, height } = plot(pen, at, this), sums = this.sums(at.range);
      const row = height / sums.length;
      sums.forEach((parts, d) => {
        let left = LEFT;
        parts.forEach((time, r) => {
          pen.rect(left, y + d * row + 1, time * scale, row - 2, line.idle.reasons[r].tone);
          left += time * scale;
        });
        if (row >= 11) pen.text(`device ${d}`, LEFT - 6, y + (d + 0.5) * row, at.ink, "right");
      });
    },
    told(_, __, y, range) {
      const sums = this.sums(range), d = Math.floor(y / ((this.height - AXIS) / sums.length));
      return !sums[d] ? null : { words: `<b>device ${d}</b>` + sums[d].map((time, r) =>
        `<br>${line.idle.reasons[r].name}: ${said(time)}`).join("") };
    },
  });

  const legend = items => make("div", { className: "tl-legend" }, ...items.map(([name, tones]) =>
    make("span", {}, ...tones.map(tone => {
      const box = make("i", {});
      box.style.background = tone;
      return box;
    }), ` ${name}`)));

  function legends(line) {
    const kinds = {}, { bars } = line, seen = new Set(bars.shade.filter((_, i) => bars.length[i] > 0));
    line.shades.forEach(({ name, fill }, i) => { if (seen.has(i)) (kinds[name] ??= []).push(fill); });
    const curves = line.memory.curves, every = Math.ceil(curves.length / 16);
    return {
      "Time line": legend(Object.entries(kinds)),
      memory: legend(curves.filter((_, i) => i % every === 0).map(c => [c.name, [c.tone]])),
      idle: legend(line.idle.reasons.map(reason => [reason.name, [reason.tone]])),
    };
  }

  // -- the component -----------------------------------------------------------------------------

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
      chart.draw(canvasPen(ctx), { width, top: 0, range: range(), ink: ink(),
        digit: ctx.measureText("0").width, hit: hit?.chart === chart && hit.i >= 0 ? hit : null });
      if (drag?.chart === chart) canvasPen(ctx).rect(Math.min(drag.from, drag.to), 0,
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
    function zoom(factor, shift = 0) {
      const [from, to] = range(), [low, high] = whole(), least = (high - low) / 1e5;
      const half = Math.min(Math.max((to - from) * factor, least), high - low) / 2;
      const middle = Math.min(Math.max((from + to) / 2 + shift * (to - from), low + half), high - half);
      look(half * 2 >= (high - low) * 0.9999 ? { name: "all" } : { range: [middle - half, middle + half] });
    }

    function fillTable() {
      const [from, to] = range(), found = [];
      for (const { bars, rows: names } of lines) {
        for (let i = 0; i < bars.start.length && found.length < 500; i++) {
          const [start, end] = [bars.start[i], bars.start[i] + bars.length[i]];
          if (start < to && end > from) found.push([names[bars.row[i]], plain(bars.hover[i])[0], said(start), said(end)]);
        }
      }
      if (found.length === 500) found.push(["...", "zoom in to see the others", "", ""]);
      rows.replaceChildren(...found.map(cells => make("tr", {}, ...cells.map(c => make("td", { textContent: c })))));
    }
    const plain = words => words.replace(/<\/?b>/g, "").split("<br>");
    function tell(found, x, y) {
      tip.replaceChildren(...(found ? plain(found.words).map(line => make("div", { textContent: line })) : []));
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
    function over(event, chart) {
      const box = event.target.getBoundingClientRect(), y = event.clientY - box.top;
      const t = timeAt(event.clientX - box.left);
      const found = event.clientX - box.left < LEFT || y > chart.height - AXIS ? null
        : chart.told(t, chart.rowAt?.(y), y, range());
      if (hit?.i !== found?.i || hit?.chart !== chart) { hit = found && { ...found, chart }; draw(); }
      tell(found, event.clientX, event.clientY);
    }
    // Arrows go from pass to pass, and to the rows above and below; with shift they move the view.
    function keys(event, chart) {
      const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
      const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
      if (event.key === "+" || event.key === "=") zoom(0.5);
      else if (event.key === "-") zoom(2);
      else if (event.key === "0" || event.key === "Escape") look({ name: "all" });
      else if (way && event.shiftKey && across) zoom(1, way * 0.25);
      else if (way && chart.find) {
        const { bars } = chart.line, at = hit?.chart === chart && hit.i >= 0 ? hit.i : -1;
        let next = at < 0 ? 0 : at + (across ? way : 0);
        if (at >= 0 && !across) {
          next = bars.row.findIndex((r, j) => r === bars.row[at] + way
            && bars.start[j] + bars.length[j] > bars.start[at]);
        }
        if (bars.row[next] === undefined || (across && at >= 0 && bars.row[next] !== bars.row[at])) return;
        hit = { i: next, chart, words: bars.hover[next] };
        const [from, to] = range(), middle = bars.start[next] + bars.length[next] / 2;
        if (middle < from || middle > to) zoom(1, (middle - (from + to) / 2) / (to - from));
        const box = event.target.getBoundingClientRect(), [a, b] = range();
        tell(hit, box.left + LEFT + (middle - a) / (b - a) * (box.width - LEFT - RIGHT),
          box.top + (bars.row[next] + 1) * rowHeight(chart.line.rows.length));
        draw();
      } else return;
      event.preventDefault();
    }

    function bind(canvas, chart) {
      const at = event => event.clientX - canvas.getBoundingClientRect().left;
      canvas.addEventListener("pointerdown", event => {
        if (event.pointerType === "mouse" && event.button === 0) drag = { chart, from: at(event), to: at(event) };
      });
      canvas.addEventListener("pointermove", event => {
        if (!drag) return over(event, chart);
        drag.to = at(event);
        draw();
      });
      canvas.addEventListener("pointerup", event => {
        const done = drag;
        drag = null;
        if (done && Math.abs(done.to - done.from) > 4) {
          const [a, b] = [done.from, done.to].map(px => Math.min(Math.max(timeAt(px), range()[0]), range()[1]));
          look({ range: [Math.min(a, b), Math.max(a, b)] });
        } else over(event, chart);
      });
      canvas.addEventListener("pointerleave", () => { hit = drag = null; tell(null); draw(); });
      canvas.addEventListener("dblclick", () => look({ name: "all" }));
      canvas.addEventListener("keydown", event => keys(event, chart));
      canvas.addEventListener("blur", () => { hit = null; tell(null); draw(); });
      canvas.addEventListener("wheel", event => {
        if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8);
        else if (event.deltaX && view.range) zoom(1, event.deltaX / 900);
        else return;
        event.preventDefault();
      }, { passive: false });
    }

    // -- files -----------------------------------------------------------------------------------
    const save = (blob, ending) => {
      const link = make("a", { href: URL.createObjectURL(blob), download: `${lines[0].title || "time line"}.${ending}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    };
    const stacked = (pen, width, colour, digit) => charts.reduce((top, chart) => {
      pen.text(chart.title, LEFT, top + 10, colour, "left");
      chart.draw(pen, { width, top: top + 22, range: range(), ink: colour, digit, hit: null });
      return top + chart.height + 30;
    }, 0);
    function svg() {
      const parts = [], width = Math.max(pictures.clientWidth, 640);
      const height = stacked(svgPen(parts), width, "#3a424c", 6.4);
      return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"`
        + ` font-family="system-ui,sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>`
        + `${parts.join("")}</svg>`;
    }
    function png() {
      const width = pictures.clientWidth, height = charts.reduce((sum, c) => sum + c.height + 30, 0);
      const canvas = make("canvas", { width: 2 * width, height: 2 * height }), ctx = canvas.getContext("2d");
      ctx.scale(2, 2);
      ctx.font = FONT;
      canvasPen(ctx).rect(0, 0, width, height, "#fff");
      stacked(canvasPen(ctx), width, "#3a424c", ctx.measureText("0").width);
      canvas.toBlob(blob => save(blob, "png"));
    }
    const events = () => lines.flatMap((line, pid) => [ // Chrome's trace events, in microseconds
      ...line.rows.map((name, tid) => ({ ph: "M", name: "thread_name", pid, tid, args: { name } })),
      { ph: "M", name: "process_name", pid, args: { name: line.title || "schedule" } },
      ...line.bars.start.map((ts, i) => ({ ph: "X", name: plain(line.bars.hover[i])[0], pid,
        tid: line.bars.row[i], ts, dur: line.bars.length[i], cat: line.shades[line.bars.shade[i]].name })),
      ...line.memory.curves.flatMap(c => c.x.map((ts, i) =>
        ({ ph: "C", name: `${line.memory.what}, ${c.name}`, pid, ts, args: { [line.memory.unit]: c.y[i] } }))),
    ]);
    const trace = () => save(new Blob([JSON.stringify({ traceEvents: events() })]), "trace.json");

    function buttons() {
      const button = (words, title, act, pressed) => {
        const found = make("button", { type: "button", textContent: words, title, value: words, onclick: act });
        if (pressed) found.ariaPressed = "false";
        return found;
      };
      const phase = name => {
        const found = button(name, `show the ${name} alone`, () => look({ name }), true);
        found.disabled = !lines[0].phases[name];
        if (found.disabled) found.title = `this schedule has no ${name}`;
        return found;
      };
      const perfetto = make("a", { href: PERFETTO, target: "_blank", rel: "noopener", textContent: "Perfetto",
        title: "opens ui.perfetto.dev, where the downloaded trace can be dropped", onclick: trace });
      bar.replaceChildren(
        button("all", "the whole time line (0, or a double click)", () => look({ name: "all" }), true),
        ...["warm-up", "steady state", "cool-down"].map(phase),
        button("\u2212", "zoom out (-)", () => zoom(2)), button("+", "zoom in (+)", () => zoom(0.5)),
        button("\u2190", "earlier (shift and left)", () => zoom(1, -0.25)),
        button("\u2192", "later (shift and right)", () => zoom(1, 0.25)),
        ...(lines.some(line => line.links.names.length) ? [button("links",
          "what is on the links between devices", () => { links = !links; build(); }, true)] : []),
        button("PNG", "save the pictures as they are", png),
        button("SVG", "save the pictures as they are", () => save(new Blob([svg()], { type: "image/svg+xml" }), "svg")),
        perfetto);
    }
    function build() {
      const several = lines.length > 1, unit = lines[0].unit ? ` (${lines[0].unit})` : "";
      const top = 1.08 * Math.max(1e-9, ...lines.flatMap(l =>
        [...l.memory.limits, ...l.memory.curves.flatMap(c => c.y)]));
      const kinds = [[passes, "Time line"], ...(links ? [[wires]] : []),
        [line => memory(line, top), "memory"], [idleTime, "idle"]];
      charts = kinds.flatMap(([kind, key]) => lines.map(line => {
        const chart = Object.assign(kind(line), { line, legend: key && legends(line)[key] });
        const words = `${chart.name}${key === "memory" ? "" : unit}`;
        chart.title = (several || line.title) ? `${line.title}: ${words}` : words;
        return chart;
      }));
      const old = canvases().findIndex(canvas => canvas === document.activeElement);
      pictures.replaceChildren(...charts.map(chart => {
        const canvas = make("canvas", { tabIndex: 0, height: chart.height * (devicePixelRatio || 1),
          role: "img", ariaLabel: `${chart.title}; arrows go from pass to pass, + and - zoom` });
        canvas.style.height = `${chart.height}px`;
        bind(canvas, chart);
        return make("figure", {}, make("figcaption", { textContent: chart.title }), ...[chart.legend].filter(Boolean), canvas);
      }));
      if (old >= 0) canvases()[old]?.focus();
      buttons();
      draw(true);
    }

    table.addEventListener("toggle", () => draw());
    const watcher = new ResizeObserver(() => draw(true));
    watcher.observe(pictures);
    const dark = matchMedia("(prefers-color-scheme: dark)"), again = () => draw(true);
    dark.addEventListener("change", again);
    for (const when of ["beforeprint", "afterprint"]) addEventListener(when, again);
    return {
      svg,
      range,
      // A part that was looked at stays, if the new time line has it; else all of it is shown.
      show(next) {
        lines = next;
        hit = drag = null;
        tell(null);
        const kept = view.range ? view.range[1] <= whole()[1] : lines[0].phases[view.name];
        if (!kept) view = { name: "all" };
        build();
        host.dataset.shown = lines.map(line => line.title).join(", ");
      },
      stop() {
        watcher.disconnect();
        dark.removeEventListener("change", again);
        for (const when of ["beforeprint", "afterprint"]) removeEventListener(when, again);
      },
    };
  };
})();
