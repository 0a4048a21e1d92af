"use strict";
// Lists that together are the address: a choice in one changes it, and it says what they show.
(() => {
  const { choices, first } = shell.data, knobs = [...document.querySelectorAll("select")];
  function read() {
    const asked = new URLSearchParams((location.hash || choices[first].hash).slice(1));
    for (const knob of knobs) knob.value = asked.get(knob.name) ?? knob.value;
  }
  document.querySelector("form").addEventListener("change", () => {
    location.hash = new URLSearchParams(knobs.map(({ name, value }) => [name, value]));
  });
  addEventListener("hashchange", read);
  read();
})();
