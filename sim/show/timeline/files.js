"use strict";
// The pictures as PNG and SVG, and the passes for Perfetto. `at`: {charts, range, width, title}.
const timelineFiles = (() => {
  const { LEFT, FONT, make, onCanvas, asSvg } = drawing, INK = "#3a424c", DIGIT = 6.4, GAP = 30;

  function save(text, { title }, ending) {
    const link = make("a", { href: URL.createObjectURL(text), download: `${title || "time line"}.${ending}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  const stacked = (pen, { charts, range, width }, digit) => charts.reduce((top, chart) => {
    pen.text(chart.title, LEFT, top + 10, INK, "left");
    chart.draw(pen, { width, top: top + 22, range, ink: INK, digit, hit: null });
    return top + chart.height + GAP;
  }, 0);
  function svg(at) {
    const parts = [], width = Math.max(at.width, 640), height = stacked(asSvg(parts), { ...at, width }, DIGIT);
    save(new Blob([`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"`
      + ` font-family="system-ui,sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>`
      + `${parts.join("")}</svg>`], { type: "image/svg+xml" }), at, "svg");
  }
  function png(at) {
    const height = at.charts.reduce((sum, chart) => sum + chart.height + GAP, 0);
    const canvas = make("canvas", { width: 2 * at.width, height: 2 * height }), ctx = canvas.getContext("2d");
    ctx.scale(2, 2);
    ctx.font = FONT;
    onCanvas(ctx).rect(0, 0, at.width, height, "#fff");
    stacked(onCanvas(ctx), at, ctx.measureText("0").width);
    canvas.toBlob(blob => save(blob, at, "png"));
  }
  const events = lines => lines.flatMap((line, pid) => [ // Chrome's trace events, in microseconds
    ...line.rows.map((name, tid) => ({ ph: "M", name: "thread_name", pid, tid, args: { name } })),
    { ph: "M", name: "process_name", pid, args: { name: line.title || "schedule" } },
    ...line.bars.start.map((ts, i) => ({ ph: "X", name: barWords.name(line, i), pid,
      tid: line.bars.row[i], ts, dur: line.bars.length[i], cat: line.shades[line.bars.shade[i]].name })),
    ...line.memory.curves.flatMap(c => c.x.map((ts, i) =>
      ({ ph: "C", name: `${line.memory.what}, ${c.name}`, pid, ts, args: { [line.memory.unit]: c.y[i] } }))),
  ]);
  const trace = (lines, at) => save(new Blob([JSON.stringify({ traceEvents: events(lines) })]), at, "trace.json");
  return { png, svg, trace };
})();
