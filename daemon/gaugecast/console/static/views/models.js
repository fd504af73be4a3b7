// Which weights there are, what they do, and how well.
import { ask } from "../api.js";
import { fill, h, nothing } from "../dom.js";
import { ago, clock, count, percent, skillClass } from "../format.js";
import { bar } from "./overview.js";

const ROLES = { in_force: ["forecasts now", "good"], shadow: ["on trial, in shadow", "warn"] };

export function open(root) {
  root.className = "models";
  const body = h("div", {}, h("p", { class: "dim" }, "…"));
  fill(root, h("div", { class: "toolbar" }, h("h1", {}, "Models")), body);
  let timer = 0, closed = false;
  async function look() {
    try {
      const told = await ask("models");
      if (!closed) fill(body, render(told));
    } catch (fault) {
      if (!closed) fill(body, nothing("Models are not known now", fault.message));
    }
    if (!closed) timer = setTimeout(look, 5000);
  }
  look();
  return { back: () => { clearTimeout(timer); look(); }, close() { closed = true; clearTimeout(timer); } };
}

function render(told) {
  const fleets = Map.groupBy ? Map.groupBy(told.models, (one) => one.fleet) : group(told.models);
  const head = told.away ? h("p", { class: "note" }, "The daemon does not answer: roles and skill are not known, the weights on the disk are these.")
    : h("p", { class: "dim lead" }, `Learning is ${told.learning}. Skill, a model's own: ${told.skill_means}.`);
  if (!told.models.length) return [head, nothing("No weights are stored", "Forecasts repeat the last value until a model is learned (with TensorFlow installed), or imported: gaugecast models import.")];
  return [head, [...fleets].map(([fleet, rows]) => h("section", { class: "card" },
    h("header", { class: "card-head" }, h("h2", {}, fleet), told.lessons[fleet] && h("p", { class: "dim" }, told.lessons[fleet])),
    h("div", { class: "table-scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["Version", "What it does", "Skill", "", "Steps", "Units", "Made by", "Stored"].map((name) => h("th", {}, name)))),
      h("tbody", {}, rows.map(row))))))];
}

function group(rows) {
  const found = new Map();
  for (const one of rows) found.set(one.fleet, [...(found.get(one.fleet) ?? []), one]);
  return found;
}

function row(one) {
  const [words, state] = ROLES[one.role] ?? [one.good ? "last good one" : "kept", "dim"];
  return h("tr", { class: one.role ? "strong" : "" }, h("td", {}, h("code", {}, one.version)), h("td", {}, h("span", { class: `state ${state}` }, words)),
    h("td", { class: `num ${skillClass(one.skill)}` }, one.role ? percent(one.skill) : "–"), h("td", {}, one.role && bar(one.skill)),
    h("td", { class: "num" }, one.steps === null ? "–" : count(Math.round(one.steps))), h("td", { class: "num" }, one.layers || "–"), h("td", { class: "wrap" }, one.made_by || "–"),
    h("td", { title: clock(one.stored_at_s) }, ago(one.stored_at_s)));
}
