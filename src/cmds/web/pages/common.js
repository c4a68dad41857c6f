// What both pages share: words, the server, signing in, and making elements. Text is only ever set as text.

let words = {};

/** The words of a key, with `{names}` filled in. */
export function t(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Whether there are words for a key. */
export const hasWords = (key) => key in words;

/** Loads the words: of `?lang=`, the choice made before, or the browser's first language that there is. */
export async function loadWords() {
  const known = ["en", "de"];
  const wanted = [
    new URLSearchParams(location.search).get("lang"), localStorage.getItem("language"),
    ...navigator.languages.map((name) => name.slice(0, 2)), "en",
  ];
  const language = wanted.find((name) => known.includes(name));
  words = await (await fetch(`/pages/${language}.json`)).json();
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  document.title = t(document.body.dataset.title);
  for (const select of document.querySelectorAll("select.language")) {
    select.value = language;
    select.addEventListener("change", () => {
      localStorage.setItem("language", select.value);
      const url = new URL(location.href);
      url.searchParams.delete("lang");
      location.replace(url);
    });
  }
}

/** What the server refused; `code` is for programs, the message for people. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? String(status));
    Object.assign(this, { status, code: body.code, body });
  }
}

let session = null;
export const whoIsSignedIn = () => session;

/** Asks the server; gives JSON, or the whole answer for anything else. */
export async function ask(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (session && method !== "GET") headers["X-Facewarden-CSRF"] = session.csrf;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { error: t("no_connection"), code: "no_connection" });
  }
  const isJson = (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
  if (!answer.ok) throw new Refused(answer.status, isJson ? await answer.json() : {});
  return isJson ? answer.json() : answer;
}

/** Makes sure that somebody has signed in: with `#token=…`, which leaves the address at once, or in the form. */
export async function signIn(form) {
  const fragment = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fragment) history.replaceState(null, "", location.pathname + location.search);
  try {
    session = fragment ? await ask("POST", "/v1/session", { token: fragment }) : await ask("GET", "/v1/session");
    form.parentElement.hidden = true;
    return;
  } catch (refused) {
    if (refused.status !== 401) showError(form.querySelector(".error"), refused);
  }
  form.hidden = false;
  form.querySelector("input").focus();
  await new Promise((done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const input = form.querySelector("input");
      try {
        session = await ask("POST", "/v1/session", { token: input.value });
        input.value = "";
        form.hidden = true;
        form.parentElement.hidden = true;
        done();
      } catch (refused) {
        showError(form.querySelector(".error"), refused);
        input.focus();
      }
    });
  });
}

export async function signOut() {
  await ask("DELETE", "/v1/session");
  location.reload();
}

export function showError(place, error) {
  place.textContent = error.code && hasWords(`error_${error.code}`) ? t(`error_${error.code}`) : error.message;
}

/** An element with properties and children; texts become text. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "on") for (const [event, does] of Object.entries(value)) element.addEventListener(event, does);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const time = (text) => new Date(text).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
