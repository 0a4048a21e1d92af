// Draws plotly figures below each other, each in one go whenever it changes. Their titles become
// captions, which wrap where a picture's title would be cut off.
const TITLE = 30; // pixels that a title takes, in `looks.py`

function render({ model, el }) {
  const config = { responsive: true, displayModeBar: false, displaylogo: false };

  function frame() {
    const [part, name, scroll, picture] = ["figure", "figcaption", "div", "div"]
      .map(tag => document.createElement(tag));
    part.style.margin = "0 0 12px";
    name.style.fontWeight = "600";
    scroll.style.overflowX = "auto";
    picture.setAttribute("role", "img");
    scroll.append(picture);
    part.append(name, scroll);
    return part;
  }

  const pictures = () => [...el.querySelectorAll("[role=img]")];
  const draw = () => {
    const figures = JSON.parse(model.get("figures"));
    while (el.children.length > figures.length) {
      Plotly.purge(pictures().at(-1));
      el.lastChild.remove();
    }
    while (el.children.length < figures.length) el.append(frame());
    figures.forEach(({ data, layout }, i) => {
      const picture = pictures()[i], { title, ...rest } = layout;
      const height = layout.height - TITLE;
      const margin = { ...layout.margin, t: layout.margin.t - TITLE };
      el.children[i].firstChild.textContent = title.text;
      picture.setAttribute("aria-label", title.text);
      // Of a given height, lest it be lost when the window changes; bars need width to be seen.
      picture.style.height = `${height}px`;
      picture.style.minWidth = data[0]?.type === "bar" ? "640px" : "";
      const font = { ...layout.font, color: getComputedStyle(el).color }; // light or dark paper
      Plotly.react(picture, data, { ...rest, height, margin, font }, config);
    });
  };
  model.on("change:figures", draw);
  // A cell's output gets its width only after it has been put on the page.
  const watcher = new ResizeObserver(() => {
    if (!el.clientWidth) return;
    if (!el.children.length) draw();
    for (const picture of pictures()) Plotly.Plots.resize(picture);
  });
  watcher.observe(el);
  return () => {
    watcher.disconnect();
    model.off("change:figures", draw);
    for (const picture of pictures()) Plotly.purge(picture);
  };
}
export default { render };
