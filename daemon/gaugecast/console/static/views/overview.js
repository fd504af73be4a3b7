// What the daemon does now, what will happen next, what went otherwise than expected.
import { address, ask } from "../api.js";
import { fill, h, nothing, spark } from "../dom.js";
import { line } from "./events.js";
import { ago, bytes, count, number, percent, plural, rate, signed, skillClass, span, withUnit } from "../format.js";

const EVERY_MS = 2000, TRAIL = 120;
const trail = { readings: [], forecasts: [] }; // of this page, look by look

export function open(root) {
  const hero = h("section", { class: "hero" });
  const notes = h("section", { class: "notes", "aria-label": "What should be looked at" });
  const tiles = h("section", { class: "tiles", "aria-label": "Figures" });
  const next = card("What will happen next", "Crossings of thresholds that are foretold, the soonest first");
  const events = card("Open events", "What is strange now, since when, and why");
  const worst = card("Worst surprises", "Last readings that were forecast worst, in usual residuals of their kind");
  const learning = card("Learning", "How much better than the last value each feature is forecast");
  root.className = "overview";
  fill(root, h("h1", { class: "hidden" }, "Overview"), hero, notes, tiles, h("div", { class: "columns" }, events.box, next.box), h("div", { class: "columns" }, worst.box, learning.box));
  let timer = 0, closed = false;

  async function look() {
    try {
      const [crossings, surprises, told] = await Promise.all([ask("crossings", { limit: 6 }), ask("surprises", { limit: 6 }), ask("events", { state: "open", kind: "anomaly", limit: 6 })]);
      if (closed) return;
      fill(next.body, crossings.rows.length ? crossingList(crossings) : noCrossings(shown));
      fill(events.body, told.rows.length ? eventList(told) : noEvents(shown, told));
      fill(worst.body, surprises.rows.length ? surpriseList(surprises) : nothing("Nothing to compare yet", "Once streams have had two readings, the worst forecasts stand here."));
    } catch (fault) {
      if (closed) return;
      for (const one of [events, next, worst]) if (!one.body.children.length) fill(one.body, nothing("Not known", fault.message));
    }
    timer = setTimeout(look, EVERY_MS);
  }
  let shown = null;
  look();

  return {
    status(status, { consoleAway }) {
      if (!status) return;
      shown = status.status;
      tellHero(hero, status, consoleAway);
      if (!shown) return fill(learning.body, nothing("Not known", "The daemon has not answered yet."));
      if (!status.away && !consoleAway) remember(shown);
      fill(notes, warnings(shown));
      fill(tiles, figures(shown));
      fill(learning.body, lessons(shown));
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function card(title, about) {
  const body = h("div", { class: "card-body" });
  return { body, box: h("section", { class: "card" }, h("header", { class: "card-head" }, h("h2", {}, title), h("p", { class: "dim" }, about)), body) };
}

function tellHero(hero, status, consoleAway) {
  const now = status.status, well = !status.away && !consoleAway && now?.doing.verb === "forecasting";
  const state = status.away || consoleAway ? "bad" : well ? (now.degraded.length ? "warn" : "good") : "warn";
  const about = now ? [now.version && `gaugecast ${now.version}`, now.uptime_s !== null && !status.away && `up ${span(Math.floor(now.uptime_s))}`, now.broker.address && `broker ${now.broker.address}${now.broker.connected ? "" : ", not connected"}`] : [];
  fill(hero, h("span", { class: `beacon ${state}` }),
    h("div", {}, h("p", { class: "sentence" }, `${status.sentence.charAt(0).toUpperCase()}${status.sentence.slice(1)}`),
      h("p", { class: "dim" }, about.filter(Boolean).join(" · ") || status.away)));
}

const DEGRADED = {
  storage_full: "The disk is full: commits wait for space.", storage_busy: "Another process holds the ledger.",
  storage_fault: "The state directory cannot be looked at.", damaged: "A part of the ledger is not what was written.",
  lag: "The broker confirms too slowly: reading waits for it.", checkpoint: "The last checkpoint failed.",
  refused: "The broker refused forecasts; they are offered again.", quarantine: "After an unclean end, messages are taken one by one.",
  qos: "The broker granted less than QoS 1: what comes while we are away is lost.",
};

function warnings(now) {
  const told = [...now.degraded.map((one) => DEGRADED[one] ?? `Degraded: ${one}.`), now.reload_refused, now.storage.damage, now.storage.fault, now.broker.lowered, ...now.put_away, ...now.warnings];
  const absent = Object.entries(now.fleets).filter(([, fleet]) => fleet.never_came?.length).map(([name, fleet]) => `${name}: ${fleet.never_came.join(", ")} never came.`);
  return [...told.filter(Boolean), ...absent].map((text) => h("p", { class: "note" }, text));
}

function remember(now) {
  for (const [list, value] of [[trail.readings, now.rates.readings_per_s], [trail.forecasts, now.rates.forecasts_per_s]]) {
    list.push(value);
    if (list.length > TRAIL) list.shift();
  }
}

function total(now, key) {
  return Object.values(now.fleets).reduce((sum, fleet) => sum + (fleet.counts[key] ?? 0), 0);
}

const rejected = (now) => Object.values(now.fleets).flatMap((fleet) => Object.values(fleet.counts.rejects)).reduce((sum, one) => sum + one, 0);

function figures(now) {
  const works = Object.values(now.fleets).map((fleet) => fleet.streams).filter(Boolean);
  const sum = (key) => works.reduce((all, one) => all + one[key], 0);
  const refused = rejected(now), storage = now.storage, sending = now.publishing;
  const beside = [sum("stale") && `${count(sum("stale"))} silent`, sum("parked") && `${count(sum("parked"))} parked`].filter(Boolean).join(", ");
  return [
    tile("Readings", rate(now.rates.readings_per_s), "per second", { picture: spark(trail.readings, { width: 96, height: 30 }), note: `${count(total(now, "received"))} since the start` }),
    tile("Forecasts", rate(now.rates.forecasts_per_s), "per second", { picture: spark(trail.forecasts, { width: 96, height: 30 }), note: sending.latency_s === null ? "" : `${span(sending.latency_s)} after the reading` }),
    tile("Streams", count(sum("active")), "", { note: beside || "all of them speak", href: "/streams", state: sum("stale") ? "warn" : "" }),
    tile("On their way", count(sending.unconfirmed), "", { note: sending.connected ? "not confirmed by the broker yet" : "the broker is not connected", state: sending.connected && sending.unconfirmed < 1000 ? "" : "warn" }),
    tile("Refused", count(refused), "", { note: refused ? "see what, and why" : "everything could be read", href: "/refused", state: refused ? "warn" : "" }),
    tile("Kept", bytes(storage.ledger_bytes), "", { note: [storage.disk_free_bytes !== null && `${bytes(storage.disk_free_bytes)} free`, storage.checkpoint_age_s !== null && `checkpoint ${storage.checkpoint_age_s < 2 ? "just now" : `${span(Math.floor(storage.checkpoint_age_s))} ago`}`].filter(Boolean).join(" · "), state: storage.checkpoint_failure || storage.holding ? "bad" : "" }),
  ];
}

function tile(name, value, unit, { note = "", picture = null, href = null, state = "" }) {
  return h(href ? "a" : "div", { class: `tile ${state}`, href }, h("span", { class: "tile-name" }, name),
    h("span", { class: "tile-row" }, h("span", { class: "tile-value" }, value, unit && h("small", {}, unit)), picture), h("span", { class: "tile-note dim" }, note));
}

const page = (row) => address("/stream", { fleet: row.fleet, stream: row.stream, feature: row.feature });

function crossingList({ rows, total: all }) {
  return [h("ul", { class: "rows" }, rows.map((row) => {
    const one = row.crossing, soon = one.crossed ? "now" : span(Math.max(1, Math.round(one.median_s)));
    return h("li", {}, h("a", { href: page(row), class: "row" }, h("span", { class: `when ${one.crossed ? "bad" : "warn"}` }, soon),
      h("span", { class: "what" }, h("strong", {}, row.stream), ` ${row.feature}`, h("span", { class: "dim block" }, row.crossing_words)),
      !one.crossed && one.probability !== null && h("span", { class: "meter", title: `P = ${one.probability.toFixed(2)}` }, h("i", { style: { width: `${Math.round(one.probability * 100)}%` } }))));
  })), all > rows.length && h("p", { class: "more" }, h("a", { href: "/streams?sort=crossing" }, `and ${all - rows.length} more`))];
}

function eventList({ rows, total: all }) {
  return [h("ul", { class: "rows" }, rows.map((one) => h("li", {}, line(one)))), all > rows.length && h("p", { class: "more" }, h("a", { href: "/events?state=open&kind=anomaly" }, `and ${all - rows.length} more`))];
}

function noEvents(now, { kept }) {
  const watched = Object.values(now?.fleets ?? {}).some((fleet) => fleet.anomalies);
  const past = kept.anomaly ? h("a", { class: "button", href: "/events?state=past" }, `${plural(kept.anomaly, "past event")}`) : null;
  return watched ? nothing("Nothing is wrong", "No stream behaves otherwise than is usual for it.", past)
    : nothing("Nobody looks for anomalies", "Add a table [fleet.NAME.anomaly], be it empty: then what is strange is told here, with its reason, and over MQTT.", past);
}

function noCrossings(now) {
  const marks = Object.values(now?.fleets ?? {}).some((fleet) => fleet.crossings?.length);
  return marks ? nothing("Nothing is foretold", "No threshold is expected to be crossed within its reach.")
    : nothing("No thresholds yet", "Add [[fleet.NAME.threshold]] with feature, above or below, and within: then crossings are foretold here, and over MQTT.");
}

function surpriseList({ rows }) {
  return h("ul", { class: "rows" }, rows.map((row) => h("li", {}, h("a", { href: page(row), class: "row" },
    h("span", { class: `when ${row.surprise >= 4 ? "bad" : row.surprise >= 2 ? "warn" : "dim"}` }, `${row.surprise.toFixed(1)}×`),
    h("span", { class: "what" }, h("strong", {}, row.stream), ` ${row.feature}`,
      h("span", { class: "dim block" }, `${withUnit(number(row.observed), row.unit)} came, ${withUnit(number(row.predicted, row.observed), row.unit)} was expected`)),
    h("span", { class: "right" }, signed(row.residual, row.observed), h("span", { class: "dim block" }, ago(row.at_s)))))));
}

function lessons(now) {
  const fleets = Object.entries(now.fleets).filter(([, fleet]) => fleet.streams);
  if (!fleets.length) return nothing("No fleet has begun", "Streams appear with their first reading.");
  return [h("div", { class: "lessons" }, fleets.map(([name, fleet]) => h("div", { class: "lesson" },
    h("div", { class: "lesson-head" }, h("strong", {}, name), h("span", { class: "tag" }, fleet.model ? `model ${fleet.model}` : "persistence"),
      h("span", { class: "dim" }, plural(fleet.streams.active, "stream"))),
    Object.entries(fleet.features).map(([feature, score]) => h("div", { class: "score" }, h("span", {}, feature), bar(score.skill),
      h("span", { class: `score-value ${skillClass(score.skill)}` }, percent(score.skill)),
      h("span", { class: "dim score-error" }, score.absolute_error === null ? "" : `off by ${withUnit(number(score.absolute_error), score.unit)}`))),
    fleet.shadow && h("p", { class: "dim" }, `${fleet.shadow.version} in shadow: ${count(fleet.shadow.steps)} of ${count(Math.round(fleet.shadow.promote_after))} steps`),
    learner(fleet)))), h("p", { class: "dim" }, `Learning is ${now.learning.mode}${now.learning.why ? ` (${now.learning.why})` : ""}. Skill: 0 % is no better than the last value.`)];
}

function learner(fleet) {
  const one = fleet.learner;
  if (!one) return null;
  const share = one.updates_wanted ? Math.min(1, one.updates_total / one.updates_wanted) : null;
  return h("p", { class: "dim" }, share !== null && share < 1 && h("span", { class: "meter wide" }, h("i", { style: { width: `${share * 100}%` } })),
    ` ${plural(one.updates_total, "update")}, ${plural(one.handovers_total, "hand-over")}${one.doing ? `, ${one.doing}` : ""}`);
}

export function bar(skill) {
  const width = skill === null || skill === undefined ? 0 : Math.max(0, Math.min(1, skill)) * 100;
  return h("span", { class: `bar ${skillClass(skill)}` }, h("i", { style: { width: `${width}%` } }));
}
