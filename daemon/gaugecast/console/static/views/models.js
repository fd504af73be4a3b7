// Which weights there are, what they do, and how well; whoever may change lets others forecast.
import { ask } from "../api.js";
import { access, change } from "../dialog.js";
import { fill, h, nothing, spark } from "../dom.js";
import { ago, clock, count, percent, skillClass, span } from "../format.js";
import { bar } from "./overview.js";

const CURVE_MS = 30000;
const ROLES = { in_force: ["forecasts now", "good"], shadow: ["on trial, in shadow", "warn"] };

export function open(root) {
  root.className = "models";
  const body = h("div", {}, h("p", { class: "dim" }, "…"));
  fill(root, h("div", { class: "toolbar" }, h("h1", {}, "Models")), body);
  let timer = 0, closed = false;
  const curves = new Map(); // by fleet, and when they were asked for
  async function look() {
    clearTimeout(timer);
    try {
      const [told, may] = await Promise.all([ask("models"), access()]);
      const fleets = [...new Set([...told.models.map((one) => one.fleet), ...Object.keys(told.experts)])];
      await Promise.all(fleets.map((fleet) => curve(fleet)));
      if (!closed && !document.querySelector("dialog[open]")) keepFocus(body, () => fill(body, render(told, may, { look, curves })));
    } catch (fault) {
      if (!closed) fill(body, nothing("Models are not known now", fault.message));
    }
    if (!closed) timer = setTimeout(look, 5000);
  }
  async function curve(fleet) {
    if (Date.now() - (curves.get(fleet)?.at ?? 0) < CURVE_MS) return;
    try {
      curves.set(fleet, { at: Date.now(), told: await ask("skill", { fleet }) });
    } catch { /* the table is one without a picture, too */ }
  }
  look();
  return { back: look, close() { closed = true; clearTimeout(timer); } };
}

// What has the focus is drawn anew, too.
function keepFocus(body, draw) {
  const at = [...body.querySelectorAll("button")].indexOf(document.activeElement);
  draw();
  if (at >= 0) body.querySelectorAll("button")[at]?.focus();
}

function render(told, may, { look, curves }) {
  const fleets = group(told.models);
  for (const name of Object.keys(told.experts)) if (!fleets.has(name)) fleets.set(name, []);
  const head = told.away ? h("p", { class: "note" }, "The daemon does not answer: roles and skill are not known, the weights on the disk are these.")
    : h("p", { class: "dim lead" }, `Learning is ${told.learning}. Skill, a model's own: ${told.skill_means}.`, !may.may_write && [" ", readOnly(may)]);
  if (!fleets.size) return [head, nothing("No weights are stored", "Forecasts repeat the last value until a model is learned (with TensorFlow installed), or imported: gaugecast models import.")];
  const acts = may.may_write && !told.away;
  return [head, [...fleets].map(([fleet, rows]) => h("section", { class: "card" },
    h("header", { class: "card-head" }, h("h2", {}, fleet, acts && h("span", { class: "acts" }, fleetActs(fleet, rows, look))), told.lessons[fleet] && h("p", { class: "dim" }, told.lessons[fleet])),
    skills(curves.get(fleet)?.told), experts(told.experts[fleet]),
    rows.length === 0 ? h("p", { class: "dim why-wait" }, "No weights are stored: forecasts repeat the last value, or are the linear experts', until a model is learned or imported.") : h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": `Models of ${fleet}` }, h("table", {}, h("thead", {}, h("tr", {}, ["Version", "What it does", "Skill", "Steps", "Units", "Made by", "Stored", ...(acts ? ["Change"] : [])].map((name) => h("th", {}, name)))),
      h("tbody", {}, rows.map((one) => row(one, acts, look)))))))];
}

// How well each feature was forecast, as far back as was looked; the line is the last value.
function skills(told) {
  if (!told?.at_s.length) return null;
  const length = span(Math.round(told.at_s.at(-1) - told.at_s[0]));
  return h("div", { class: "curves" }, Object.entries(told.skill).map(([feature, values]) => {
    const known = values.filter((one) => one !== null);
    return h("figure", {}, h("figcaption", {}, h("strong", {}, feature), h("span", { class: "dim" }, known.length ? ` skill over the last ${length}, now ` : " has no skill yet"), known.length ? h("span", { class: skillClass(known.at(-1)) }, percent(known.at(-1))) : null),
      spark(values.map((one) => (one === null ? null : Math.max(-0.5, one))), { width: 300, height: 60, limit: 0, most: 1 }));
  }));
}

// Who has which share in what is published.
function experts(features) {
  if (!features) return null;
  const names = [...new Set(Object.values(features).flatMap((spans) => Object.values(spans).flatMap(Object.keys)))];
  const key = (name) => `share share-${names.indexOf(name) % 6}`;
  return h("div", { class: "experts" }, h("p", { class: "legend dim" }, h("strong", {}, "Whose forecast is published"), names.map((name) => h("span", {}, h("i", { class: key(name) }), EXPERTS[name] ?? name))),
    h("div", { class: "shares" }, Object.entries(features).flatMap(([feature, spans]) => Object.entries(spans).map(([ahead, one]) => h("div", { class: "shares-row" }, h("span", {}, feature, h("span", { class: "dim" }, ` ${ahead} ahead`)),
      h("span", { class: "stack", role: "img", "aria-label": Object.entries(one).map(([name, each]) => `${name} ${percent(each.weight)}`).join(", ") }, Object.entries(one).map(([name, each]) => h("i", { class: key(name), style: { width: `${Math.max(0, each.weight) * 100}%` }, title: `${EXPERTS[name] ?? name}: share ${percent(each.weight)}, its own skill ${percent(each.skill)}` }))),
      h("span", { class: "dim" }, leader(one)))))));
}

const EXPERTS = { persistence: "the last value", linear: "linear", stacked: "linear, with the network", network: "the network", daily: "by the day", half_daily: "by half the day" };
function leader(one) {
  const [name, best] = Object.entries(one).sort((a, b) => b[1].weight - a[1].weight)[0];
  return `${EXPERTS[name] ?? name} ${percent(best.weight)}`;
}

export function readOnly(may) {
  return may.can_write ? h("a", { class: "link", href: "/login", target: "_self" }, "Give the token of those who may change something.") : "Nothing can be changed from here: [console] write_token_file would allow it.";
}

function fleetActs(fleet, rows, look) {
  const trial = rows.find((one) => one.role === "shadow"), now = rows.find((one) => one.role === "in_force");
  const after = (done) => done !== null && look();
  return [
    trial && h("button", { class: "small", onclick: () => change("models/promote", { fleet }, { title: `Let ${trial.version} forecast ${fleet}?`, action: "Promote",
      text: `It is on trial, with a skill of ${percent(trial.skill)}${now ? `; ${now.version}, which forecasts now, has ${percent(now.skill)}` : ""}. Forecasts are its own from the next step on. Roll back undoes it.` }).then(after) }, "Promote…"),
    now && h("button", { class: "small", onclick: () => change("models/rollback", { fleet }, { title: `Roll ${fleet} back?`, action: "Roll back", danger: true,
      text: `${now.version} no longer forecasts. The last good weights do; where there are none, the last value is repeated.` }).then(after) }, "Roll back…"),
  ];
}

function group(rows) {
  const found = new Map();
  for (const one of rows) found.set(one.fleet, [...(found.get(one.fleet) ?? []), one]);
  return found;
}

function row(one, acts, look) {
  const [words, state] = ROLES[one.role] ?? [one.good ? "last good one" : "kept", "dim"];
  const trial = () => change("models/shadow", { fleet: one.fleet, version: one.version }, { title: `Put ${one.version} on trial?`, action: "Put on trial",
    text: "It runs beside what forecasts now, unpublished, takes over once it has proven itself, and replaces what is on trial. It begins without knowing the streams; gaugecast models shadow lets it go over the ledger first." }).then((done) => done !== null && look());
  return h("tr", { class: one.role ? "strong" : "" }, h("td", {}, h("code", {}, one.version)), h("td", {}, h("span", { class: `state ${state}` }, words)),
    h("td", { class: "num" }, h("span", { class: `skill ${skillClass(one.role ? one.skill : null)}` }, one.role ? percent(one.skill) : "–", one.role && bar(one.skill))),
    h("td", { class: "num" }, one.steps === null ? "–" : count(Math.round(one.steps))), h("td", { class: "num" }, one.layers || "–"), h("td", { class: "wrap" }, one.made_by || "–"),
    h("td", { title: clock(one.stored_at_s) }, ago(one.stored_at_s)), acts && h("td", {}, one.role === null && h("button", { class: "small", onclick: trial, "aria-label": `Put ${one.version} on trial` }, "On trial…")));
}
