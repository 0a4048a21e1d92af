"use strict";
// What every chart of a time line is drawn with: pens, and the axis of time they share.
const drawing = (() => {
  const LEFT = 72, RIGHT = 14, AXIS = 22, FONT = "11px system-ui, sans-serif";
  const GROUND = "rgba(128,138,150,0.12)", GRID = "rgba(128,138,150,0.28)";
  const said = x => x.toLocaleString("en", { maximumSignificantDigits: 6 });
  const make = (tag, props, ...inside) => {
    const part = Object.assign(document.createElement(tag), props);
    part.append(...inside);
    return part;
  };

  // What a picture is drawn with: on a canvas, or as SVG. Places in CSS pixels.
  const onCanvas = ctx => ({
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
  const asSvg = parts => {
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
  return { LEFT, RIGHT, AXIS, FONT, GRID, said, make, onCanvas, asSvg, ticks, plot };
})();
