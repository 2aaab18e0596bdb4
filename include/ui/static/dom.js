// Small helpers: elements are built with text nodes only, so that no value is ever read as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en-US"));
export const dollars = (value) => `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
export const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / size)} ${unit}`;
}

// A table whose rows are arrays of nodes or texts; columns: {title, number}
export function table(caption, columns, rows) {
  const kind = (column) => (column.number ? "number" : null);
  const head = columns.map((column) => element("th", { scope: "col", class: kind(column) }, column.title));
  const body = rows.map((row) =>
    element("tr", {}, ...row.map((cell, i) => element(i ? "td" : "th", { class: kind(columns[i]), scope: i ? null : "row" }, cell ?? "–"))),
  );
  const parts = [element("caption", {}, caption), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)];
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, element("table", {}, ...parts));
}

const PATIENCE = { attempts: 5, milliseconds: 2000 };

// Read JSON; while the api-server has not read the lake yet (503), ask again.
export async function read(path, attempt = 1) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (response.status === 503 && attempt < PATIENCE.attempts) {
    await new Promise((resolve) => setTimeout(resolve, PATIENCE.milliseconds));
    return read(path, attempt + 1);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(typeof answer.detail === "string" ? answer.detail : `Airflow answers ${response.status}`);
  return answer;
}
