// All streams: searched and sorted by the console, a screenful of rows in the page.
import { address, ask } from "../api.js";
import { fill, h, icon, nothing, spark } from "../dom.js";
import { ago, number, percent, plural, qualityClass, signed, skillClass, withUnit } from "../format.js";

const ROW = 44, CHUNK = 100, OVER = 8, EVERY_MS = 2000, SPARK_MS = 15000, REST_MS = 60;
const COLUMNS = [
  ["stream", "Stream"], ["feature", "Feature"], ["", "Last minutes"], ["observed", "Observed"], ["", "Next"], ["surprise", "Residual"],
  ["skill", "Skill"], ["quality", "Forecast is"], ["crossing", "Crossing"], ["at", "Last reading"],
];
const DOWN = new Set(["observed", "surprise", "at"]);
const WORDS = { sure: "sure", warming: "getting to know it", bridged: "over a short gap", partial: "a value was missing", fallback: "last value repeated", stale: "silent", unchanged: "unchanged" };

export function open(root, { parameters, go }) {
  root.className = "streams";
  const wanted = { search: parameters.search ?? "", fleet: parameters.fleet ?? "", quality: parameters.quality ?? "", sort: parameters.sort ?? "stream", descending: parameters.descending === "true" };
  const search = h("input", { type: "search", placeholder: "Search streams, fleets, features", "aria-label": "Search", value: wanted.search, spellcheck: "false" });
  const fleets = h("select", { "aria-label": "Fleet" }, h("option", { value: "" }, "All fleets"));
  const filters = h("div", { class: "chips", role: "group", "aria-label": "Quality" });
  const told = h("p", { class: "dim told", role: "status" });
  const heads = COLUMNS.map(([key, name]) => h("div", { class: `cell c-${key || name.split(" ")[0].toLowerCase()}`, role: "columnheader" },
    key ? h("button", { class: "sort", "data-key": key, onclick: () => sortBy(key) }, name, h("i", { "aria-hidden": "true" })) : name));
  const body = h("div", { class: "grid-body" }), space = h("div", { class: "grid-space" }, body);
  const scroller = h("div", { class: "grid-scroll", tabindex: "0", role: "rowgroup" }, space);
  const empty = h("div", { hidden: true });
  const grid = h("div", { class: "grid", role: "table", "aria-label": "Streams" }, h("div", { class: "grid-head", role: "row" }, heads), scroller);
  fill(root, h("div", { class: "toolbar" }, h("h1", {}, "Streams"), h("label", { class: "search" }, icon("search", 16), search), fleets, filters, told), grid, empty);

  let chunks = new Map(), total = 0, loading = new Set(), timer = 0, typing = 0, version = 0, closed = false, painted = "", frame = 0, asking = 0, drawing = 0;
  const sparks = new Map();

  async function load(chunk) {
    if (loading.has(chunk)) return;
    loading.add(chunk);
    const mine = version;
    try {
      const page = await ask("streams", { ...wanted, descending: wanted.descending || undefined, offset: chunk * CHUNK, limit: CHUNK });
      if (closed || mine !== version) return;
      chunks.set(chunk, page.rows);
      total = page.total;
      tell(page);
      later();
    } catch (fault) {
      if (!closed && mine === version && !chunks.size) say("Streams are not known now", fault.message);
    } finally {
      loading.delete(chunk);
    }
  }

  function say(title, text) {
    grid.hidden = true;
    empty.hidden = false;
    fill(empty, nothing(title, text));
  }

  function tell(page) {
    told.textContent = total === page.streams ? plural(page.streams, "stream") : `${plural(total, "row")} of ${plural(page.streams, "stream")}`;
    if (fleets.options.length !== page.fleets.length + 1) fill(fleets, h("option", { value: "" }, "All fleets"), page.fleets.map((name) => h("option", { value: name, selected: name === wanted.fleet }, name)));
    fleets.hidden = page.fleets.length < 2;
    const known = Object.entries(page.quality).sort((a, b) => b[1] - a[1]);
    fill(filters, known.length > 1 || wanted.quality ? known.map(([flag, many]) => h("button", { class: "chip", "aria-pressed": String(wanted.quality === flag), onclick: () => change({ quality: wanted.quality === flag ? "" : flag }) }, WORDS[flag] ?? flag, h("b", {}, many.toLocaleString()))) : []);
    if (total) {
      grid.hidden = false;
      empty.hidden = true;
      grid.setAttribute("aria-rowcount", String(total));
    } else if (page.streams) say("No stream fits", "Nothing of that name or quality is active.");
    else say("No stream has spoken yet", "Each appears with its first reading. gaugecast check --online tells what comes and why it may not be read.");
  }

  // Once a frame, however much has come.
  function later() {
    frame ||= requestAnimationFrame(() => { frame = 0; if (!closed) paint(); });
  }
  function paint() {
    for (const head of heads) {
      const button = head.querySelector("button");
      if (!button) continue;
      const here = button.dataset.key === wanted.sort;
      head.setAttribute("aria-sort", here ? (wanted.descending ? "descending" : "ascending") : "none");
    }
    space.style.height = `${total * ROW}px`;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - OVER);
    const end = Math.min(total, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + OVER);
    body.style.transform = `translateY(${first * ROW}px)`;
    const rows = [], missing = [], absent = new Set();
    for (let i = first; i < end; i++) {
      const chunk = Math.floor(i / CHUNK), cell = chunks.get(chunk)?.[i % CHUNK];
      if (!cell && !chunks.has(chunk)) absent.add(chunk);
      rows.push(cell ? line(cell, i) : h("div", { class: "line waiting", role: "row" }));
      if (cell) missing.push(cell);
    }
    body.replaceChildren(...rows);
    clearTimeout(asking);
    if (absent.size) asking = setTimeout(() => absent.forEach(load), REST_MS); // what is only passed by is not asked for
    const now = Date.now(), due = missing.filter((cell) => now - (sparks.get(key(cell))?.at ?? 0) > SPARK_MS);
    const names = due.map(key).join();
    if (due.length && names !== painted) {
      painted = names;
      clearTimeout(drawing);
      drawing = setTimeout(() => !closed && draw(due), 120);
    }
  }

  const key = (cell) => `${cell.fleet}\n${cell.stream}`;
  async function draw(due) {
    const by = new Map();
    for (const cell of due) by.set(cell.fleet, (by.get(cell.fleet) ?? new Set()).add(cell.stream));
    for (const [fleet, names] of by) {
      try {
        const answer = await ask("sparks", { fleet, stream: [...names].slice(0, 60) });
        for (const [name, features] of Object.entries(answer.sparks)) sparks.set(`${fleet}\n${name}`, { at: Date.now(), features });
      } catch { /* rows without pictures are rows all the same */ }
    }
    painted = "";
    if (!closed) later();
  }

  function line(cell, i) {
    const values = sparks.get(key(cell))?.features?.[cell.feature] ?? [];
    const crossing = cell.crossing_words;
    return h("a", { class: "line", role: "row", "aria-rowindex": String(i + 1), href: address("/stream", { fleet: cell.fleet, stream: cell.stream, feature: cell.feature }) },
      c("stream", h("strong", { title: cell.stream }, cell.stream), fleets.hidden ? null : h("span", { class: "dim sub" }, cell.fleet), h("span", { class: "dim small" }, cell.feature)), c("feature", cell.feature),
      c("last", spark(values, { width: 118, tail: cell.forecast === null ? [] : [cell.forecast] })), c("observed", withUnit(number(cell.observed), cell.unit)),
      c("next", withUnit(number(cell.forecast, cell.observed), cell.unit)),
      c("surprise", h("span", { class: cell.surprise >= 4 ? "bad" : "" }, signed(cell.residual, cell.observed))), c("skill", h("span", { class: skillClass(cell.skill) }, percent(cell.skill))),
      c("quality", h("span", { class: `state ${qualityClass(cell.quality)}` }, cell.words)), c("crossing", crossing ? h("span", { class: cell.crossing.crossed ? "bad" : "warn", title: crossing }, crossing) : h("span", { class: "dim" }, "–")), c("at", ago(cell.at_s)));
  }
  const c = (name, ...content) => h("div", { class: `cell c-${name}`, role: "cell" }, content);

  function change(news) {
    Object.assign(wanted, news);
    version++;
    chunks = new Map();
    loading = new Set();
    scroller.scrollTop = 0;
    history.replaceState(null, "", address("/streams", { ...wanted, sort: wanted.sort === "stream" ? "" : wanted.sort, descending: wanted.descending || "" }));
    load(0);
  }
  function sortBy(name) {
    change(wanted.sort === name ? { descending: !wanted.descending } : { sort: name, descending: DOWN.has(name) });
  }
  async function again() {
    const seen = new Set([Math.floor(scroller.scrollTop / ROW / CHUNK), Math.floor((scroller.scrollTop + scroller.clientHeight) / ROW / CHUNK)]);
    for (const chunk of chunks.keys()) if (!seen.has(chunk)) chunks.delete(chunk);
    if (!document.hidden) await Promise.all([...seen].filter((chunk) => chunk === 0 || chunk * CHUNK < total).map(load));
    if (!closed) timer = setTimeout(again, EVERY_MS);
  }

  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ search: search.value }), 150);
  });
  search.addEventListener("keydown", (event) => event.key === "Enter" && body.querySelector("a")?.click());
  fleets.addEventListener("change", () => change({ fleet: fleets.value }));
  scroller.addEventListener("scroll", later, { passive: true });
  const size = new ResizeObserver(paint);
  size.observe(scroller);
  load(0);
  timer = setTimeout(again, EVERY_MS);
  if (parameters.focus) search.focus();
  return {
    back: () => change({}),
    close() {
      closed = true;
      for (const one of [timer, asking, drawing]) clearTimeout(one);
      size.disconnect();
    },
  };
}
