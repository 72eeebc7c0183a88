
// Draws every chart with the page's own colours, and again when light turns to dark.
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  const config = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const text = { labelColor: colour("--ink"), titleColor: colour("--soft") };
    return {
      background: null,
      font: "system-ui, sans-serif",
      view: { stroke: null },
      axis: { ...text, gridColor: colour("--line"), domainColor: colour("--soft"), tickColor: colour("--soft"), titleFontWeight: "normal", labelOverlap: true },
      axisX: { tickCount: 5 },
      legend: { ...text, orient: "top", symbolOpacity: 1, columns: innerWidth < 560 ? 1 : 0, labelLimit: 0 },
      text: { color: colour("--ink") },
    };
  };

  const draw = async () => {
    drawn.forEach((result) => result.finalize());
    drawn = [];
    for (const element of document.querySelectorAll("[data-chart]")) {
      const spec = { ...specs[element.dataset.chart], width: "container", autosize: { type: "fit-x", contains: "padding" } };
      // `ast`: expressions are interpreted, since the page's policy lets no text become code.
      const options = { config: config(), renderer: "svg", actions: false, ast: true, tooltip: { theme: dark.matches ? "dark" : "light" } };
      drawn.push(await vegaEmbed(element, spec, options));
    }
    document.documentElement.dataset.drawn = drawn.length;
  };

  dark.addEventListener("change", draw);
  draw();
})();
