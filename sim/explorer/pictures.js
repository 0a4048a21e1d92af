// Draws plotly figures below each other, each in one go whenever it changes.
function render({ model, el }) {
  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  const draw = () => {
    const figures = JSON.parse(model.get("figures"));
    while (el.children.length > figures.length) {
      Plotly.purge(el.lastChild);
      el.lastChild.remove();
    }
    while (el.children.length < figures.length) el.append(document.createElement("div"));
    figures.forEach((figure, i) =>
      Plotly.react(el.children[i], figure.data, figure.layout, config));
  };
  model.on("change:figures", draw);
  // A cell's output gets its width only after it has been put on the page.
  const watcher = new ResizeObserver(() => {
    if (!el.clientWidth) return;
    if (!el.children.length) draw();
    for (const picture of el.children) Plotly.Plots.resize(picture);
  });
  watcher.observe(el);
  return () => {
    watcher.disconnect();
    model.off("change:figures", draw);
    for (const picture of el.children) Plotly.purge(picture);
  };
}
export default { render };
