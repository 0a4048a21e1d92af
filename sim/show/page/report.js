"use strict";
(() => {
  const { data } = shell, part = document.getElementById("schedule");
  const choices = [...document.querySelectorAll("[data-index]")]; // rows of the table, and buttons
  const timeline = Timeline(document.getElementById("timeline"));
  const named = name => data.schedules.findIndex(schedule => schedule.name === name);
  let wanted = -1;

  async function choose(index) {
    wanted = index;
    const chosen = data.schedules[index];
    for (const choice of choices) {
      const mine = Number(choice.dataset.index) === index;
      if (choice.matches("button")) choice.setAttribute("aria-pressed", String(mine));
      choice.classList.toggle("chosen", mine);
    }
    shell.showCards(chosen.cards);
    document.getElementById("cut").textContent = unzipped.tooOld || chosen.cut;
    const line = unzipped.tooOld ? null : await unzipped.open(chosen.packed);
    if (!line || wanted !== index) return; // another one was clicked meanwhile
    timeline.show([line]);
    part.dataset.shown = chosen.name;
  }

  // The address says which one is shown, so that it can be sent to somebody and gone back to.
  function pick(index) {
    location.hash = encodeURIComponent(data.schedules[index].name);
    part.scrollIntoView({ block: "start" });
  }
  const fromAddress = () => choose(Math.max(0, named(decodeURIComponent(location.hash.slice(1)))));
  for (const choice of choices) choice.addEventListener("click", () => pick(Number(choice.dataset.index)));
  for (const dot of document.querySelectorAll(".dot")) {
    dot.addEventListener("click", () => pick(named(dot.dataset.name)));
    dot.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(named(dot.dataset.name)); }
    });
  }
  addEventListener("hashchange", fromAddress);
  fromAddress();
})();
