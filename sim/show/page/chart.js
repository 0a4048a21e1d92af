"use strict";
(() => {
  const buttons = [...document.querySelectorAll(".picker button")];

  async function show(index) {
    const [name, figure] = shell.data[index];
    buttons.forEach((button, i) => { button.ariaPressed = String(i === index); });
    await shell.draw("figure", figure, name);
    document.getElementById("chart").dataset.shown = name;
  }

  buttons.forEach((button, i) => button.addEventListener("click", () => show(i)));
  show(0);
})();
