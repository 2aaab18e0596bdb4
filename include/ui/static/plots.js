// Plots of runs over time, drawn by uPlot; each has its numbers in words for readers that do not see it.

import { element, number } from "./dom.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Times of day have 24 hours, dates are ISO's; uPlot adds the second line where the date or the minute changes.
const DAY = "\n{YYYY}-{MM}-{DD}";
const TIMES = [
  [86400 * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [86400 * 28, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
  [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", DAY, null, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", DAY, null, DAY, null, null, null, 1],
];

export function plot(title, unit, times, values) {
  const sum = values.reduce((total, value) => total + value, 0);
  const last = values.length ? values[values.length - 1] : null;
  const words = `${number(values.length)} runs; largest ${number(values.length ? Math.max(...values) : null)}, last ${number(last)}, mean ${number(values.length ? Math.round((100 * sum) / values.length) / 100 : null)} ${unit}`;
  const box = element("div", { "aria-hidden": "true" });
  const figure = element("figure", {}, element("figcaption", {}, element("h3", {}, title), element("span", { class: "quiet" }, words)), box);
  figure.draw = () => draw(box, title, times, values);
  return figure;
}

function draw(box, title, times, values) {
  box.replaceChildren();
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const options = {
    width: Math.max(box.clientWidth, 200),
    height: 170,
    cursor: { y: false },
    legend: { show: true, live: true },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
    series: [{ label: "UTC", value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" }, { label: title, stroke: colour("--plot"), width: 1.5, points: { show: values.length < 120, size: 5 } }],
    axes: [{ ...axis, space: 70, values: TIMES }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => number(tick)) }],
  };
  new uPlot(options, [times, values], box);
}
