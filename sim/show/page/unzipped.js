"use strict";
// What a page holds gzipped is opened when it is wanted: one with every schedule would be ten times
// as large.
const unzipped = (() => {
  const opened = new Map();
  const tooOld = typeof DecompressionStream === "undefined"
    && "This browser is too old to open the time lines (it lacks DecompressionStream).";
  async function open(text) {
    if (tooOld) throw new Error(tooOld);
    if (!opened.has(text)) {
      const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      opened.set(text, JSON.parse(await new Response(stream).text()));
    }
    return opened.get(text);
  }
  return { open, tooOld };
})();
