// The configuration with what each key means, and a message tried on it.
import { ask, post } from "../api.js";
import { fill, h, icon, nothing } from "../dom.js";
import { clock, number, withUnit } from "../format.js";

export function open(root) {
  root.className = "config";
  const topic = h("input", { type: "text", id: "try-topic", placeholder: "plant/north/tank-7/telemetry", spellcheck: "false", autocomplete: "off" });
  const payload = h("textarea", { id: "try-payload", rows: "4", placeholder: '{"t": 1767225600, "pressure": 2.5}', spellcheck: "false" });
  const verdict = h("div", { class: "verdict", role: "status" }), button = h("button", { class: "primary", type: "submit" }, "Try it");
  const form = h("form", { class: "card tester" }, h("header", { class: "card-head" }, h("h2", {}, "Try a message"), h("p", { class: "dim" }, "What would become of it, by the file as it is now. Nothing of it reaches the daemon.")),
    h("div", { class: "tester-body" }, h("div", {}, h("label", { for: "try-topic" }, "Topic"), topic, h("label", { for: "try-payload" }, "Payload"), payload, button), verdict));
  const search = h("input", { type: "search", placeholder: "Search keys", "aria-label": "Search keys", spellcheck: "false" });
  const only = h("input", { type: "checkbox", id: "only" }), source = h("p", { class: "dim told" }), tables = h("div", { class: "settings" });
  fill(root, h("div", { class: "toolbar" }, h("h1", {}, "Configuration"), h("label", { class: "search" }, icon("search", 16), search), h("label", { class: "check", for: "only" }, only, "only what is not the default"), h("a", { class: "link manual-link", href: "/docs/" }, "Documentation"), source), form, tables);
  let told = null, closed = false;

  async function look() {
    try {
      told = await ask("config");
      if (closed) return;
      source.textContent = told.source;
      paint();
    } catch (fault) {
      if (!closed) fill(tables, nothing("The file cannot be used", fault.message));
    }
  }
  function paint() {
    if (!told) return;
    const word = search.value.trim().toLowerCase();
    const fits = (place, key) => (!only.checked || key.set) && (!word || `${place}.${key.key} ${key.meaning}`.toLowerCase().includes(word));
    const found = told.tables.map((table) => ({ ...table, keys: table.keys.filter((key) => fits(table.place, key)) })).filter((table) => table.keys.length);
    fill(tables, found.length ? found.map(render) : nothing("No key fits", "Try another word."));
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      fill(verdict, judged(await post("try", { topic: topic.value.trim(), payload: payload.value })));
    } catch (fault) {
      fill(verdict, h("p", { class: "bad" }, fault.message));
    } finally {
      button.disabled = false;
    }
  });
  search.addEventListener("input", paint);
  only.addEventListener("change", paint);
  try {
    const given = JSON.parse(sessionStorage.getItem("try") ?? "null");
    sessionStorage.removeItem("try");
    if (given) {
      topic.value = given.topic;
      payload.value = given.payload;
      form.requestSubmit();
    }
  } catch { /* nothing was given */ }
  look();
  return { back: look, close() { closed = true; } };
}

function judged(told) {
  return [h("p", { class: `verdict-line ${told.readings.length ? "good" : told.refused.length ? "bad" : "warn"}` }, told.verdict),
    told.readings.map((one) => h("dl", { class: "facts" }, fact("stream", h("strong", {}, one.stream), h("span", { class: "dim" }, `  fleet ${one.fleet}`)),
      fact("time", clock(one.at_s), h("span", { class: "dim" }, one.time_from === "payload" ? "  from the payload" : "  its arrival")),
      Object.entries(one.values).map(([name, value]) => fact(name, value === null ? h("span", { class: "dim" }, "absent") : withUnit(number(value), one.units[name]))))),
    told.readings.length ? told.refused.map((one) => h("p", { class: "warn" }, `${one.reason}: ${one.detail}`)) : null];
}

const fact = (name, ...value) => [h("dt", {}, name), h("dd", {}, value)];

function render(table) {
  const state = table.in_force === null ? null : table.in_force ? h("span", { class: "tag good" }, "in force") : h("span", { class: "tag warn" }, "not in force yet: reload, or start, the daemon");
  return h("section", { class: "card" }, h("header", { class: "card-head" }, h("h2", {}, h("code", {}, `[${table.place}]`), state), h("p", { class: "dim" }, table.about)),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": `Keys of ${table.place}` }, h("table", { class: "keys" }, h("tbody", {}, table.keys.map((key) => h("tr", { class: key.set ? "strong" : "" }, h("td", {}, h("code", {}, key.key)),
      h("td", {}, key.value === null ? h("span", { class: "dim" }, "–") : h("code", {}, key.value), key.set && key.default !== null && h("span", { class: "dim block" }, `default ${key.default}`)), h("td", { class: "dim wrap" }, key.meaning)))))));
}
