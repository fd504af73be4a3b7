// What was wrong, and what was foretold: what is open, and what has been; whoever may change acknowledges and silences.
import { address, ask } from "../api.js";
import { access, change as act } from "../dialog.js";
import { fill, h, icon, nothing } from "../dom.js";
import { ago, clock, count, span } from "../format.js";

const KINDS = { anomaly: "anomalies", crossing: "crossings" }, PAGE = 100, EVERY_MS = 3000;

export function open(root, { parameters }) {
  root.className = "events";
  const wanted = { state: parameters.state ?? "", kind: parameters.kind ?? "", search: parameters.search ?? "", fleet: parameters.fleet ?? "", stream: parameters.stream ?? "", limit: PAGE };
  const search = h("input", { type: "search", placeholder: "Search streams, features, reasons", "aria-label": "Search", value: wanted.search, spellcheck: "false" });
  const states = h("div", { class: "chips", role: "group", "aria-label": "Which" }), kinds = h("div", { class: "chips", role: "group", "aria-label": "Kind" });
  const told = h("p", { class: "dim told", role: "status" }), body = h("div", {}, h("p", { class: "dim" }, "…"));
  fill(root, h("div", { class: "toolbar" }, h("h1", {}, "Events"), h("label", { class: "search" }, icon("search", 16), search), states, kinds, told), body);
  let timer = 0, typing = 0, closed = false, drawn = "", asked = 0;

  async function look() {
    clearTimeout(timer);
    const mine = ++asked;
    try {
      const [answer, may] = await Promise.all([ask("events", wanted), access()]);
      if (closed || mine !== asked) return;
      chips(answer);
      told.textContent = answer.total > answer.rows.length ? `${count(answer.rows.length)} of ${count(answer.total)}` : count(answer.total);
      const now = JSON.stringify(answer.rows);
      if (now !== drawn) fill(body, answer.rows.length ? [list(answer.rows, may, look), answer.total > answer.rows.length && more()] : empty(answer));
      drawn = now;
    } catch (fault) {
      if (closed || mine !== asked) return;
      fill(body, nothing("Events are not known now", fault.message));
      drawn = "";
    }
    if (!closed) timer = setTimeout(look, EVERY_MS);
  }
  function change(news) {
    Object.assign(wanted, { limit: PAGE }, news);
    const { limit, ...shown } = wanted;
    history.replaceState(null, "", address("/events", shown));
    look();
  }
  function chips({ open, kept }) {
    const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);
    const chip = (key, value, words, many) => h("button", { class: "chip", "data-key": `${key}:${value}`, "aria-pressed": String(wanted[key] === value), onclick: () => change({ [key]: wanted[key] === value ? "" : value }) }, words, many !== null && h("b", {}, count(many)));
    const held = document.activeElement?.dataset?.key;
    fill(states, chip("state", "open", "open", sum(open)), chip("state", "past", "past", sum(kept) - sum(open)));
    fill(kinds, Object.entries(KINDS).map(([kind, words]) => chip("kind", kind, words, kept[kind] ?? 0)),
      wanted.stream && h("button", { class: "chip", "aria-pressed": "true", onclick: () => change({ stream: "", fleet: "" }) }, `of ${wanted.stream} ×`));
    if (held) root.querySelector(`[data-key="${held}"]`)?.focus();
  }
  const more = () => h("p", { class: "more" }, h("button", { class: "small", onclick: () => { wanted.limit = Math.min(500, wanted.limit + PAGE); look(); } }, "Show more"));
  function empty({ kept }) {
    if (Object.keys(kept).length) return nothing("No event fits", "Nothing of that kind is open, or was.");
    return nothing("Nothing has happened", "Where a fleet has a table [fleet.NAME.anomaly], what is strange is told here with its reason; where it has thresholds, what is expected to cross them.");
  }
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => change({ search: search.value }), 150); });
  look();
  return { back: look, close() { closed = true; clearTimeout(timer); clearTimeout(typing); } };
}

const list = (rows, may, look) => h("section", { class: "card" }, h("ul", { class: "rows", "aria-label": "Events" }, rows.map((one) => h("li", { class: "with-acts" }, line(one), may.may_write && acts(one, look)))));

// Whoever may change something says that it is known, or wants no noise of it.
function acts(one, look) {
  if (one.kind !== "anomaly" || one.ended_s !== null) return null;
  const where = { fleet: one.fleet, stream: one.stream }, after = (done) => done !== null && look();
  return h("span", { class: "acts" },
    !one.acknowledged && h("button", { class: "small", onclick: () => act("streams/acknowledge", where, { title: `Acknowledge ${one.stream}?`, action: "Acknowledge", text: "Whoever looks sees that somebody knows of it. It is told on, and ends by itself." }).then(after) }, "Acknowledge…"),
    h("button", { class: "small", onclick: () => act("streams/silence", (hours) => ({ ...where, for_s: (Number(hours.replace(",", ".")) || 0) * 3600 }), { title: `Silence ${one.stream}?`, action: "Silence", text: "Its anomalies are told as silenced for so many hours, which alarms leave out; 0 ends it.", field: { label: "Hours", value: "8" } }).then(after) }, "Silence…"));
}

// A line that leads to the stream at that time, where it is explained; also for the overview.
export function line(one) {
  const ended = one.ended_s !== null, width = Math.max(60, (one.told_s - one.began_s) * 3);
  const place = address("/stream", { fleet: one.fleet, stream: one.stream, feature: one.feature, ...(ended || one.kind === "anomaly" ? { from: (one.began_s - width / 3).toFixed(1), to: (one.told_s + width / 3).toFixed(1) } : {}), why: one.alarm_s });
  const kind = ended || one.severity === "silenced" ? "dim" : one.severity === "critical" || one.foretold?.crossed_s ? "bad" : "warn";
  return h("a", { href: place, class: `row event ${ended ? "ended" : ""}` }, h("span", { class: `state ${kind}` }, label(one)),
    h("span", { class: "what" }, h("strong", {}, one.stream), ` ${one.feature}`, one.acknowledged && h("span", { class: "tag" }, "acknowledged"), h("span", { class: "dim block" }, one.words || "no reason was told")),
    h("span", { class: "right", title: `${clock(one.began_s)}${ended ? ` to ${clock(one.ended_s)}` : ""}` }, ended ? clock(one.began_s) : `since ${clock(one.began_s)}`, h("span", { class: "dim block" }, when(one, ended))));
}

function label(one) {
  if (one.kind === "anomaly") return one.severity || "anomaly";
  return one.foretold.crossed_s ? "crossed" : "foretold";
}

function when(one, ended) {
  const peak = one.peak !== null ? `, at most ${one.peak.toFixed(1)}× the limit` : "";
  if (ended) return `for ${span(Math.max(0, one.ended_s - one.began_s))}${peak}`;
  const told = one.foretold;
  if (told && !told.crossed_s && told.median_s) return `at ${clock(told.median_s)} (${clock(told.early_s)} … ${clock(told.late_s)})`;
  return `told ${ago(one.told_s)}${peak}`;
}
