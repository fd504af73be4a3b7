// Numbers, ages and instants as people read them; times are of the viewer's zone.
const NOTHING = "–";

export function number(value, scale = value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const size = Math.abs(scale ?? value) || Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) return value.toExponential(2).replace("-", "−");
  const decimals = size === 0 ? 2 : Math.min(4, Math.max(0, 3 - Math.floor(Math.log10(size))));
  return value.toLocaleString(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");
}

export function signed(value, scale) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return (value > 0 ? "+" : "") + number(value, scale ?? value);
}

export const withUnit = (text, unit) => (text === NOTHING || !unit ? text : `${text} ${unit}`);

export function count(value) {
  return value === null || value === undefined ? NOTHING : value.toLocaleString();
}

export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function rate(value) {
  if (value === null || value === undefined) return NOTHING;
  return value >= 10 ? Math.round(value).toLocaleString() : value.toFixed(1);
}

export function percent(value) {
  return value === null || value === undefined || !Number.isFinite(value) ? NOTHING : `${Math.round(Math.max(value, -9.99) * 100)} %`.replace("-", "−");
}

export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  let unit = "B";
  for (unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (value < 1000 || unit === "TB") break;
    value /= 1000;
  }
  return `${unit === "B" ? value : value.toFixed(1)} ${unit}`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  for (const [size, unit, part, partUnit] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / part);
      return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${partUnit}` : ""}`;
    }
  }
  return `${Number.isInteger(seconds) || seconds >= 10 ? Math.round(seconds) : seconds.toFixed(1)} s`;
}

export function ago(at, now = Date.now() / 1000) {
  if (at === null || at === undefined) return NOTHING;
  const age = now - at;
  if (age < -2) return `in ${span(Math.round(-age))}`;
  return age < 2 ? "just now" : `${span(Math.floor(age))} ago`;
}

const same = (a, b) => a.toDateString() === b.toDateString();
export function clock(at) {
  if (at === null || at === undefined) return NOTHING;
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return same(date, new Date()) ? time : `${date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: date.getFullYear() === new Date().getFullYear() ? undefined : "numeric" })}, ${time}`;
}

export function skillClass(value) {
  if (value === null || value === undefined) return "dim";
  const shown = Math.round(value * 100);
  return shown >= 20 ? "good" : shown >= 0 ? "warn" : "bad";
}

export function qualityClass(flags) {
  if (!flags.length) return "good";
  if (flags.includes("stale")) return "bad";
  return flags.length === 1 && flags[0] === "unchanged" ? "good" : "warn";
}
