"use strict";
(() => {
  const buttons = [...document.querySelectorAll(".picker button")];

  async function show(index) {
    const [name, figure] = shell.data[index];
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === index)));
    await shell.draw("figure", figure, name);
    document.getElementById("chart").dataset.shown = name;
  }

  buttons.forEach((b, i) => b.addEventListener("click", () => show(i)));
  show(0);
})();
