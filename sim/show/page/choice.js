"use strict";
// A page shows one of several: the one that its address names, so that it can be sent to somebody
// and gone back to.
(() => {
  const { choices, first } = shell.data, part = document.querySelector("section:has(#timeline)");
  const timeline = Timeline(document.getElementById("timeline"));
  let wanted;

  async function show() {
    const chosen = wanted = choices.find(each => each.hash === location.hash) ?? choices[first];
    for (const link of document.querySelectorAll("td a, .picker a")) {
      link.ariaCurrent = String(link.hash === chosen.hash);
    }
    shell.fill(chosen.html);
    chosen.opened ??= await shell.unzipped(chosen.packed);
    if (wanted !== chosen) return; // another one was clicked meanwhile
    shell.fill(chosen.opened.html ?? {});
    timeline.show([chosen.opened.line]);
    for (const [id, figure, words] of chosen.opened.figures ?? []) await shell.draw(id, figure, words);
    part.dataset.shown = chosen.name;
  }

  addEventListener("hashchange", () => { show(); part.scrollIntoView(); });
  for (const row of document.querySelectorAll("tr[data-hash]")) {
    row.addEventListener("click", () => { location.hash = row.dataset.hash; });
  }
  show();
})();
