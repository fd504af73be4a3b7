// Elements, and nothing that would read text as markup: whatever sensors send stays text.

export function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "circle", "line", "polyline"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  overview: "M3 12.5 8 7l3.5 3.5L17 4M3 16.5h14",
  streams: "M2.5 6h3l2-3 3 6 2-3h5M2.5 14h3l2-3 3 6 2-3h5",
  models: "M5 5.5a1.7 1.7 0 1 0 0-.1M5 14.5a1.7 1.7 0 1 0 0-.1M15 10a1.7 1.7 0 1 0 0-.1M6.6 6.3l6.8 3M6.6 13.7l6.8-3",
  events: "M10 3.5a4.5 4.5 0 0 1 4.5 4.5c0 4 1.5 5 1.5 5H4s1.5-1 1.5-5A4.5 4.5 0 0 1 10 3.5ZM8.4 16a1.8 1.8 0 0 0 3.2 0",
  refused: "M10 3.2 17.2 16H2.8ZM10 8v4M10 13.8v.4",
  config: "M3 6h7M14 6h3M3 14h3M10 14h7M12 4v4M8 12v4",
  back: "M12 4 6 10l6 6",
  forward: "m8 4 6 6-6 6",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  moon: "M15.5 12.5A6.5 6.5 0 0 1 7.5 4.5a6.5 6.5 0 1 0 8 8Z",
  out: "M8 4H4v12h4M12 6.5 15.5 10 12 13.5M15 10H7.5",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4",
  book: "M10 5.2C8.4 4 6.2 3.6 3.5 3.8v11.4c2.7-.2 4.9.2 6.5 1.4 1.6-1.2 3.8-1.6 6.5-1.4V3.8C13.8 3.6 11.6 4 10 5.2ZM10 5.2v11.4",
  close: "m5 5 10 10M15 5 5 15",
  why: "M7.2 7.6a2.8 2.8 0 1 1 4.3 2.4c-1 .6-1.5 1.2-1.5 2.3M10 15v.3M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15Z",
  clock: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM10 6v4.2l2.6 1.6",
};

export function icon(name, size = 18) {
  return h("svg", { viewBox: "0 0 20 20", width: size, height: size, class: "icon", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
}

// What stands where there is nothing to show, and why.
export function nothing(title, text, ...more) {
  return h("div", { class: "nothing" }, h("p", { class: "nothing-title" }, title), text && h("p", { class: "dim" }, text), ...more);
}

// With a limit the scale begins at nothing, and the limit is drawn.
export function spark(values, { width = 120, height = 26, tail = [], limit = null, most = limit === null ? -Infinity : limit * 1.2 } = {}) {
  const all = [...values, ...tail];
  const known = all.filter((v) => v !== null && Number.isFinite(v));
  const svg = h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "spark", "aria-hidden": "true" });
  if (known.length < 2) return svg;
  const low = limit === null ? Math.min(...known) : Math.min(0, ...known), high = Math.max(...known, most), span = high - low;
  const x = (i) => 1.5 + (i * (width - 5)) / Math.max(1, all.length - 1);
  const y = (v) => (span ? height - 3 - ((v - low) / span) * (height - 6) : height / 2);
  const line = (from, to) => {
    let d = "", pen = "M";
    for (let i = from; i < to; i++) {
      if (all[i] === null || !Number.isFinite(all[i])) { pen = "M"; continue; }
      d += `${pen}${x(i).toFixed(1)} ${y(all[i]).toFixed(1)}`;
      pen = "L";
    }
    return d;
  };
  if (limit !== null) svg.append(h("line", { x1: 0, x2: width, y1: y(limit), y2: y(limit), class: "spark-limit" }));
  svg.append(h("path", { d: line(0, values.length), class: "spark-line" }));
  if (tail.length) svg.append(h("path", { d: line(values.length - 1, all.length), class: "spark-tail" }));
  const last = values.length - 1;
  if (values[last] !== null) svg.append(h("circle", { cx: x(last), cy: y(values[last]), r: 1.8, class: limit !== null && limit > 0 && values[last] >= limit ? "spark-dot over" : "spark-dot" }));
  return svg;
}
