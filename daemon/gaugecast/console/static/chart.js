// Two charts that move together: what was observed with what had been expected and what is ahead; and the residual.
import { clock } from "./format.js";

/* global uPlot */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Columns for uPlot: [x, observed, expected, lower, upper, path, then lower and upper of each level of the path].
export function columns(series, ahead, levels) {
  const past = series.at_s.length, path = ahead ? ahead.points : [];
  const within = path.length > 0 && past > 0 && path[0].at < series.at_s[past - 1]; // the path was said in the past that is shown
  const NULLS = (count) => new Array(count).fill(within ? undefined : null);
  const x = [...series.at_s, ...path.map((one) => one.at)];
  const rows = [x, [...series.observed, ...NULLS(path.length)], [...series.expected, ...NULLS(path.length)], [...series.lower, ...NULLS(path.length)], [...series.upper, ...NULLS(path.length)], [...NULLS(past), ...path.map((one) => one.value)]];
  for (let level = 0; level < levels; level++)
    for (const side of [0, 1]) rows.push([...NULLS(past), ...path.map((one) => (one.bounds[level] ? one.bounds[level][side] : null))]);
  const order = x.map((_, i) => i);
  if (!within) return { rows, order };
  order.sort((a, b) => x[a] - x[b] || a - b);
  return { rows: rows.map((row) => order.map((i) => row[i])), order };
}

// What is ahead as points: it begins where the last reading is.
export function pathOf(row) {
  if (!row || row.observed === null || row.at_s === null) return null;
  const points = [{ at: row.at_s, value: row.observed, bounds: [] }];
  for (const one of row.ahead) if (one.forecast !== null) points.push({ at: row.at_s + one.in_s, value: one.forecast, bounds: one.intervals.map((i) => [i.lower, i.upper]) });
  const levels = Math.max(0, ...points.map((one) => one.bounds.length));
  if (levels) points[0].bounds = Array.from({ length: levels }, () => [row.observed, row.observed]);
  return { points, levels: row.ahead.find((one) => one.intervals.length)?.intervals.map((one) => one.level) ?? [], now: row.at_s };
}

export class Chart {
  constructor(main, below, { onrange, oncursor, onpoint }) {
    this.holders = [main, below];
    this.heard = { onrange, oncursor, onpoint };
    this.levels = -1;
    this.unit = "";
    this.marks = [];
    this.events = [];
    this.why = null;
    this.order = [];
    this.ahead = null;
    this.range = null;
    this.size = new ResizeObserver(() => this.resize());
    this.size.observe(main);
    this.repaint = () => { this.levels = -1; this.data && this.draw(this.data); };
    addEventListener("themechange", this.repaint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.repaint);
  }

  close() {
    this.size.disconnect();
    removeEventListener("themechange", this.repaint);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.repaint);
    this.plots?.forEach((plot) => plot.destroy());
    this.plots = null;
  }

  // data: { series, ahead, marks, events, unit, range: [from, to], why: an instant that is marked }
  draw(data) {
    this.data = data;
    Object.assign(this, { ahead: data.ahead, marks: data.marks, events: data.events ?? [], why: data.why ?? null, unit: data.unit, range: data.range });
    const levels = data.ahead?.levels.length ?? 0;
    const { rows: main, order } = columns(data.series, data.ahead, levels);
    this.order = order;
    const residual = [data.series.at_s, data.series.residual];
    if (!this.plots || levels !== this.levels) this.build(levels, main, residual);
    else {
      this.plots[0].setData(main, false);
      this.plots[1].setData(residual, false);
      this.apply();
    }
  }

  apply() {
    const [min, max] = this.range;
    for (const plot of this.plots) plot.batch(() => { plot.setScale("x", { min, max }); });
  }

  resize() {
    if (!this.plots) return;
    this.plots.forEach((plot, i) => plot.setSize({ width: this.holders[i].clientWidth, height: this.holders[i].clientHeight }));
  }

  build(levels, main, residual) {
    this.plots?.forEach((plot) => plot.destroy());
    this.levels = levels;
    const ink = color("--dim"), grid = color("--grid"), seen = color("--observed"), said = color("--expected"), band = color("--band");
    const font = '12px system-ui, -apple-system, "Segoe UI", sans-serif';
    const axis = (more) => ({ stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font, ...more });
    const sync = uPlot.sync("stream");
    const time = (plot, splits) => {
      const step = splits.length > 1 ? splits[1] - splits[0] : 1;
      return splits.map((at) => {
        const date = new Date(at * 1000), seconds = step < 60 ? "2-digit" : undefined;
        if (step >= 86400 || (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0)) return date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
        const text = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: seconds, hour12: false });
        return step < 1 ? `${text}.${date.getMilliseconds() / 100 | 0}` : text;
      });
    };
    const digits = (splits) => {
      const step = (splits[1] ?? 1) - (splits[0] ?? 0);
      let count = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      while (count < 9 && Math.abs(step * 10 ** count - Math.round(step * 10 ** count)) > 1e-6) count++; // 0.25 has two
      return Math.min(9, count);
    };
    const tick = (v, splits) => (Math.abs(v) >= 1e7 ? v.toExponential(1) : v.toLocaleString(undefined, { minimumFractionDigits: digits(splits), maximumFractionDigits: digits(splits) })).replace("-", "−");
    const values = (plot, splits) => splits.map((v) => tick(v, splits));
    const wide = this.holders[0].clientWidth > 560, left = wide ? 64 : 52;
    const shared = {
      cursor: { sync: { key: sync.key, scales: ["x", null] }, drag: { x: true, y: false, setScale: false }, focus: { prox: -1 }, points: { size: 7 } },
      legend: { show: false }, padding: [12, 14, 0, 0],
    };
    const line = (stroke, more = {}) => ({ stroke, width: 1.6, points: { show: false }, spanGaps: false, ...more });
    const none = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: false };
    const series = [{}, line(seen, { width: 1.8 }), line(said, { width: 1.4 }), none, none, line(said, { width: 2, dash: [5, 4], points: { show: true, size: 5, fill: said } })];
    const bands = [{ series: [4, 3], fill: band }];
    for (let level = 0; level < levels; level++) {
      series.push(none, none);
      bands.push({ series: [7 + 2 * level, 6 + 2 * level], fill: band });
    }
    const plugin = { hooks: {
      drawClear: [(plot) => this.under(plot)], draw: [(plot) => this.over(plot)], setSelect: [(plot) => this.selected(plot)],
      setCursor: [(plot) => this.heard.oncursor(plot.cursor.idx)], ready: [(plot) => this.wheel(plot)],
    } };
    const size = (i) => ({ width: this.holders[i].clientWidth || 600, height: this.holders[i].clientHeight || 300 });
    const top = new uPlot({
      ...size(0), ...shared, series, bands, plugins: [plugin], scales: { x: { time: true, range: () => this.range }, y: { range: (plot, low, high) => this.fit(low, high) } },
      axes: [axis({ values: time, space: wide ? 80 : 64, size: 28 }), axis({ values, size: left })],
    }, main, this.holders[0]);
    const below = new uPlot({
      ...size(1), ...shared, padding: [6, 14, 0, 0], plugins: [{ hooks: { drawClear: [(plot) => this.zero(plot)], setSelect: [(plot) => this.selected(plot)], ready: [(plot) => this.wheel(plot)] } }],
      scales: { x: { time: true, range: () => this.range }, y: { range: (plot, low, high) => { const most = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0)) || 1; return [-1.1 * most, 1.1 * most]; } } },
      series: [{}, line(color("--residual"), { width: 1.2, fill: color("--residual-fill"), fillTo: 0 })], axes: [axis({ show: true, values: () => [], size: 6, grid: { show: true, stroke: grid } }), axis({ values: (plot, splits) => splits.map((v) => (v === 0 ? "0" : (v > 0 ? "+" : "") + tick(v, splits))), size: left, space: 26 })],
    }, residual, this.holders[1]);
    this.plots = [top, below];
  }

  // The scale of what is seen; a threshold near it belongs to the picture.
  fit(low, high) {
    if (low === null || high === null || !Number.isFinite(low)) return [0, 1];
    const span = high - low || Math.abs(high) * 0.1 || 1;
    for (const one of this.marks) {
      if (one.value > high && one.value - high < span) high = one.value;
      if (one.value < low && low - one.value < span) low = one.value;
    }
    const room = (high - low || span) * 0.08;
    return [low - room, high + room];
  }

  zero(plot) {
    const { ctx, bbox } = plot, y = Math.round(plot.valToPos(0, "y", true));
    ctx.save();
    ctx.strokeStyle = color("--dim");
    ctx.globalAlpha = 0.5;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  // Behind the lines: what is ahead is another ground.
  under(plot) {
    this.happened(plot);
    this.marked(plot);
    if (!this.ahead) return;
    const { ctx, bbox } = plot, x = plot.valToPos(this.ahead.now, "x", true), end = bbox.left + bbox.width;
    if (x >= end) return;
    ctx.save();
    ctx.fillStyle = color("--ahead");
    ctx.fillRect(Math.max(x, bbox.left), bbox.top, end - Math.max(x, bbox.left), bbox.height);
    ctx.restore();
  }

  // Behind the lines, too: while something was strange, or a crossing was foretold.
  happened(plot) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const one of this.events) {
      const from = plot.valToPos(one.began_s, "x", true), to = one.ended_s === null ? bbox.left + bbox.width : plot.valToPos(one.ended_s, "x", true);
      const wide = Math.max(2 * ratio, to - from), strange = one.kind === "anomaly";
      ctx.fillStyle = color(strange ? "--bad" : "--warn");
      ctx.globalAlpha = strange ? 0.12 : 0.07;
      ctx.fillRect(from, bbox.top, wide, bbox.height);
      ctx.globalAlpha = 0.85;
      ctx.fillRect(from, bbox.top + (strange ? 0 : 5 * ratio), wide, 3 * ratio);
    }
    ctx.restore();
  }

  // The instant that is explained.
  marked(plot) {
    const { ctx, bbox } = plot;
    if (this.why === null || this.why < this.range[0] || this.why > this.range[1]) return;
    const x = Math.round(plot.valToPos(this.why, "x", true)), ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = color("--accent");
    ctx.lineWidth = 1.5 * ratio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + 6 * ratio);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(x, bbox.top + 5 * ratio, 4 * ratio, 0, 7);
    ctx.fill();
    ctx.restore();
  }

  // Thresholds, and when each is expected to be crossed.
  over(plot) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    for (const one of this.marks) {
      const y = plot.valToPos(one.value, "y", true);
      if (y < bbox.top - 1 || y > bbox.top + bbox.height + 1) continue;
      ctx.strokeStyle = ctx.fillStyle = color("--mark");
      ctx.lineWidth = ratio;
      ctx.setLineDash([4 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.textBaseline = one.side === "above" ? "bottom" : "top";
      ctx.fillText(`${one.side} ${one.value}${this.unit ? ` ${this.unit}` : ""}`, bbox.left + 8 * ratio, y + (one.side === "above" ? -3 : 3) * ratio);
      if (!one.open || one.crossed || one.median_s === null || !this.ahead) continue;
      const [early, median, late] = [one.early_s, one.median_s, one.late_s].map((s) => plot.valToPos(this.ahead.now + s, "x", true));
      ctx.lineWidth = 4 * ratio;
      ctx.globalAlpha = 0.45;
      ctx.beginPath();
      ctx.moveTo(early, y);
      ctx.lineTo(late, y);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.arc(median, y, 4.5 * ratio, 0, 7);
      ctx.fill();
    }
    ctx.restore();
  }

  selected(plot) {
    if (plot.select.width < 6) return;
    const from = plot.posToVal(plot.select.left, "x"), to = plot.posToVal(plot.select.left + plot.select.width, "x");
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.heard.onrange(from, to);
  }

  wheel(plot) {
    plot.over.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [min, max] = this.range, width = max - min;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const by = ((event.deltaX || event.deltaY) / 600) * width;
        this.heard.onrange(min + by, max + by);
        return;
      }
      const at = plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x"), factor = event.deltaY < 0 ? 0.8 : 1.25;
      this.heard.onrange(at - (at - min) * factor, at + (max - at) * factor);
    }, { passive: false });
    plot.over.addEventListener("dblclick", () => this.heard.onrange(null, null));
    plot.over.addEventListener("click", () => this.heard.onpoint(plot.cursor.idx)); // uPlot keeps a drag's to itself
  }

  text(idx) {
    const { series } = this.data ?? {};
    if (idx === null || idx === undefined || !series) return null;
    idx = this.order[idx] ?? idx;
    if (idx < series.at_s.length) return { at: clock(series.at_s[idx]), idx, ahead: null };
    const one = this.ahead?.points[idx - series.at_s.length];
    return one ? { at: clock(one.at), idx: null, ahead: one } : null;
  }
}
