"use strict";
(() => {
  const PRINT_WIDTH = 680;
  const charts = new Map();

  // Colours are written as var(--name), so that one style sheet serves page and charts in light, dark and print.
  const paint = (node, style, key = "") => {
    if (typeof node === "string") {
      const found = /color$/.test(key) && /^var\((--[a-z0-9-]+)\)$/.exec(node);
      return found ? style.getPropertyValue(found[1]).trim() : node;
    }
    if (node === null || typeof node !== "object") return node;
    if (Array.isArray(node)) return typeof node[0] === "object" ? node.map(part => paint(part, style, key)) : node;
    return Object.fromEntries(Object.entries(node).map(([name, part]) => [name, paint(part, style, name)]));
  };

  const draw = (name, width) => {
    const place = document.getElementById(name);
    const { data, layout } = charts.get(name);
    const painted = paint(layout, getComputedStyle(document.documentElement));
    painted.font.size = 0.8 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    painted.font.family = getComputedStyle(document.body).fontFamily;
    painted.width = width;
    if (matchMedia("(pointer: coarse)").matches) painted.dragmode = false;
    Plotly.react(place, paint(data, getComputedStyle(document.documentElement)), painted, { displayModeBar: false, responsive: true });
  };
  const drawAll = width => charts.forEach((_, name) => draw(name, width));

  for (const place of document.querySelectorAll(".chart")) {
    const spec = JSON.parse(document.getElementById(place.id + "-spec").textContent);
    const shared = (spec.layout.meta || {}).x;
    if (shared) spec.data.forEach(trace => { trace.x ??= shared; });
    charts.set(place.id, spec);
  }
  // One at a time at first, so that the page answers, and other charts are drawn, in between.
  const begin = async () => {
    for (const name of charts.keys()) {
      draw(name);
      await new Promise(done => setTimeout(done));
    }
    performance.mark("drawn charts");
  };
  begin();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => { document.documentElement.classList.add("paper"); drawAll(PRINT_WIDTH); });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("paper");
    charts.forEach((_, name) => Plotly.purge(name));  // or plotly keeps the width of the paper
    drawAll();
  });

  // A chart in a closed section has no width until it is opened.
  document.addEventListener("toggle", event => {
    for (const place of event.target.open ? event.target.querySelectorAll(".chart") : []) {
      Plotly.purge(place);
      draw(place.id);
    }
  }, true);

  for (const button of document.querySelectorAll("[data-traces]")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", shown);
      button.dataset.traces.split(" ").forEach(i => { charts.get(button.dataset.chart).data[i].visible = shown; });
      draw(button.dataset.chart);
    });
  }
  for (const button of document.querySelectorAll("[data-scale]")) {
    button.addEventListener("click", () => {
      button.parentElement.querySelectorAll("button").forEach(other => other.setAttribute("aria-pressed", other === button));
      charts.get(button.dataset.chart).layout.yaxis.type = button.dataset.scale;
      draw(button.dataset.chart);
    });
  }

  // Unknown values stay last in either order; of a column that has both, numbers come before words.
  const compare = (a, b, sign) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const [x, y] = [a, b].map(value => value === "" ? NaN : Number(value));
    if (isNaN(x) || isNaN(y)) return sign * (isNaN(x) - isNaN(y) || a.localeCompare(b));
    return sign * (x - y);
  };
  for (const button of document.querySelectorAll(".sort")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const column = head.cellIndex;
      const now = head.getAttribute("aria-sort");
      const down = now ? now === "ascending" : head.classList.contains("number");
      head.parentElement.querySelectorAll("th").forEach(th => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = head.closest("table").tBodies[0];
      const rows = [...body.rows].sort((a, b) => compare(a.cells[column]?.dataset.sort, b.cells[column]?.dataset.sort, down ? -1 : 1));
      body.append(...rows);
    });
  }
})();
