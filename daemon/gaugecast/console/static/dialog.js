// What is asked before something is changed, and what is said after it.
import { ask, post } from "./api.js";
import { fill, h } from "./dom.js";

// What this viewer may do; asked once a page.
let known = null;
export function access() {
  known ??= ask("access").catch(() => { known = null; return { may_write: false, can_write: false }; });
  return known;
}

const said = h("div", { class: "toast", role: "status", hidden: true });
let timer = 0;
export function say(text, kind = "good") {
  if (!said.isConnected) document.body.append(said);
  clearTimeout(timer);
  said.className = `toast ${kind}`;
  said.hidden = false;
  fill(said, text);
  timer = setTimeout(() => { said.hidden = true; }, 8000);
}

// Ask; resolves to the field's text, or true without a field, or null where the answer is no.
export function confirm({ title, text, action, danger = false, field = null }) {
  return new Promise((resolve) => {
    const input = field && h("input", { type: "text", id: "dialog-field", value: field.value ?? "", required: true, maxlength: 256, spellcheck: "false", autocomplete: "off" });
    const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), h("p", { class: "dim" }, text),
      input && h("label", { for: "dialog-field" }, field.label, input),
      h("div", { class: "dialog-foot" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), h("button", { type: "submit", class: danger ? "danger" : "primary" }, action)));
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    let answer = null;
    form.addEventListener("submit", () => { answer = input ? input.value.trim() : true; });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(answer || null); });
    document.body.append(dialog);
    dialog.showModal();
    (input ?? form.querySelector("button[type=button]")).focus();
    input?.select();
  });
}

// Ask, change, say; resolves to whether it was done.
export async function change(path, body, question) {
  const answer = await confirm(question);
  if (answer === null) return null;
  try {
    const told = await post(path, typeof body === "function" ? body(answer) : body);
    say(told.done);
    return answer;
  } catch (fault) {
    say(fault.message, "bad");
    return null;
  }
}
