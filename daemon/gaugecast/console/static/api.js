// Questions to the console, and what it says by itself.

export class Fault extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === null || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, one);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function read(answer) {
  if (answer.status === 401) {
    location.replace("/login");
    throw new Fault(401, "A token is needed.");
  }
  let content = null;
  try {
    content = await answer.json();
  } catch {
    throw new Fault(answer.status, "The console's answer ended early.");
  }
  if (!answer.ok) throw new Fault(answer.status, content.error ?? "The console does not say why.");
  return content;
}

export async function ask(path, parameters, { signal } = {}) {
  let answer;
  try {
    answer = await fetch(address(`/api/v1/${path}`, parameters), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault(0, "The console does not answer. It is asked again.");
  }
  return read(answer);
}

export async function post(path, body) {
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Fault(0, "The console does not answer.");
  }
  return read(answer);
}

// One stream of events for the page; whoever shows another stream asks for another.
export class Live {
  constructor({ status, stream, away }) {
    this.heard = { status, stream, away };
    this.wanted = {};
    this.source = null;
    this.timer = 0;
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  watch(wanted) {
    if (this.source && JSON.stringify(wanted) === JSON.stringify(this.wanted)) return;
    this.wanted = wanted;
    this.open();
  }

  open() {
    this.close();
    const source = (this.source = new EventSource(address("/api/v1/live", this.wanted)));
    source.addEventListener("status", (event) => this.heard.status(JSON.parse(event.data)));
    source.addEventListener("stream", (event) => this.heard.stream(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      this.heard.away();
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        ask("status").then(() => this.open(), () => this.source === source && source.dispatchEvent(new Event("error")));
      }, 1500);
    });
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}
