// SPDX-FileCopyrightText: Animus Datalab contributors
// SPDX-License-Identifier: Apache-2.0
// Everything shown comes from the API with the person's own rights, and enters the page as text nodes only.
"use strict";

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const prefix = meta("prefix");
const api = prefix + "api/v1";
const headers = { "X-XSRFToken": meta("xsrf") };
const main = document.getElementById("main");
const ENDED = new Set(["succeeded", "failed", "canceled"]);
const LOG_LIMIT = 200000;

/** Build an element; strings become text nodes, never markup. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ""))));
  return node;
}

const path = (...parts) => parts.map(encodeURIComponent).join("/");
const link = (text, ...parts) => element("a", { href: prefix + path(...parts) }, text);
const stateOf = (state) => element("span", { class: `state ${state}` }, state);
const when = (text) => (text ? new Date(text).toLocaleString() : "");
const table = (titles, rows) =>
  element("table", {},
    element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", {}, title)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))))));

async function request(url) {
  const answer = await fetch(api + url, { headers });
  if (answer.status === 401) location.reload(); // the page itself signs in again
  if (!answer.ok) throw await answer.json();
  return answer;
}

const read = async (url) => (await request(url)).json();

/** Follow an event stream; resumes after a broken connection, ends when the server says that nothing more comes. */
async function follow(url, onEvent) {
  let last = 0;
  for (;;) {
    try {
      const answer = await request(`${url}?after=${last}`);
      if (answer.status === 204) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const data = block.split("\n").find((line) => line.startsWith("data: "));
          if (!data) continue;
          const event = JSON.parse(data.slice(6));
          last = event.event_id;
          onEvent(event);
        }
      }
    } catch (problem) {
      if (problem.code && !problem.retryable) throw problem;
    }
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

function trail(...parts) {
  document.getElementById("trail").replaceChildren(...parts.map(([text, ...to]) => link(text, ...to)));
}

async function showProjects() {
  const who = await read("/identity");
  const rows = who.memberships.map((item) => [link(item.project, "projects", item.project), item.role]);
  main.replaceChildren(element("h1", {}, "Your projects"),
    rows.length ? table(["Project", "Role"], rows) : element("p", { class: "muted" }, "You have no role in any project."));
}

async function showRuns(project) {
  trail([project, "projects", project]);
  const show = async () => {
    const page = await read(`/${path("projects", project, "runs")}?limit=50`);
    const rows = page.items.map((run) => [
      link(run.code.path, "projects", project, "runs", run.run_id), stateOf(run.state), run.run_class,
      run.created_by, when(run.created_at)]);
    main.replaceChildren(element("h1", {}, "Runs of ", project),
      rows.length ? table(["Notebook", "State", "Class", "By", "Submitted"], rows) : element("p", { class: "muted" }, "No runs yet."));
  };
  await show();
  let waiting = false; // a burst of changes is shown once
  await follow(`/${path("projects", project, "events")}`, () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; show(); }, 500);
  });
}

function showFailure(failure) {
  if (!failure) return element("div");
  return element("section", { class: "failure" }, element("h2", {}, `Failed: ${failure.reason}`),
    element("p", {}, failure.summary), failure.exception ? element("p", {}, element("code", {}, failure.exception)) : "",
    failure.remedy ? element("p", {}, failure.remedy) : "", failure.detail ? element("pre", {}, failure.detail) : "");
}

async function showRun(project, id) {
  const base = `/${path("projects", project, "runs", id)}`;
  trail([project, "projects", project], [id.slice(-12), "projects", project, "runs", id]);
  const run = await read(base);
  const parts = Object.fromEntries(["state", "failure", "cells", "metrics", "artifacts"].map((name) => [name, element("div")]));
  const log = element("pre", {}, "");
  const cells = new Map();
  const metrics = new Map();
  main.replaceChildren(element("h1", {}, run.code.path), parts.state, parts.failure,
    element("h2", {}, "Inputs"), table(["", ""], [
      ["Run", element("code", {}, run.run_id)], ["Commit", element("code", {}, run.code.commit)],
      ["Repository", run.code.repository], ["Class", run.run_class], ["By", run.created_by],
      ["Parameters", element("code", {}, JSON.stringify(run.parameters))],
      ["Datasets", run.datasets.map((item) => `${item.name} = ${item.dataset}@${item.ordinal}`).join(", ")],
      ["Limitations", run.limitations.join(", ") || "none"]]),
    element("h2", {}, "Cells"), parts.cells, element("h2", {}, "Metrics"), parts.metrics,
    element("h2", {}, "Artifacts"), parts.artifacts, element("h2", {}, "Output"), log);

  let total = run.progress.cells_total;
  const draw = {
    state: (state) => parts.state.replaceChildren(stateOf(state), " ",
      `${[...cells.values()].filter((cell) => cell.status !== "running").length} of ${total} cells `,
      total ? element("progress", { max: total, value: [...cells.values()].filter((cell) => cell.status === "ok").length }) : ""),
    cells: () => parts.cells.replaceChildren(table(["#", "Cell", "State", "Seconds"],
      [...cells.values()].map((cell) => [cell.cell_index + 1, cell.cell_id, cell.status, cell.seconds?.toFixed(2)]))),
    metrics: () => parts.metrics.replaceChildren(table(["Metric", "Step", "Value"],
      [...metrics.values()].map((metric) => [metric.name, metric.step, metric.value]))),
  };
  const finish = async () => {
    const ended = await read(base);
    const page = await read(`${base}/artifacts?limit=200`);
    parts.failure.replaceChildren(showFailure(ended.failure));
    parts.artifacts.replaceChildren(table(["Artifact", "Kind", "Bytes", "Digest"], page.items.map((item) => [
      element("a", { href: `${api}${base}/${path("artifacts", item.artifact_id, "content")}` }, item.name),
      item.kind, item.size_bytes, element("code", {}, item.digest)])));
  };
  let state = run.state;
  draw.state(state);
  if (ENDED.has(state)) await finish();
  await follow(`${base}/events`, (event) => {
    const data = event.data;
    if (event.type === "run.state") {
      state = data.state;
      if (ENDED.has(state)) finish();
    } else if (event.type === "notebook.started") total = data.cells_total;
    else if (event.type === "cell.started") cells.set(data.cell_id, { ...data, status: "running" });
    else if (event.type === "cell.ended") cells.set(data.cell_id, data);
    else if (event.type === "metric.logged") metrics.set(data.name, data);
    else if (event.type === "stream.written") log.textContent = (log.textContent + data.text).slice(-LOG_LIMIT);
    draw.state(state);
    if (event.type.startsWith("cell.")) draw.cells();
    if (event.type === "metric.logged") draw.metrics();
  });
}

async function show() {
  const parts = location.pathname.slice(prefix.length).split("/").map(decodeURIComponent);
  try {
    if (parts[0] !== "projects") await showProjects();
    else if (parts[2] !== "runs") await showRuns(parts[1]);
    else await showRun(parts[1], parts[3]);
  } catch (problem) {
    const text = problem.title ? `${problem.title}. ${problem.detail ?? ""} ${problem.remedy ?? ""}` : "Something went wrong.";
    main.replaceChildren(element("p", { class: "failure" }, text));
  }
}

show();
