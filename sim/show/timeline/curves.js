"use strict";
// Below the passes: what devices hold, where their idle time goes, and what the colours mean.
const belowPasses = (() => {
  const { LEFT, AXIS, GRID, said, make, ticks, plot } = drawing, ALARM = "#cf4a3c";

  const valueAt = ({ x, y }, t) => y[x.findLastIndex(time => time <= t)] ?? 0;

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
    told: t => ({ words: [`at ${said(t)}`, ...line.memory.curves.slice(0, 16)
      .map(curve => `${curve.name}: ${said(valueAt(curve, t))}`)] }),
  });

  const idleTime = line => ({
    name: "Idle time in sight",
    height: Math.max(line.devices.at(-1) * 13 + 13, 40) + AXIS,
    fromZero: true,
    sums([from, to]) { // by device and reason, of what the time line shows
      const { idle } = line;
      const found = Array.from({ length: line.devices.at(-1) + 1 }, () => idle.reasons.map(() => 0));
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
      return !sums[d] ? null : { words: [`device ${d}`, ...sums[d].map((time, r) =>
        `${line.idle.reasons[r].name}: ${said(time)}`)] };
    },
  });

  const legend = items => make("div", { className: "tl-legend" }, ...items.map(([name, tones]) =>
    make("span", {}, ...tones.map(tone => make("i", { style: `background: ${tone}` })), ` ${name}`)));
  return { memory, idleTime, legend };
})();
