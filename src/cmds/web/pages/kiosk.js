// The page for visitors: what to do, what came of it.
import { ask, hasWords, loadWords, signIn, t } from "/pages/common.js";

const $ = (id) => document.getElementById(id);
const SHOWN_MS = 4000;
let until = 0, countdown = null, state = "starting", hint = "nobody";

await loadWords();
await signIn($("sign-in"));
$("kiosk").hidden = false;
const { cameras, notice } = await ask("GET", "/v1/kiosk");
const wanted = new URLSearchParams(location.search).get("camera");
const camera = cameras.includes(wanted) ? wanted : cameras[0];
$("notice").textContent = notice ?? t("privacy_general");
$("privacy-open").addEventListener("click", () => $("privacy").showModal());
const path = `/v1/cameras/${encodeURIComponent(camera)}`;
look();
listen();
tick();
setInterval(tick, 250);

/** Shows the picture; after an interruption, again. */
function look() {
  $("preview").onerror = () => setTimeout(look, 2000);
  $("preview").src = `${path}/preview`;
}

function listen() {
  const events = new EventSource(`${path}/kiosk`);
  const on = (kind, does) => events.addEventListener(kind, (event) => does(JSON.parse(event.data)));
  on("camera", (told) => { state = told.state; show(); });
  on("hint", (told) => { hint = told.code; show(); });
  on("decision", decided);
  on("challenge", (told) => count(t(`prompt_${told.prompt}`), told.remaining_ms));
  on("locked_out", (told) => count(t("locked_out"), told.remaining_ms));
  events.onerror = async () => {
    state = "no_connection";
    until = 0;
    $("verdict").hidden = true;
    show();
    if (events.readyState !== EventSource.CLOSED) return;
    // The session may be over, or the daemon may be starting.
    try {
      await ask("GET", "/v1/kiosk");
      listen();
      look();
    } catch (refused) {
      if (refused.status === 401) location.reload();
      else setTimeout(() => events.onerror(), 2000);
    }
  };
}

function decided(told) {
  const isGood = told.verdict === "verified";
  countdown = null;
  until = Date.now() + SHOWN_MS;
  const verdict = $("verdict");
  verdict.className = `verdict ${isGood ? "good" : "bad"}`;
  verdict.querySelector(".mark").textContent = isGood ? "✓" : "✕";
  verdict.querySelector(".text").textContent = isGood ? t("welcome", { name: told.name }) : t("not_let_in");
  const reason = `reason_${told.reason}`;
  verdict.querySelector(".more").textContent = isGood ? "" : t(hasWords(reason) ? reason : "reason_other");
  verdict.hidden = false;
  verdict.dataset.lag = String(Date.now() - Date.parse(told.decided_at));
}

function count(text, ms) {
  countdown = { text, until: Date.now() + ms };
  show();
}

function tick() {
  if (until && Date.now() >= until) {
    until = 0;
    $("verdict").hidden = true;
  }
  $("clock").textContent = new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
  show();
}

function show() {
  if (countdown && Date.now() >= countdown.until) countdown = null;
  const isOut = state !== "watching";
  const isIdle = !isOut && !countdown && hint === "nobody";
  $("idle").hidden = !(isOut || isIdle);
  set($("idle-text"), isOut ? t(`state_${state}`) : t("idle"));
  const seconds = countdown ? Math.max(0, Math.ceil((countdown.until - Date.now()) / 1000)) : 0;
  const say = $("say").firstElementChild;
  set(say, countdown ? `${countdown.text} (${seconds})` : t(`hint_${hint}`));
  say.hidden = isOut || isIdle;
  $("outline").className = `outline ${hint === "wait" ? "wait" : ""}`;
}

/** Sets a text only where it changes: what is said aloud is said once. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
