"use strict";
(() => {
  const { data, draw } = shell;
  const DETAIL = { gantt: "Time line", parts: "Seconds by part", bytes: "Memory by kind" };
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

  async function choose(index) {
    wanted = index;
    const chosen = data.rows[index];
    rows.forEach(r => r.classList.toggle("chosen", Number(r.dataset.index) === index));
    timelines.showCards(chosen.cards);
    for (const id of ["name", "key", "advice", "cut"]) {
      document.getElementById(id).textContent = chosen[id];
    }
    showTable("devices", chosen.devices);
    showTable("stages", chosen.stages);
    if (timelines.tooOld) {
      document.getElementById("cut").textContent = timelines.tooOld;
      return;
    }
    const figures = await timelines.figuresOf(index, chosen.figures);
    if (wanted !== index) return; // another one was clicked meanwhile
    await timelines.drawAll(figures, DETAIL, chosen.name);
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
