// One stream: what was observed, what had been expected, what is ahead.
import { address, ask } from "../api.js";
import { Chart, pathOf } from "../chart.js";
import { access, change } from "../dialog.js";
import { fill, h, icon, nothing } from "../dom.js";
import { line } from "./events.js";
import { render as explained } from "./why.js";
import { ago, clock, number, percent, plural, qualityClass, signed, skillClass, span, withUnit } from "../format.js";

const RANGES = [["5m", 300], ["15m", 900], ["1h", 3600], ["6h", 21600], ["1d", 86400], ["7d", 604800]];
const AGAIN_MS = 10000, LEAST_S = 0.5, TWICE_MS = 260, STEPS = 60;

export function open(root, { parameters, go }) {
  root.className = "stream";
  const { fleet, stream } = parameters;
  if (!fleet || !stream) return fill(root, nothing("No stream is named", "Choose one in the list of streams.", h("a", { class: "button", href: "/streams" }, "Streams"))) && {};
  let feature = parameters.feature ?? "", horizon = 0, view = null, series = null, live = !parameters.from, range = parameters.from ? [Number(parameters.from), Number(parameters.to)] : null, width = 0, closed = false, timer = 0, asked = 0, failure = null, events = [], recalling = false, then = null, note = "", why = null, seeking = null, pointed = null, clicked = 0;
  const acts = h("div", { class: "acts" }), state = h("span", { class: "state" }), about = h("p", { class: "dim" }), told = h("div", { class: "crossings" });
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Feature" });
  const figures = h("div", { class: "figures" }), readout = h("p", { class: "readout", "aria-live": "off" });
  const main = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": "Observed and expected" }), below = h("div", { class: "plot residual", role: "img", "aria-label": "Residual" });
  const happened = h("section", { class: "card", hidden: true }), because = h("section", { class: "card", hidden: true, "aria-label": "Why" }), over = h("div", { class: "plot-over", hidden: true }), lays = h("select", { "aria-label": "Which forecast is laid over" });
  const liveButton = h("button", { class: "small live", "aria-pressed": "true", title: "Follow (L)", onclick: () => follow() }, h("i", { class: "dot" }), "Live");
  const thenButton = h("button", { class: "small then", "aria-pressed": "false", title: "The path and the intervals as they were published, computed again from the ledger", onclick: () => recall(!recalling) }, icon("clock", 16), "As it was forecast then");
  const whyButton = h("button", { class: "small", title: "Readings, forecasts, scores and the reason as they were known then: of the point under the cursor, or the last (E). A click on the picture does it, too.", onclick: () => askWhy() }, icon("why", 16), "Explain this instant");
  const ranges = RANGES.map(([name, seconds]) => h("button", { class: "small", "aria-pressed": "false", onclick: () => reach(seconds) }, name));
  const controls = h("div", { class: "controls" }, h("div", { class: "group" }, liveButton, ranges),
    h("div", { class: "group" }, button("back", "Back in time (←)", () => pan(-0.5)), button("forward", "Forward in time (→)", () => pan(0.5)), button("minus", "See more (−)", () => zoom(2)), button("plus", "See less (+)", () => zoom(0.5))), h("div", { class: "group" }, thenButton, whyButton));
  const beneath = h("div", { class: "beneath" }, readout, h("label", { class: "lays", hidden: true }, h("span", { class: "dim" }, "Laid over: forecast made"), lays));
  fill(root, h("div", { class: "toolbar" }, h("div", { class: "title" }, h("a", { class: "crumb dim", href: "/streams" }, "Streams"), h("h1", { title: stream }, stream), state), about, acts), tabs, h("div", { class: "heads" }, figures, told),
    h("section", { class: "card chart" }, controls, beneath, h("div", { class: "plot-holder" }, main, over), h("p", { class: "plot-name dim" }, "Residual: observed − expected"), below, legend()), because, happened);
  access().then((may) => !closed && may.may_write && fill(acts, streamActs(fleet, stream, go)));
  const chart = new Chart(main, below, {
    onrange: (from, to) => (from === null ? follow() : look(from, to)),
    oncursor: (idx) => point(idx),
    onpoint: (idx) => { clearTimeout(clicked); clicked = setTimeout(() => explain(instant(idx)), TWICE_MS); }, // two of them are something else
  });

  function button(name, title, onclick) {
    return h("button", { class: "small", title, "aria-label": title, onclick }, icon(name, 16));
  }
  const row = () => view?.rows.find((one) => one.feature === feature) ?? null;
  const reachAhead = () => Math.max(0, ...(row()?.ahead.map((one) => one.in_s) ?? [0]));

  // -- where we look

  function window() {
    if (!live) return range;
    const end = row()?.at_s ?? series?.at_s.at(-1) ?? Date.now() / 1000;
    return [end - width, end + Math.min(reachAhead() * 1.1 || 0, width)];
  }
  function look(from, to) {
    const least = Math.max(LEAST_S, (series?.period_s ?? 1) * 3);
    if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
    [live, range] = [false, [from, to]];
    marked();
    paint();
    clearTimeout(timer);
    timer = setTimeout(load, 140);
  }
  function follow(seconds = width) {
    clearTimeout(clicked);
    [live, range, width, recalling, then, note] = [true, null, seconds, false, null, ""];
    marked();
    paint();
    load();
  }
  const reach = (seconds) => (live ? follow(seconds) : look(range[1] - seconds, range[1]));
  function pan(share) {
    const [from, to] = window(), by = (to - from) * share;
    look(from + by, to + by);
  }
  function zoom(factor) {
    if (live) return follow(Math.max(LEAST_S, width * factor));
    const [from, to] = range, middle = (from + to) / 2, half = ((to - from) / 2) * factor;
    look(middle - half, middle + half);
  }
  function recall(on) {
    [recalling, then, note] = [on, null, ""];
    if (on && live) return look(window()[0], window()[1]);
    marked();
    load();
  }

  // -- why

  // The newest observed instant that is not after a point of the picture; null where the picture has none.
  function instant(idx) {
    const at = series?.at_s.map((one, i) => (series.observed[i] === null ? null : one)) ?? [];
    const place = idx === null || idx === undefined ? at.length - 1 : Math.min(chart.order[idx] ?? idx, at.length - 1);
    for (let i = place; i >= 0; i--) if (at[i] !== null && (idx !== null || live || at[i] <= range[1])) return at[i];
    return null;
  }
  function askWhy() {
    explain(instant(pointed), true);
  }
  async function explain(at, sought = false) {
    if (at === null || closed) return;
    seeking?.abort();
    seeking = new AbortController();
    const mine = (why = { at });
    addressed();
    because.hidden = false;
    root.classList.add("explained");
    if (!because.children.length) fill(because, h("p", { class: "why-wait dim", role: "status" }, "It is computed again, from a checkpoint before …"));
    because.setAttribute("aria-busy", "true");
    paint();
    try {
      const found = await ask("explain", { fleet, stream, at_s: at, steps: STEPS }, { signal: seeking.signal });
      if (closed || mine !== why) return;
      why.at = found.moments.at(-1)?.at_s ?? at;
      why.found = found;
      tellWhy();
      paint();
      if (sought) because.scrollIntoView({ block: "nearest" });
    } catch (fault) {
      if (closed || mine !== why) return;
      fill(because, nothing("It cannot be explained", fault.message, h("button", { class: "small", onclick: unexplain }, "Close")));
    }
    because.removeAttribute("aria-busy");
  }
  function tellWhy() {
    if (why?.found) fill(because, explained(why.found, { feature, onclose: unexplain }));
  }
  function unexplain() {
    why = null;
    because.hidden = true;
    root.classList.remove("explained");
    fill(because);
    addressed();
    paint();
  }
  // So that the address of the page is what is seen, for whoever it is sent to.
  function addressed() {
    history.replaceState(null, "", address("/stream", { fleet, stream, feature, ...(live ? {} : { from: range[0].toFixed(1), to: range[1].toFixed(1) }), why: why?.at }));
  }
  function marked() {
    thenButton.setAttribute("aria-pressed", String(recalling));
    liveButton.setAttribute("aria-pressed", String(live));
    ranges.forEach((one, i) => one.setAttribute("aria-pressed", String(live && width === RANGES[i][1])));
  }

  // -- what is seen there

  async function load() {
    clearTimeout(timer);
    const mine = ++asked, begin = !width;
    const points = Math.min(4000, Math.max(400, 2 * main.clientWidth));
    const place = begin ? { points: 300 } : live ? { from_s: window()[0] - 1, points } : { from_s: range[0], to_s: range[1], points };
    try {
      const wanted = { fleet, stream, feature, horizon: horizon || undefined, ...place };
      const [answer, told] = await Promise.all([ask("series", wanted), ask("events", { fleet, stream, from_s: place.from_s, to_s: place.to_s, limit: 200 })]);
      if (closed || mine !== asked) return;
      [series, events] = [answer, told.rows];
      failure = null;
      if (begin && series.at_s.length) width = Math.max(20 * series.period_s, Math.min(240 * series.period_s, (series.at_s.at(-1) - series.at_s[0]) || 240 * series.period_s));
      offer();
      paint();
      if (recalling && !live) await lookBack(mine, wanted);
    } catch (fault) {
      if (closed || mine !== asked || fault.name === "AbortError") return;
      failure = fault.message;
      paint();
    }
    if (!closed && live) timer = setTimeout(load, AGAIN_MS);
  }
  // The intervals of the stretch, and the path that was said at seven tenths of it: what came of it is seen beside it.
  async function lookBack(mine, wanted) {
    const [from, to] = range;
    note = "It is computed again, from a checkpoint before …";
    point(null);
    try {
      const told = await ask("replay", { fleet, stream, from_s: from, at_s: from + 0.7 * (to - from) });
      if (closed || mine !== asked) return;
      note = !told.steps ? "Nothing was forecast there." : told.differing ? `${told.differing} of ${plural(told.compared, "message")} differ from what was published.` : `${plural(told.steps, "step")} computed again, ${told.elsewhere ? "within a tolerance what was published: another machine made some" : "byte for byte as published"}.`;
      then = told.rows.find((one) => one.feature === feature) ?? null;
      const answer = await ask("series", wanted);
      if (closed || mine !== asked) return;
      series = answer;
    } catch (fault) {
      if (closed || mine !== asked) return;
      note = fault.message;
    }
    paint();
  }
  function offer() {
    const wanted = series.horizons_s.map((one, i) => `${i}:${one}`).join();
    if (lays.dataset.of === wanted) return;
    lays.dataset.of = wanted;
    fill(lays, series.horizons_s.map((one, i) => h("option", { value: i, selected: i === horizon }, `${span(one)} before`)));
    lays.parentElement.hidden = series.horizons_s.length < 2;
  }
  lays.addEventListener("change", () => { horizon = Number(lays.value); load(); });

  function paint() {
    const shown = series?.at_s.some((at, i) => series.observed[i] !== null);
    over.hidden = Boolean(shown) && !failure;
    if (failure) fill(over, nothing("The past is not known now", failure));
    else if (series && !shown) fill(over, nothing(live ? "Nothing was observed yet" : "Nothing was observed here", live ? "" : "Go on back, or back to live.", live ? null : h("button", { class: "small", onclick: () => follow() }, "Live")));
    else if (!series) fill(over, h("p", { class: "dim" }, "…"));
    if (!series) return;
    const one = row(), ahead = pathOf(live ? one : then), mine = events.filter((each) => each.feature === feature || feature in each.shares);
    tellEvents();
    chart.draw({ series, ahead, marks: (live ? one : then ?? one)?.crossings ?? [], events: mine, unit: series.unit, range: window() ?? [0, 1], why: why?.at ?? null });
    point(null);
  }

  function point(idx) {
    pointed = idx ?? null;
    const found = chart.text(idx), unit = series?.unit ?? "";
    if (!series) return;
    if (!found) {
      const shown = series.readings > series.at_s.length ? `${plural(series.readings, "reading")}, of which the least, the greatest and the worst forecasts are drawn` : plural(series.readings, "reading");
      fill(readout, note && h("strong", { class: "then-note" }, note, " "), h("span", { class: "dim" }, live ? `The last ${span(Math.round(width))}: ${shown}` : `${clock(range[0])} to ${clock(range[1])}: ${shown}`));
      return;
    }
    if (found.ahead) {
      const bounds = found.ahead.bounds.map((one, i) => one && `${Math.round((chart.ahead.levels[i] ?? 0) * 100)} %: ${number(one[0])} … ${withUnit(number(one[1]), unit)}`).filter(Boolean);
      fill(readout, h("strong", {}, found.at), ` expected ${withUnit(number(found.ahead.value), unit)}`, bounds.length ? ` · ${bounds.join(" · ")}` : "");
      return;
    }
    const i = found.idx, value = series.observed[i];
    const bits = [`observed ${withUnit(number(value), unit)}`, series.expected[i] !== null && `expected ${withUnit(number(series.expected[i], value), unit)}`, series.residual[i] !== null && `residual ${signed(series.residual[i], value)}`,
      series.lower[i] !== null && `between ${number(series.lower[i], value)} and ${number(series.upper[i], value)}`, series.quality[i]];
    fill(readout, h("strong", {}, found.at), " ", bits.filter(Boolean).join(" · "));
  }

  let drawn = "";
  function tellEvents() {
    const now = JSON.stringify(events);
    if (now === drawn) return;
    drawn = now;
    happened.hidden = !events.length;
    fill(happened, h("header", { class: "card-head" }, h("h2", {}, "Events here"), h("p", { class: "dim" }, live ? "What is open, or was lately" : "In the stretch that is shown")),
      h("ul", { class: "rows" }, events.slice(0, 8).map((one) => h("li", {}, line(one)))), events.length > 8 && h("p", { class: "more" }, h("a", { href: address("/events", { fleet, stream }) }, `and ${events.length - 8} more`)));
  }
  function tell() {
    if (!view) return;
    state.className = `state ${qualityClass(view.rows[0].quality)}`;
    state.textContent = view.words;
    about.textContent = `fleet ${fleet} · step ${view.rows[0].step.toLocaleString()} · a reading each ${span(view.period_s)} · the last ${ago(view.rows[0].at_s)}`;
    fill(told, view.crossing_words.map((text) => h("p", { class: "note" }, text)));
    if (!view.rows.some((one) => one.feature === feature)) feature = view.rows[0].feature;
    const names = view.rows.map((one) => one.feature);
    if (names.length > 1) fill(tabs, names.map((name) => h("button", { role: "tab", "aria-selected": String(name === feature), onclick: () => choose(name) }, name)));
    const one = row(), unit = one.unit, residual = one.observed !== null && one.predicted !== null ? one.observed - one.predicted : null;
    fill(figures, figure("Observed", withUnit(number(one.observed), unit)), figure("Had been expected", withUnit(number(one.predicted, one.observed), unit)), figure("Residual", signed(residual, one.observed)),
      figure("Next", withUnit(number(one.forecast, one.observed), unit), one.lower === null ? "" : `${number(one.lower, one.observed)} … ${number(one.upper, one.observed)}`), figure("Skill", percent(one.skill), "", skillClass(one.skill)));
  }
  function figure(name, value, note = "", kind = "") {
    return h("div", { class: "figure" }, h("span", { class: "dim" }, name), h("strong", { class: kind }, value), note && h("span", { class: "dim" }, note));
  }
  function choose(name) {
    [feature, horizon, series, then] = [name, 0, null, null];
    addressed();
    lays.dataset.of = "";
    tell();
    tellWhy();
    load();
  }

  function take(news) {
    if (news.rows[0]?.stream !== stream || closed) return;
    const before = row(), first = view === null;
    view = news;
    tell();
    const now = row();
    if (first && !series) return load();
    if (series && live && horizon === 0 && before && now && now.at_s > (series.at_s.at(-1) ?? 0)) append(before, now);
    if (live) paint();
  }
  function append(before, now) {
    if (now.at_s - (series.at_s.at(-1) ?? now.at_s) > 2.5 * series.period_s) put(null, null, (now.at_s + series.at_s.at(-1)) / 2);
    put(before, now, now.at_s);
    series.readings++;
    while (series.at_s.length > 4000) for (const one of Object.values(series)) if (Array.isArray(one) && one !== series.horizons_s) one.shift();
  }
  function put(before, now, at) {
    const interval = now && before.step + 1 === now.step ? before.ahead[0]?.intervals[0] : null;
    series.at_s.push(at);
    series.observed.push(now?.observed ?? null);
    series.expected.push(now?.predicted ?? null);
    series.residual.push(now && now.observed !== null && now.predicted !== null ? now.observed - now.predicted : null);
    series.lower.push(interval?.lower ?? null);
    series.upper.push(interval?.upper ?? null);
    series.quality.push(null);
  }
  async function begin() {
    try {
      take(await ask("stream", { fleet, stream }));
    } catch (fault) {
      if (closed) return;
      state.textContent = fault.status === 404 ? "not active" : "not known now";
      state.className = "state warn";
      about.textContent = fault.status === 404 ? `fleet ${fleet} · it is parked, forgotten, or never spoke; what the ledger has of it is below` : fault.message;
      if (feature) load();
      else features();
    }
  }
  async function features() { // of a stream that the daemon does not tell of
    try {
      const answer = await ask("sparks", { fleet, stream: [stream] });
      const names = Object.keys(answer.sparks[stream]);
      feature = names[0];
      if (names.length > 1) fill(tabs, names.map((name) => h("button", { role: "tab", "aria-selected": String(name === feature), onclick: () => { feature = name; load(); } }, name)));
      load();
    } catch (fault) {
      failure = fault.message;
      paint();
    }
  }
  begin();
  if (parameters.why) explain(Number(parameters.why), true);
  const age = setInterval(tell, 1000);
  return {
    stream: take,
    back: () => { begin(); load(); },
    key(event) {
      const act = { ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), l: () => follow(), L: () => follow(), e: askWhy, E: askWhy, Escape: () => why && !document.querySelector("dialog[open]") && unexplain() }[event.key];
      if (act) { event.preventDefault(); act(); }
    },
    close() {
      closed = true;
      clearTimeout(timer);
      clearTimeout(clicked);
      clearInterval(age);
      chart.close();
    },
  };
}

function streamActs(fleet, stream, go) {
  const act = (name, path, question, then = () => {}, body = () => ({ fleet, stream })) => h("button", { class: "small", onclick: () => change(path, body, question).then((done) => done !== null && then(done)) }, name);
  return [
    act("Reset…", "streams/reset", { title: `Begin ${stream} anew?`, action: "Reset", text: "Its state begins anew, as after a long gap; statistics and step numbers stay. For a sensor that was moved or mended." }),
    act("Rename…", "streams/rename", { title: `Rename ${stream}`, action: "Rename", text: "It goes on under another id with all that is known of it; what the ledger has stays under the old one. Let the sensor's topic change, too.", field: { label: "New id", value: stream } }, (to) => go(address("/stream", { fleet, stream: to }), { replace: true }), (to) => ({ fleet, stream, to })),
    act("Forget…", "streams/forget", { title: `Forget ${stream}?`, action: "Forget", danger: true, text: "For a sensor that is gone: it is no longer silent, and its alerts end. Its readings stay in the ledger; if it speaks again, it begins anew." }, () => go("/streams")),
  ];
}

function legend() {
  const one = (kind, text) => h("span", {}, h("i", { class: `key ${kind}` }), text);
  return h("p", { class: "legend dim" }, one("observed", "observed"), one("expected", "had been expected"), one("path", "expected ahead"), one("band", "interval"), one("mark", "threshold"), one("strange", "strange"), one("foretold", "crossing foretold"),
    h("span", { class: "hint" }, "click to explain, drag to zoom in, wheel to zoom, Shift and wheel or ← → to go back, double click for live"));
}
