// Draws the time lines of the widget, each in one go whenever they change. What is out of date, for
// the numbers beside it make no schedule, is faint.
function render({ model, el }) {
  const host = document.createElement("div"), timeline = Timeline(host), listening = new AbortController();
  el.append(host);
  const told = {
    "change:lines"() {
      const lines = JSON.parse(new TextDecoder().decode(model.get("lines")));
      if (lines.length) timeline.show(lines);
    },
    "change:stale"() { host.style.opacity = model.get("stale") ? 0.35 : 1; },
    "change:address": () => history.replaceState(null, "", `#${model.get("address")}`),
  };
  function go() { // somebody was sent this address, or chose a family in a picture
    if (!location.hash.includes("family=")) return;
    model.set("asked", location.hash.slice(1));
    model.save_changes();
  }
  go();
  addEventListener("hashchange", go, listening);
  for (const [name, act] of Object.entries(told)) model.on(name, act);
  told["change:lines"]();
  told["change:stale"]();
  return () => {
    timeline.stop();
    listening.abort();
    for (const [name, act] of Object.entries(told)) model.off(name, act);
  };
}
export default { render };
