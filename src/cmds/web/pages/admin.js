// The page for operators: one section at a time, by the part of the address behind `#`.
import { loadWords, make, showError, signIn, signOut, t } from "/pages/common.js";
import { people } from "/pages/people.js";
import { events, live } from "/pages/events.js";
import { health, rates, settings } from "/pages/health.js";
import { liveness } from "/pages/liveness.js";

const sections = { people, live, events, health, rates, self_test: liveness, settings };
const page = document.getElementById("page");
let leave = () => {};

await loadWords();
await signIn(document.getElementById("sign-in"));
document.getElementById("admin").hidden = false;
document.getElementById("sign-out").addEventListener("click", signOut);
addEventListener("hashchange", go);
await go();

async function go() {
  const name = location.hash.slice(1).split("/")[0] || "people";
  const section = sections[name] ?? people;
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = make("h2", {}, t(name in sections ? name : "people"));
  const error = make("p", { class: "error", role: "alert" });
  const body = make("div");
  page.replaceChildren(title, error, body);
  try {
    leave = (await section(body, (failure) => showError(error, failure))) ?? (() => {});
  } catch (failure) {
    if (failure.status === 401) location.reload();
    showError(error, failure);
  }
}
