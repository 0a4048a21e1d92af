"use strict";
// What the columns of `packed.py` say about bars, in words; and columns of one number in full.
const barWords = (() => {
  const { said } = drawing;

  function full(line) {
    const bars = { ...line.bars };
    for (const [name, column] of Object.entries(bars)) {
      if (typeof column === "number") bars[name] = Array(line.bars.n).fill(column);
    }
    const one = (_, i) => bars.many[i] === 1 && bars.first[i] >= 0;
    bars.short = bars.first.map((m, i) => (one(m, i) ? String(m) : ""));
    bars.label = bars.first.map((m, i) => (m < 0 ? "sum"
      : bars.last[i] !== m ? `${m}-${bars.last[i]}` : line.sliced ? `${m}.${bars.slice[i]}` : String(m)));
    return { ...line, bars };
  }

  const pass = ({ bars, shades }, i) => `${shades[bars.shade[i]].kind}${bars.first[i]}`
    + `${bars.slice[i] ? `.${bars.slice[i]}` : ""}@${bars.stage[i]}`;
  function name(line, i) {
    const { bars, shades } = line, where = `on device ${line.devices[bars.row[i]]}`;
    if (bars.first[i] < 0) return `${shades[bars.shade[i]].name} ${where}`;
    return `${pass(line, i)} ${shades[bars.shade[i]].name} ${where}`
      + (bars.many[i] > 1 ? ` and ${bars.many[i] - 1} more in one kernel` : "")
      + (line.several ? `, iteration ${bars.iteration[i]}` : "");
  }
  function told(line, i) {
    const { bars } = line, start = bars.start[i], times = `${said(start)} to ${said(start + bars.length[i])}`;
    if (bars.first[i] < 0) return [name(line, i), `${times}, after its last pass`];
    const cause = bars.cause[i] ?? (bars.source[i] < 0 ? "" : pass(line, bars.source[i]));
    const [before, written, arrived] = [bars.before[i], bars.written[i], bars.arrived[i]];
    const way = written === arrived ? ` (here at ${said(arrived)})`
      : ` (written ${said(written)}, here ${said(arrived)})`;
    const why = cause && arrived > start - before ? `waited ${said(before)} for ${cause}${way}`
      : cause ? `input ${cause}${way}` : before ? `idle ${said(before)} before` : "";
    return [name(line, i), `${times}, takes ${said(bars.length[i])}`, ...[why].filter(Boolean)];
  }
  function sent({ values, value, stage, microbatch }, i) {
    const what = values[value[i]];
    return what === "activation" ? `activation of F${microbatch[i]}@${stage[i]}`
      : `${what.replaceAll("_", " ")} of stage ${stage[i]}, microbatch ${microbatch[i]}`;
  }
  return { full, name, told, sent };
})();
