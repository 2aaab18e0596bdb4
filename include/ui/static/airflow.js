// The page in its frame inside Airflow's UI: links out of the frame, Airflow's trigger form, and its light or dark theme.

const framed = window.parent !== window;
const base = new URL("..", document.baseURI).pathname.replace(/\/$/, "");

export const dagUrl = (dagId) => `${base}/dags/${encodeURIComponent(dagId)}`;
export const runUrl = (dagId, runId) => `${dagUrl(dagId)}/runs/${encodeURIComponent(runId)}`;

// The sandbox of the frame forbids that a link in it opens elsewhere than in it; a link of Airflow's own document may.
export function open(url) {
  if (!framed) {
    window.location.assign(url);
    return;
  }
  const link = window.parent.document.createElement("a");
  link.href = url;
  window.parent.document.body.append(link);
  link.click();
  link.remove();
}

// Airflow's trigger form has no address of its own: its button is pressed where it is, else the DAG's page is opened.
export function openTriggerForm(dagId) {
  const here = framed && window.parent.location.pathname.startsWith(dagUrl(dagId));
  const button = here && window.parent.document.querySelector('[data-testid="trigger-dag-button"]');
  if (button) button.click();
  else open(dagUrl(dagId));
}

const isDark = () => {
  const theme = framed ? window.parent.document.documentElement : null;
  if (theme?.classList.contains("dark")) return true;
  if (theme?.classList.contains("light")) return false;
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
};

export function followTheme(changed) {
  const apply = () => {
    if (document.documentElement.classList.toggle("dark", isDark()) !== apply.last) {
      apply.last = isDark();
      changed();
    }
  };
  apply.last = isDark();
  document.documentElement.classList.toggle("dark", apply.last);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  if (framed) new MutationObserver(apply).observe(window.parent.document.documentElement, { attributeFilter: ["class"] });
}
