"use strict";
(() => {
  const { data, draw } = shell;
  const DETAIL = { gantt: "Time line", memory: "Memory", idle: "Idle time" };
  const table = document.querySelector("table.sortable");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const buttons = [...document.querySelectorAll(".picker button")];
  let wanted = -1;

  async function choose(index) {
    wanted = index;
    const chosen = data.schedules[index];
    buttons.forEach(b => b.setAttribute("aria-pressed", String(Number(b.dataset.index) === index)));
    rows.forEach(r => r.classList.toggle("chosen", Number(r.dataset.index) === index));
    timelines.showCards(chosen.cards);
    document.getElementById("cut").textContent = chosen.cut;
    const figures = await timelines.figuresOf(index, chosen.figures);
    if (wanted !== index) return; // another one was clicked meanwhile
    await timelines.drawAll(figures, DETAIL, chosen.name);
    document.getElementById("schedule").dataset.shown = chosen.name;
  }

  buttons.forEach(b => b.addEventListener("click", () => choose(Number(b.dataset.index))));
  rows.forEach(r => r.addEventListener("click", () => choose(Number(r.dataset.index))));

  (async () => {
    for (const [id, figure] of Object.entries(data.comparison)) {
      const heading = document.getElementById(id).parentElement.querySelector("h3");
      await draw(id, figure, `${heading.textContent}; the same numbers are in the table`);
      document.getElementById(id).on("plotly_click", event => {
        const name = event.points[0].customdata;
        const index = data.schedules.findIndex(schedule => schedule.name === name);
        if (index >= 0) choose(index);
      });
    }
    if (timelines.tooOld) {
      document.getElementById("cut").textContent = timelines.tooOld;
      return;
    }
    await choose(data.first);
  })();
})();
