"use strict";
// Rows of bars: the passes of every device and copy queue, and what is on every link.
const passCharts = (() => {
  const { LEFT, AXIS, said, plot } = drawing, DIM = 0.16, LINK = "#8a949e";
  const rowHeight = n => (n <= 4 ? 40 : n <= 8 ? 32 : n <= 16 ? 24 : n <= 32 ? 17 : 12);

  const inSight = (bars, [from, to]) =>
    [...bars.start.keys()].filter(i => bars.start[i] < to && bars.start[i] + bars.length[i] > from);

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
      const rgb = shades.map(s => [1, 3, 5].map(i => parseInt(s.fill.slice(i, i + 2), 16)));
      const seen = inSight(bars, at.range);
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
    find: (t, r) => line.bars.row.findIndex((row, i) =>
      row === r && line.bars.start[i] <= t && t < line.bars.start[i] + line.bars.length[i]),
    told(t, r) {
      const i = this.find(t, r);
      if (i >= 0) return { i, words: barWords.told(line, i) };
      const { idle } = line, d = line.devices[r];
      const gap = idle.device.findIndex((at, j) => at === d && idle.start[j] <= t && t < idle.end[j]);
      return gap < 0 ? null : { words: [`device ${d} idle ${said(idle.end[gap] - idle.start[gap])}`
        + `: ${idle.reasons[idle.reason[gap]].name}`] };
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
      return i < 0 ? null : { words: [barWords.sent(links, i),
        `${links.names[r]}, ${said(links.start[i])} to ${said(links.start[i] + links.length[i])}`] };
    },
  });
  return { passes, wires, inSight, rowHeight };
})();
