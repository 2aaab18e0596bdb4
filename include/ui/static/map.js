// Where sampled rows of Gold lie, on a base map that is shipped with the page.

import { element, number, table } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 0.08;

export async function map({ cell, cells, sampled }) {
  if (!cells.length) return element("p", { class: "quiet" }, "No row of Gold has coordinates.");
  const box = bounds(cells, cell);
  const svg = shape("svg", { viewBox: box.join(" "), role: "img", "aria-label": `Map of ${number(sampled)} sampled rows` });
  const base = new DOMParser().parseFromString(await (await fetch("static/vendor/land.svg")).text(), "image/svg+xml");
  svg.append(shape("path", { class: "land", d: base.querySelector("path").getAttribute("d") }));
  const most = Math.max(...cells.map(([, , count]) => count));
  for (const [latitude, longitude, count] of cells) {
    const opacity = (0.25 + 0.75 * (Math.log1p(count) / Math.log1p(most))).toFixed(2);
    const square = shape("rect", { class: "cell", x: longitude, y: -latitude - cell, width: cell, height: cell, "fill-opacity": opacity });
    const title = shape("title", {});
    title.textContent = `${latitude}, ${longitude}: ${number(count)} rows`;
    square.append(title);
    svg.append(square);
  }
  const top = cells.slice(0, 10).map(([latitude, longitude, count]) => [`${latitude}, ${longitude}`, number(count)]);
  const words = `${number(sampled)} rows, a sample of live ones, in cells of ${cell}°`;
  const figure = element("figure", { class: "map" }, element("figcaption", { class: "quiet" }, words), svg);
  const details = element("details", {}, element("summary", {}, "Cells with the most rows"), table("South-west corner of the cell", [{ title: "Latitude, longitude" }, { title: "Rows", number: true }], top));
  return element("div", {}, figure, details);
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function bounds(cells, cell) {
  const [ys, xs] = [0, 1].map((i) => cells.map((each) => each[i]));
  const [west, east, south, north] = [Math.min(...xs), Math.max(...xs) + cell, Math.min(...ys), Math.max(...ys) + cell];
  const width = Math.max(east - west, 2 * (north - south), 1) * (1 + 2 * MARGIN);
  const height = width / 2;
  return [(west + east - width) / 2, -(north + south + height) / 2, width, height];
}
