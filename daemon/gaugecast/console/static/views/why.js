// Why: what was known of a stream at an instant, how strange it was, and what was said of it, as it was computed again.
import { h, icon, spark } from "../dom.js";
import { clock, number, plural, withUnit } from "../format.js";

const MOST = 6; // features of which the scores are drawn
// What each detector looks at, as docs/messages.md has it.
const LOOKS = {
  dropout: "it no longer comes with the stream's other readings", stuck: "it stands still for longer than ever", level: "its running level lies beyond where it was while all was well",
  relation: "the same, beyond what goes with the other features", surprise: "forecasts miss it by more than they used to",
  reference: "a frozen model of all features together misses it", calm: "its noise has vanished",
};

// found: ExplainView; feature: the one that is looked at.
export function render(found, { feature, onclose }) {
  const last = found.moments.at(-1), names = Object.keys(last?.features ?? {}).sort((a, b) => (b === feature) - (a === feature));
  const title = last ? `Why, ${clock(last.at_s)}` : "Why";
  const head = h("header", { class: "card-head" }, h("h2", {}, title, h("span", { class: "acts" }, h("button", { class: "plain", "aria-label": "Close", title: "Close", onclick: onclose }, icon("close", 16)))), h("p", { class: "dim" }, "As it was known then, computed again from the ledger"));
  if (!last) return [head, h("p", { class: "why-reason dim" }, "No step was made of these readings.")];
  const judged = [...new Set(names.flatMap((name) => Object.keys(last.features[name].detectors)))];
  const reason = h("p", { role: "status", class: `why-reason ${last.open || strange(last) ? "bad" : ""}` }, last.reason || (judged.length ? "Nothing was strange." : "Nobody looks for anomalies in this fleet."), " ", ...told(last));
  return [head, h("div", { class: "why" }, reason, last.crossings.map((text) => h("p", { class: "why-crossing" }, text)),
    scroll("What was known", table(["Feature", "Observed", "Expected", "Interval", "Next", ...(judged.length ? ["Score"] : []), ...judged], names.map((name) => line(name, last.features[name], { unit: found.units[name], judged })))),
    judged.length ? scores(found.moments, names) : null,
    judged.length ? h("details", {}, h("summary", {}, "What is looked at"), h("dl", { class: "why-looks" }, judged.map((name) => [h("dt", {}, name), h("dd", {}, LOOKS[name] ?? "")]))) : null,
    h("details", {}, h("summary", {}, `The ${plural(found.moments.length, "step")} up to then`), scroll("Steps", steps(found, names, judged.length))),
    h("p", { class: "dim why-held" }, held(found)))];
}

const strange = (moment) => Object.values(moment.features).some((one) => one.score >= 1);
const SAID = { begin: "An anomaly began with it.", update: "It was told on.", end: "The anomaly ended with it." };
const told = (moment) => moment.told.map((one) => h("span", { class: "tag" }, SAID[one] ?? one)).concat(moment.open ? [h("span", { class: `tag ${moment.open === "silenced" ? "" : "warn"}` }, moment.open)] : []);
const score = (value, name = "") => h("td", { class: `num ${value >= 1 ? "bad" : value === undefined || value === null ? "dim" : ""}`, title: value === undefined ? "does not judge this feature" : LOOKS[name] ?? "" }, value === undefined || value === null ? "–" : value.toFixed(2));
const band = (one) => (one.lower === null || one.upper === null ? "–" : `${number(one.lower, one.observed)} … ${number(one.upper, one.observed)}`);
const outside = (one) => one.observed !== null && one.lower !== null && (one.observed < one.lower || one.observed > one.upper);

function line(name, one, { unit, judged }) {
  return [h("td", {}, h("strong", {}, name)), h("td", { class: `num ${outside(one) ? "warn" : ""}` }, withUnit(number(one.observed), unit)), h("td", { class: "num" }, withUnit(number(one.expected, one.observed), unit)), h("td", { class: "num" }, band(one)), h("td", { class: "num" }, withUnit(number(one.forecast, one.observed), unit)),
    ...(judged.length ? [score(one.score)] : []), ...judged.map((each) => score(one.detectors[each], each))];
}

const table = (names, rows) => h("table", {}, h("thead", {}, h("tr", {}, names.map((name, i) => h("th", { class: i ? "num" : "", title: LOOKS[name] }, name)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells))));
const scroll = (name, inner) => h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": name }, inner);

function steps({ moments, units }, names, judged) {
  const rows = [...moments].reverse().flatMap((moment) => names.filter((name) => moment.features[name]).map((name, i) => {
    const one = moment.features[name];
    return [h("td", { class: "nowrap" }, i ? "" : clock(moment.at_s)), h("td", {}, name), h("td", { class: `num ${outside(one) ? "warn" : ""}` }, withUnit(number(one.observed), units[name])), h("td", { class: "num" }, number(one.expected, one.observed)), h("td", { class: "num" }, band(one)),
      ...(judged ? [score(one.score), h("td", {}, i ? "" : [moment.open, ...moment.told].filter(Boolean).join(", "))] : [])];
  }));
  const titles = ["Time", "Feature", "Observed", "Expected", "Interval", ...(judged ? ["Score", "Anomaly"] : [])];
  return h("table", {}, h("thead", {}, h("tr", {}, titles.map((name, i) => h("th", { class: i > 1 && name !== "Anomaly" ? "num" : "" }, name)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells))));
}

// The score of each feature over the steps, under the limit or over it.
function scores(moments, names) {
  return h("div", { class: "why-scores" }, names.slice(0, MOST).map((name) => {
    const values = moments.map((moment) => moment.features[name]?.score ?? null), most = Math.max(0, ...values.filter((one) => one !== null));
    return h("figure", {}, h("figcaption", {}, h("strong", {}, name), h("span", { class: "dim" }, values.some((one) => one !== null) ? ` score, at most ${most.toFixed(2)}` : " is not judged yet")), spark(values, { width: 240, height: 56, limit: 1 }));
  }));
}

function held(found) {
  if (found.differing) return `${found.differing} of ${plural(found.compared, "message")} differ from what was published.`;
  return `${plural(found.compared, "message")} computed again, ${found.elsewhere ? "within a tolerance what was published: another machine made some" : "byte for byte as published"}.`;
}
