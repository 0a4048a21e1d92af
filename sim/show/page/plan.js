"use strict";
(() => {
  const { data, draw } = shell;
  const DETAIL = { parts: "Seconds by part", bytes: "Memory by kind" };
  const timeline = Timeline(document.getElementById("timeline"));
  const table = document.querySelector("#ranking table");
  const rows = [...table.tBodies[0].rows];
  let wanted = -1;

  function showTable(id, lines) {
    const cells = (line, kind) => line.map(text => {
      const cell = document.createElement(kind);
      cell.textContent = text;
      return cell;
    });
    const [head, ...body] = lines.map((line, i) => {
      const row = document.createElement("tr");
      row.append(...cells(line, i ? "td" : "th"));
      return row;
    });
    const place = document.getElementById(id);
    place.tHead.replaceChildren(head);
    place.tBodies[0].replaceChildren(...body);
  }

  function aligned(_, figure) { // below each other
    figure.layout.margin.l = 72;
    figure.layout.yaxis.automargin = false;
  }

  async function choose(index) {
    wanted = index;
    const chosen = data.rows[index];
    rows.forEach(r => r.classList.toggle("chosen", Number(r.dataset.index) === index));
    shell.showCards(chosen.cards);
    for (const id of ["name", "key", "advice", "cut"]) {
      document.getElementById(id).textContent = chosen[id];
    }
    showTable("devices", chosen.devices);
    showTable("stages", chosen.stages);
    if (unzipped.tooOld) {
      document.getElementById("cut").textContent = unzipped.tooOld;
      return;
    }
    const { line, figures } = await unzipped.open(chosen.packed);
    if (wanted !== index) return; // another one was clicked meanwhile
    timeline.show([line]);
    for (const [id, what] of Object.entries(DETAIL)) await draw(id, figures[id], `${what} of ${chosen.name}`, aligned);
    document.getElementById("row").dataset.shown = chosen.name;
  }

  rows.forEach(r => r.addEventListener("click", () => choose(Number(r.dataset.index))));

  (async () => {
    await draw("speed", data.speed, "Speed against memory; the fastest rows are in the table");
    document.getElementById("speed").on("plotly_click", event => {
      const index = data.rows.findIndex(row => row.rank === event.points[0].customdata[0]);
      if (index >= 0) choose(index);
    });
    await choose(data.first);
  })();
})();
