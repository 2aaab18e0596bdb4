// Entry point: the address decides between the overview and the page of one pipeline.

import { followTheme } from "./airflow.js";
import { element } from "./dom.js";
import { showOverview } from "./overview.js";
import { showPipeline } from "./pipeline.js";

const main = document.getElementById("main");
let redraw = () => {};

async function show() {
  const query = new URLSearchParams(window.location.search);
  const dagId = query.get("dag_id");
  main.setAttribute("aria-busy", "true");
  redraw = () => {};
  try {
    if (dagId) redraw = await showPipeline(main, dagId, query.get("run_id"), () => go(null));
    else await showOverview(main, go);
    document.title = `Medallion: ${dagId ?? "pipelines"}`;
  } catch (error) {
    const back = element("button", { class: "link", type: "button", onclick: () => go(null) }, "All pipelines");
    main.replaceChildren(element("p", { class: "notice", role: "alert" }, error.message), back);
  }
  main.removeAttribute("aria-busy");
}

async function go(dagId) {
  window.history.pushState({}, "", dagId ? `?dag_id=${encodeURIComponent(dagId)}` : window.location.pathname);
  await show();
  main.focus();
  window.scrollTo(0, 0);
}

window.addEventListener("popstate", show);
window.addEventListener("resize", () => redraw());
followTheme(() => redraw());
await show();
