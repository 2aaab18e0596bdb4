// All pipelines in one table that can be sorted by each of its columns.

import { age, dollars, element, moment, number, percent, read } from "./dom.js";

const COLUMNS = [
  { key: "name", title: "Pipeline" },
  { key: "source", title: "Source" },
  { key: "sinks", title: "Sinks", nowrap: true },
  { key: "freshness", title: "Freshness", number: true, show: age },
  { key: "last_state", title: "Last run" },
  { key: "failures", title: "Failures 24 h", number: true, show: number, bad: (line) => line.failures > 0 },
  { key: "rows_today", title: "Rows today", number: true, show: number },
  { key: "spend", title: "Month's spend", number: true, bad: (line) => line.budget !== null && line.spend > line.budget },
  { key: "quarantined", title: "Quarantined", number: true, show: number, bad: (line) => line.quarantined > 0 },
  { key: "unresolved", title: "Unresolved", number: true, show: percent },
];

export async function showOverview(main, openPipeline) {
  const found = await read("api/overview");
  const head = element("tr");
  const body = element("tbody");
  const order = { key: "name", direction: "ascending" };
  const render = () => {
    body.replaceChildren(...sorted(found.pipelines, order).map((line) => row(line, openPipeline)));
    for (const cell of head.children) cell.setAttribute("aria-sort", cell.dataset.key === order.key ? order.direction : "none");
  };
  const sortBy = (key) => {
    order.direction = order.key === key && order.direction === "ascending" ? "descending" : "ascending";
    order.key = key;
    render();
  };
  for (const column of COLUMNS) {
    const button = element("button", { type: "button", onclick: () => sortBy(column.key) }, column.title);
    head.append(element("th", { scope: "col", class: column.number ? "number" : null, "data-key": column.key }, button));
  }
  render();
  const caption = element("caption", {}, `${number(found.pipelines.length)} pipelines. Times are UTC; as of ${moment(Date.parse(found.as_of) / 1000)}.`);
  const table = element("table", {}, caption, element("thead", {}, head), body);
  const notice = found.problem ? element("p", { class: "notice", role: "alert" }, `What is shown is old: ${found.problem}.`) : null;
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Pipelines" }, table);
  main.replaceChildren(element("h1", {}, "Pipelines"), ...(notice ? [notice] : []), scroll);
}

function row(line, openPipeline) {
  const cells = COLUMNS.map((column, i) => {
    const attributes = { class: [column.number && "number", column.nowrap && "nowrap", column.bad?.(line) && "bad"].filter(Boolean).join(" ") || null };
    if (i === 0) return element("th", { scope: "row" }, name(line, openPipeline));
    if (line.problem && i === 1) return element("td", { class: "bad", colspan: COLUMNS.length - 1 }, line.problem);
    return line.problem ? null : element("td", attributes, text(column, line));
  });
  return element("tr", {}, ...cells);
}

function name(line, openPipeline) {
  if (line.problem) return line.name;
  const href = `?dag_id=${encodeURIComponent(line.dag_id)}`;
  const follow = (event) => {
    event.preventDefault();
    openPipeline(line.dag_id);
  };
  return element("a", { href, onclick: follow }, line.name);
}

function text(column, line) {
  if (column.key === "spend") return line.budget === null ? dollars(line.spend) : `${dollars(line.spend)} of ${dollars(line.budget)}`;
  return (column.show ?? ((value) => value ?? "–"))(line[column.key]);
}

function sorted(lines, { key, direction }) {
  const sign = direction === "ascending" ? 1 : -1;
  const missing = (value) => value === null || value === "" || value === undefined;
  return [...lines].sort((a, b) => {
    if (missing(a[key]) || missing(b[key])) return missing(a[key]) - missing(b[key]);
    return sign * (typeof a[key] === "number" ? a[key] - b[key] : String(a[key]).localeCompare(String(b[key])));
  });
}
