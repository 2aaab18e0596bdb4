// The page of one pipeline.

import { dagUrl, open, openTriggerForm, runUrl } from "./airflow.js";
import { age, dollars, element, moment, number, percent, read, table } from "./dom.js";
import { map } from "./map.js";
import { plot } from "./plots.js";

const ACTIONS = [
  ["Replay quarantine", "Replay quarantine", (dagId) => dagId],
  ["Reload rows", "Reload rows where, or Reload keys", (dagId) => dagId],
  ["Refresh look-ups", "Refresh look-ups", (dagId) => dagId],
  ["Full refresh", "Full refresh", (dagId) => dagId],
  ["Reconcile", "Pipeline", () => "medallion_reconcile"],
];
const PLOTS = [
  ["Rows read", "rows", "rows"],
  ["Duration", "seconds", "duration"],
  ["Lag", "transactions", "lag"],
  ["Spend", "US dollars", "spend"],
];

export async function showPipeline(main, dagId, runId, back) {
  const found = await read(`api/dags/${encodeURIComponent(dagId)}`);
  const plots = PLOTS.map(([title, unit, key]) => plot(title, unit, found.points.time, found.points[key]));
  const parts = [
    element("button", { class: "link", type: "button", onclick: back }, "All pipelines"),
    element("h1", {}, found.name),
    element("p", { class: "quiet" }, summary(found.line)),
    found.problem ? element("p", { class: "notice", role: "alert" }, `What is shown is old: ${found.problem}.`) : null,
    layers(found.layers),
    found.may_trigger ? actions(dagId) : null,
    section("Runs over time", element("div", { class: "plots" }, ...plots)),
    element("div", { class: "two" }, statuses(found), quarantine(found.quarantine)),
    section("Row accounting of the last runs", accounting(found, runId)),
    section("Schema changes, reconciles, repairs, full refreshes, reloads and replays", timeline(found)),
    found.data ? data(dagId) : null,
  ];
  main.replaceChildren(...parts.filter(Boolean));
  plots.forEach((figure) => figure.draw());
  return () => plots.forEach((figure) => figure.draw());
}

const section = (title, ...content) => element("section", {}, element("h2", {}, title), ...content);

function summary(line) {
  const spend = line.budget === null ? dollars(line.spend) : `${dollars(line.spend)} of ${dollars(line.budget)}`;
  return `${line.source} to ${line.sinks}. Freshness ${age(line.freshness)}, ${number(line.failures)} failures in 24 hours, ${number(line.rows_today)} rows today, spend this month ${spend}.`;
}

function layers(found) {
  const items = found.map((layer) => {
    const facts = [["rows", layer.rows], ["position", layer.position]].filter(([, value]) => value !== null);
    const list = facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, typeof value === "number" ? number(value) : value)]);
    return element("li", {}, element("h3", {}, layer.name), element("div", {}, layer.table || "–"), element("div", { class: "quiet" }, layer.last || "no run recorded yet"), element("dl", {}, ...list));
  });
  const note = "Counts of the last run; rows as the last reconcile counted them; position: transaction ids below it are held, and with read: log, changes up to that place in the log.";
  return section("Layers", element("ol", { class: "layers" }, ...items), element("p", { class: "quiet" }, note));
}

function actions(dagId) {
  const buttons = ACTIONS.map(([title, field, target]) =>
    element("button", { class: "action", type: "button", title: `In the form: ${field}`, onclick: () => openTriggerForm(target(dagId)) }, `${title} …`),
  );
  const dag = element("button", { class: "action", type: "button", onclick: () => open(dagUrl(dagId)) }, "DAG in Airflow");
  return section("Trigger", element("p", { class: "quiet" }, "Opens Airflow's trigger form, where the option of the same name is chosen."), element("div", {}, ...buttons, dag));
}

function statuses(found) {
  const rows = Object.entries(found.statuses).map(([status, keys]) => [status, number(keys)]);
  const caption = `Cache hit rate ${percent(found.cache_hit_rate)}; unresolved in 30 days ${percent(found.line.unresolved)}`;
  return section("Look-ups by status", table(caption, [{ title: "Status" }, { title: "Keys", number: true }], rows));
}

function quarantine(reasons) {
  const rows = Object.entries(reasons).map(([reason, count]) => [reason, number(count)]);
  if (!rows.length) return section("Quarantine by reason", element("p", { class: "quiet" }, "No row is quarantined."));
  const caption = "Rows that wait for a fix in the source, or for a replay";
  return section("Quarantine by reason", table(caption, [{ title: "Reason" }, { title: "Rows", number: true }], rows));
}

function accounting(found, runId) {
  const names = found.layers.slice(2).map((layer) => layer.name.toLowerCase());
  const rare = (sign, count) => (count ? `${sign}${number(count)} ` : "");
  const outcome = (sink) =>
    sink ? `+${number(sink.inserted)} ~${number(sink.updated)} ${rare("-", sink.deleted)}${rare("!", sink.withdrawn)}=${number(sink.superseded)}` : "–";
  const rows = found.runs.map((run) => [
    link(found.dag_id, run.run_id, moment(run.time), run.run_id === runId),
    run.kind,
    number(run.read),
    ...names.map((name) => outcome(run.sinks[name])),
    number(run.quarantined),
    number(run.unchanged),
    `${number(run.keys)} / ${number(run.calls)}`,
    dollars(run.spend),
  ]);
  const titles = ["Ended (UTC)", "Kind", "Read", ...names, "Quarantined", "Unchanged", "Keys / calls", "Spend"];
  const columns = titles.map((title, i) => ({ title, number: i > 1 }));
  return table("For each sink: + inserted, ~ updated, - deleted, ! withdrawn because the new version is quarantined, = superseded by a newer version", columns, rows);
}

function link(dagId, runId, text, current) {
  if (!runId) return text;
  const attributes = { class: "link", type: "button", "aria-current": current ? "true" : null, onclick: () => open(runUrl(dagId, runId)) };
  return element("button", attributes, current ? `${text} (this run)` : text);
}

function timeline(found) {
  const rows = found.timeline.map((event) => [moment(event.time), event.kind, event.text]);
  if (!rows.length) return element("p", { class: "quiet" }, "Nothing yet.");
  return table("Newest first", [{ title: "Time (UTC)" }, { title: "What" }, { title: "Details" }], rows);
}

function data(dagId) {
  const path = `api/dags/${encodeURIComponent(dagId)}`;
  const show = (box, draw) => async () => {
    box.replaceChildren(element("p", { role: "status" }, "Reading Gold …"));
    try {
      box.replaceChildren(await draw());
    } catch (error) {
      box.replaceChildren(element("p", { class: "notice", role: "alert" }, error.message));
    }
  };
  const [mapBox, rowBox] = [element("div", { "aria-live": "polite" }), element("div", { "aria-live": "polite" })];
  const drawMap = show(mapBox, async () => map(await read(`${path}/map`)));
  const drawRows = show(rowBox, async () => preview(await read(`${path}/rows`)));
  return section(
    "Gold",
    element("p", { class: "quiet" }, "Rows are shown because MEDALLION_PAGE_DATA is on. Masked and excluded columns are left out."),
    element("button", { class: "action", type: "button", onclick: drawMap }, "Show map"),
    element("button", { class: "action", type: "button", onclick: drawRows }, "Show rows"),
    mapBox,
    rowBox,
  );
}

function preview({ columns, rows }) {
  if (!rows.length) return element("p", { class: "quiet" }, "Gold has no live rows.");
  return table(`${number(rows.length)} rows of Gold`, columns.map((title) => ({ title })), rows.map((row) => row.map((value) => value ?? "NULL")));
}
