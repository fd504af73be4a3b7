// The token goes in a body, never in an address, and comes back as a cookie that no script can read.
const form = document.getElementById("form"), fault = document.getElementById("fault");
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* no storage: as the system has it */ }

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.textContent = "";
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const token = document.getElementById("token").value.trim();
    const answer = await fetch("/login", { method: "POST", body: token });
    if (answer.ok) location.replace("/");
    else fault.textContent = (await answer.json()).error;
  } catch {
    fault.textContent = "The console does not answer.";
  } finally {
    button.disabled = false;
  }
});
