// Draws the time lines of the widget, each in one go whenever they change. What is out of date, for
// the numbers beside it make no schedule, is faint.
function render({ model, el }) {
  const host = document.createElement("div"), timeline = Timeline(host);
  el.append(host);
  const draw = () => {
    const lines = JSON.parse(new TextDecoder().decode(model.get("lines")));
    if (lines.length) timeline.show(lines);
  };
  const fade = () => { host.style.opacity = model.get("stale") ? 0.35 : 1; };
  const keep = () => history.replaceState(null, "", `#${model.get("address")}`);
  if (location.hash.includes("family=")) { // somebody was sent this address
    model.set("asked", location.hash.slice(1));
    model.save_changes();
  }
  model.on("change:address", keep);
  model.on("change:lines", draw);
  model.on("change:stale", fade);
  draw();
  fade();
  return () => {
    timeline.stop();
    model.off("change:address", keep);
    model.off("change:lines", draw);
    model.off("change:stale", fade);
  };
}
export default { render };
