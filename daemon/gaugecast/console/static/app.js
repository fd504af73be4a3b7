// The frame around the views: where one is, how the daemon is, and what the keys do.
import { Live } from "./api.js";
import { access } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import { ago, clock } from "./format.js";
import * as config from "./views/config.js";
import * as events from "./views/events.js";
import * as models from "./views/models.js";
import * as overview from "./views/overview.js";
import * as refused from "./views/refused.js";
import * as stream from "./views/stream.js";
import * as streams from "./views/streams.js";

const VIEWS = {
  "/": { view: overview, name: "Overview", icon: "overview" },
  "/streams": { view: streams, name: "Streams", icon: "streams" },
  "/events": { view: events, name: "Events", icon: "events" },
  "/models": { view: models, name: "Models", icon: "models" },
  "/refused": { view: refused, name: "Refused", icon: "refused" },
  "/config": { view: config, name: "Configuration", icon: "config" },
};
const THEMES = ["", "light", "dark"];

let shown = null, latest = null, consoleAway = false, awaySince = 0;
const main = h("main", { id: "main", tabindex: "-1" });
const banner = h("div", { class: "banner", role: "status", hidden: true });
const pill = h("a", { class: "pill", href: "/" }, "…");
const links = Object.entries(VIEWS).map(([path, one], i) =>
  h("a", { href: path, class: "nav-link", title: `${one.name} (${i + 1})` }, icon(one.icon), h("span", {}, one.name)));

function theme(next) {
  let name = "";
  try {
    name = localStorage.getItem("theme") ?? "";
    if (next) {
      name = THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];
      localStorage.setItem("theme", name);
    }
  } catch { /* no storage: as the system has it */ }
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  themeButton.title = `Light or dark: ${name || "as the system has it"}`;
  dispatchEvent(new Event("themechange"));
}
const themeButton = h("button", { class: "plain", "aria-label": "Light or dark", onclick: () => theme(true) }, icon("moon"));
const out = h("button", { class: "plain", hidden: true, "aria-label": "Sign out: change nothing from here on", title: "Sign out", onclick: async () => { await fetch("/logout", { method: "POST" }); location.assign("/"); } }, icon("out"));
access().then((may) => { out.hidden = !may.may_write; });

fill(document.getElementById("app"),
  h("header", { class: "side" },
    h("a", { class: "brand", href: "/" }, h("img", { src: "/static/icon.svg", alt: "", width: 28, height: 28 }), h("span", {}, "gaugecast")),
    h("nav", { "aria-label": "Views" }, links, h("a", { href: "/docs/", class: "nav-link manual", title: "Documentation (?)" }, icon("book"), h("span", {}, "Documentation"))),
    h("div", { class: "side-foot" }, pill, h("span", {}, out, themeButton))),
  h("div", { class: "content" }, banner, main));
theme(false);

function go(address, { replace = false } = {}) {
  const url = new URL(address, location.href);
  if (url.origin !== location.origin) return;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  show();
}

function show() {
  const path = location.pathname, parameters = Object.fromEntries(new URLSearchParams(location.search));
  const found = path === "/stream" ? { view: stream, name: parameters.stream ?? "Stream" } : VIEWS[path] ?? VIEWS["/"];
  shown?.close?.();
  main.replaceChildren();
  main.className = "";
  document.title = `${found.name} · gaugecast`;
  for (const link of links) {
    const here = link.getAttribute("href") === (path === "/stream" ? "/streams" : path);
    link.toggleAttribute("aria-current", here);
    if (here) link.setAttribute("aria-current", "page");
  }
  live.watch(path === "/stream" ? { fleet: parameters.fleet, stream: parameters.stream } : {});
  shown = found.view.open(main, { parameters, go, status: () => latest });
  if (latest) shown.status?.(latest, { consoleAway });
  main.scrollTop = 0;
  scrollTo(0, 0);
}

function tell() {
  let text = null;
  if (consoleAway) text = ["The console does not answer.", ` It is asked again; what is shown is of ${clock(awaySince)}.`];
  else if (latest?.away) text = ["The daemon does not answer.", ` ${latest.heard_at_s ? `It was heard ${ago(latest.heard_at_s)}. ` : ""}${latest.ledger ? "Nor can the ledger be read: gaugecast run begins one." : "The past is read from the ledger all the same."}`];
  else if (latest?.ledger) text = ["The ledger cannot be read.", ` ${latest.ledger}`];
  banner.hidden = text === null;
  if (text) fill(banner, h("strong", {}, text[0]), text[1]);
  const doing = latest?.status?.doing?.verb;
  const state = consoleAway || latest?.away ? "bad" : doing === "forecasting" ? (latest.status.degraded.length ? "warn" : "good") : "warn";
  pill.className = `pill ${latest || consoleAway ? state : ""}`;
  fill(pill, h("i", { class: "dot" }), h("span", {}, consoleAway ? "console away" : latest?.away ? "daemon away" : doing ?? "…"));
  document.body.classList.toggle("away", consoleAway || Boolean(latest?.away));
}

const live = new Live({
  status(status) {
    const back = consoleAway || (latest?.away && !status.away);
    consoleAway = false;
    latest = status;
    tell();
    shown?.status?.(status, { consoleAway });
    if (back) shown?.back?.();
  },
  stream: (view) => shown?.stream?.(view),
  away() {
    if (!consoleAway) awaySince = Date.now() / 1000;
    consoleAway = true;
    tell();
    shown?.status?.(latest, { consoleAway });
  },
});

addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || link.target || link.classList.contains("skip")) return;
  const path = new URL(link.href).pathname;
  if (link.origin !== location.origin || path.startsWith("/api/") || path.startsWith("/static/") || path.startsWith("/docs/")) return;
  event.preventDefault();
  go(link.href);
});
addEventListener("popstate", show);
addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName);
  if (event.key === "Escape" && typing) document.activeElement.blur();
  if (typing) return;
  if (event.key === "/") {
    event.preventDefault();
    const field = document.querySelector("input[type=search]");
    if (field) field.focus();
    else go("/streams?focus=1");
  } else if (event.key === "?") location.assign("/docs/");
  else if (event.key >= "1" && event.key <= String(links.length)) go(links[event.key - 1].href);
  else shown?.key?.(event);
});
setInterval(() => (consoleAway || latest?.away) && tell(), 1000);
show();
tell();
