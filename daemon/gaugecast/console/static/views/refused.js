// What could not be read, why, and its first bytes.
import { ask } from "../api.js";
import { fill, h, nothing } from "../dom.js";
import { ago, clock, count } from "../format.js";

export function open(root, { parameters, go }) {
  root.className = "refused";
  let reason = parameters.reason ?? "", timer = 0, closed = false, last = "";
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Reason" }), passed = h("p", { class: "dim told" });
  const body = h("div", {}, h("p", { class: "dim" }, "…"));
  fill(root, h("div", { class: "toolbar" }, h("h1", {}, "Refused"), chips, passed), body);

  async function look() {
    clearTimeout(timer);
    try {
      const told = await ask("refused", { reason, limit: 200 });
      if (closed) return;
      fill(chips, Object.entries(told.by_reason).map(([name, many]) => h("button", { class: "chip", "aria-pressed": String(reason === name), onclick: () => choose(name) }, name, h("b", {}, count(many)))));
      passed.textContent = [told.late && `${count(told.late)} late`, told.duplicate && `${count(told.duplicate)} twice`, told.not_ours && `${count(told.not_ours)} not ours`].filter(Boolean).join(" · ") || "";
      if (passed.textContent) passed.textContent = `passed over since the start: ${passed.textContent}`;
      const now = `${reason}:${told.rows.map((one) => one.number).join()}`;
      if (now !== last) fill(body, told.rows.length ? table(told.rows) : nothing("Nothing was refused", "Every message so far could be read, or was none of ours."));
      last = now;
    } catch (fault) {
      if (!closed) fill(body, nothing("Not known now", fault.message));
      last = "";
    }
    if (!closed) timer = setTimeout(look, 3000);
  }
  function choose(name) {
    reason = reason === name ? "" : name;
    history.replaceState(null, "", reason ? `/refused?reason=${encodeURIComponent(reason)}` : "/refused");
    look();
  }
  function table(rows) {
    return h("section", { class: "card" }, h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Refused messages" }, h("table", { class: "refusals" },
      h("thead", {}, h("tr", {}, ["When", "Why", "What came", ""].map((name) => h("th", {}, name)))),
      h("tbody", {}, rows.map((one) => h("tr", {}, h("td", { class: "nowrap", title: clock(one.received_at_s) }, ago(one.received_at_s)),
        h("td", {}, h("span", { class: "tag warn" }, one.reason)),
        h("td", { class: "wrap" }, h("strong", {}, one.topic || one.stream), h("span", { class: "block" }, one.detail), h("code", { class: "payload", tabindex: "0" }, one.payload || "(empty)")),
        h("td", {}, h("button", { class: "small", onclick: () => attempt(one) }, "Try"))))))));
  }
  function attempt(one) {
    try {
      sessionStorage.setItem("try", JSON.stringify({ topic: one.topic, payload: one.payload }));
    } catch { /* the form is empty then */ }
    go("/config");
  }
  look();
  return { back: look, close() { closed = true; clearTimeout(timer); } };
}
