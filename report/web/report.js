// SPDX-License-Identifier: Apache-2.0
// Draws the charts of a report from the JSON beside it. Every figure is also in the page's tables.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = () => dark.matches
    ? ["#7fb0ff", "#ff9d5c", "#7fdaa2", "#c9a4ff", "#ff8fb8", "#6fd6e0", "#e6d36a", "#b8bec8"]
    : ["#1f5fbf", "#b0410a", "#14753f", "#6d35b8", "#b01860", "#0b6f80", "#7a6500", "#575d66"];

  const digits = (v) => {
    const size = Math.abs(v);
    return size === 0 ? "0" : size >= 100 ? v.toFixed(0) : size >= 10 ? v.toFixed(1)
      : size >= 1 ? v.toFixed(2) : v.toPrecision(3);
  };
  const short = (v) => String(+v.toPrecision(3));
  const seconds = (v, show) => v === 0 ? "0" : v < 0.9995e-3 ? show(v * 1e6) + " \u00b5s"
    : v < 0.9995 ? show(v * 1e3) + " ms" : show(v) + " s";
  const bytes = (v, show) => v >= 1e9 ? show(v / 1e9) + " GB/s" : v >= 1e6 ? show(v / 1e6) + " MB/s"
    : v >= 1e3 ? show(v / 1e3) + " kB/s" : show(v) + " B/s";
  const format = (chart, v, show) => {
    if (v === null || v === undefined) return "";
    if (chart.unit === "s") return seconds(v, show);
    if (chart.kind === "fraction") return show(v * 100) + " %";
    if (chart.kind === "rate") return chart.unit === "B" ? bytes(v, show) : show(v) + " /s";
    return show(v) + (chart.unit === "cores" ? " cores" : "");
  };

  // Below the lines: the phases, the fault shaded.
  const shadePhases = (u) => {
    const ctx = u.ctx, top = u.bbox.top, height = u.bbox.height;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, top, u.bbox.width, height);
    ctx.clip();
    ctx.font = `${12 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "top";
    for (const phase of data.phases) {
      const from = u.valToPos(phase.from, "x", true);
      const to = phase.to === undefined ? u.bbox.left + u.bbox.width : u.valToPos(phase.to, "x", true);
      if (phase.name === "fault") {
        ctx.fillStyle = css("--shade");
        ctx.fillRect(from, top, to - from, height);
      }
      if (to - from > 40 * devicePixelRatio) {
        ctx.fillStyle = css("--soft");
        ctx.fillText(phase.name, Math.max(from, u.bbox.left) + 5 * devicePixelRatio, top + 3 * devicePixelRatio);
      }
    }
    ctx.restore();
  };

  const axis = (more) => ({
    stroke: css("--soft"),
    grid: {stroke: css("--grid"), width: 1},
    ticks: {stroke: css("--line"), width: 1},
    font: `12px ${getComputedStyle(document.body).fontFamily}`,
    ...more,
  });

  // Labels, grid and ticks only where `filter` keeps a split.
  const rounded = (filter) => ({
    filter,
    grid: {stroke: css("--grid"), width: 1, filter},
    ticks: {stroke: css("--line"), width: 1, filter},
  });

  // A pod has the same color in every chart.
  const podColors = new Map();
  for (const chart of data.charts)
    for (const line of chart.lines) if (!podColors.has(line.pod)) podColors.set(line.pod, podColors.size);

  const plots = [];
  let waitingPlots = [];
  // The figure now, the plot when all figures stand: only then is the width of a column known.
  const place = (parent, title, note, label, options, values) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    const small = document.createElement("small");
    small.textContent = note;
    caption.append(small);
    const holder = document.createElement("div");
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", label);
    figure.append(caption, holder);
    parent.append(figure);
    const width = () => Math.max(200, Math.floor(holder.clientWidth));
    waitingPlots.push(() => plots.push({
      plot: new uPlot({width: width(), height: 240, ...options}, values, holder), width}));
  };

  // Lines of one chart may have their own times: uPlot joins them.
  const timeChart = (parent, chart) => {
    const colors = palette();
    const tables = [], series = [{label: "time", value: (u, v) => v === null ? "" : v.toFixed(1) + " s"}];
    let low = Infinity, high = 0;
    chart.lines.forEach((line) => {
      const color = colors[podColors.get(line.pod) % colors.length];
      const add = (values, name, dash) => {
        tables.push([line.x, values]);
        for (const v of values) if (v > 0) { low = Math.min(low, v); high = Math.max(high, v); }
        series.push({
          label: line.label + name + (line.role === "observed" ? "" : ` (${line.role})`),
          stroke: color, width: dash ? 1.5 : 2, dash, points: {show: false},
          value: (u, v) => format(chart, v, digits),
        });
      };
      if (chart.kind === "latency") {
        add(line.p50, " p50");
        add(line.p99, " p99", [5, 4]);
      } else {
        add(line.value, "");
      }
    });
    if (!tables.length) return;
    const values = tables.length > 1 ? uPlot.join(tables) : tables[0];
    // Milliseconds beside seconds: on a plain scale the small ones would lie on the floor.
    const log = chart.kind === "latency" && high / low > 20;
    // 1, 2 and 5 of each power of ten; over many powers only the 1.
    const round = (u, splits) => splits.map((v) => {
      const lead = v / 10 ** Math.floor(Math.log10(v) + 1e-9);
      const wanted = high / low > 300 ? [1] : [1, 2, 5];
      return wanted.some((w) => Math.abs(lead - w) < 0.1) ? v : null;
    });
    const notes = [chart.help];
    if (chart.kind === "latency") notes.push("p50 solid, p99 dashed");
    if (log) notes.push("logarithmic scale");
    if (chart.more > 0) notes.push(`${chart.more} more in the table`);
    place(parent, chart.title, notes.join("; "),
      `${chart.title} over time of ${chart.lines.map((l) => l.label).join(", ")}; the figures are in the tables`, {
      series,
      cursor: {sync: {key: "time"}, points: {size: 6}},
      scales: {
        x: {time: false},
        y: log ? {distr: 3, range: (u, a, b) => [Math.max(a, 1e-9) / 1.6, b * 4]}
          : {range: (u, a, b) => [0, Math.max(b * 1.25, chart.kind === "fraction" ? 0.01 : 0) || 1]},
      },
      axes: [
        axis({values: (u, splits) => splits.map((v) => v + " s")}),
        axis({
          size: 74,
          values: (u, splits) => splits.map((v) => v === null ? "" : format(chart, v, short)),
          ...(log ? rounded(round) : {}),
        }),
      ],
      hooks: {drawClear: [shadePhases]},
      legend: {live: true},
    }, values);
  };

  // Steps on a common grid of buckets; the share of all values of the phase.
  const shapeChart = (parent, shape) => {
    const edges = new Map();
    for (const phase of ["before", "during", "after"])
      for (const [low, high] of shape[phase]) { edges.set(low, high); }
    const lows = [...edges.keys()].sort((a, b) => a - b);
    if (lows.length === 0) return;
    // Empty neighbours of each bucket, so that a step falls to the ground where nothing was.
    const x = new Set();
    for (const low of lows) { x.add(low); x.add(edges.get(low)); }
    const xs = [...x].sort((a, b) => a - b).map((v) => Math.max(v, 1e-7));
    const column = (phase) => {
      const total = shape[phase].reduce((sum, b) => sum + b[2], 0);
      if (total === 0) return xs.map(() => null);
      const share = new Map(shape[phase].map((b) => [Math.max(b[0], 1e-7), b[2] / total]));
      return xs.map((v) => share.get(v) ?? 0);
    };
    const colors = palette();
    const spread = xs[xs.length - 1] / xs[0];
    const round = (u, splits) => splits.map((v) => {
      const lead = v / 10 ** Math.floor(Math.log10(v) + 1e-9);
      const wanted = spread > 1000 ? [1] : spread > 100 ? [1, 3] : [1, 2, 5];
      return wanted.some((w) => Math.abs(lead - w) < 0.1) ? v : null;
    });
    const names = ["before", "during", "after"], inks = [colors[0], colors[1], colors[2]];
    place(parent, shape.title, `${shape.pod}, ${shape.role}`,
      `Spread of ${shape.title} of ${shape.pod} before, during and after the fault; the quantiles are in the tables`, {
      scales: {
        x: {time: false, distr: 3, range: (u, a, b) => [a / 1.15, b * 1.15]},
        y: {range: (u, a, b) => [0, b * 1.1 || 1]},
      },
      series: [{label: "latency", value: (u, v) => v === null ? "" : seconds(v, digits)}].concat(
        names.map((label, i) => ({
          label, stroke: inks[i], width: 2, fill: i < 2 ? inks[i] + "2e" : undefined,
          dash: i === 2 ? [5, 4] : undefined,
          paths: uPlot.paths.stepped({align: 1}), points: {show: false},
          value: (u, v) => v === null ? "" : digits(v * 100) + " %",
        }))),
      axes: [
        axis({
          values: (u, splits) => splits.map((v) => v === null ? "" : seconds(v, short)),
          ...rounded(round),
        }),
        axis({size: 58, values: (u, splits) => splits.map((v) => short(v * 100) + " %")}),
      ],
      cursor: {y: false, points: {show: false}},
    }, [xs, column("before"), column("during"), column("after")]);
  };

  const top = document.getElementById("charts"), more = document.getElementById("more");
  const rest = document.getElementById("more-charts"), shapes = document.getElementById("shape-charts");
  const draw = () => {
    for (const {plot} of plots.splice(0)) plot.destroy();
    for (const box of [top, rest, shapes]) if (box) box.replaceChildren();
    if (top) for (const chart of data.charts) if (chart.top) timeChart(top, chart);
    if (shapes) for (const shape of data.shapes) shapeChart(shapes, shape);
    if (more) {
      more.hidden = !data.charts.some((chart) => !chart.top);
      if (more.open) for (const chart of data.charts) if (!chart.top) timeChart(rest, chart);
    }
    for (const plot of waitingPlots) plot();
    waitingPlots = [];
  };
  draw();
  dark.addEventListener("change", draw);
  // A closed <details> has no width to draw for.
  if (more) more.addEventListener("toggle", draw);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { for (const p of plots) p.plot.setSize({width: p.width(), height: 240}); }, 100);
  });
})();
