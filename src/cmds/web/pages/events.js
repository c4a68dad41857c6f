// What happens: live at each camera, and the events that are kept.
import { ask, hasWords, make, t, time } from "/pages/common.js";

const dialog = document.getElementById("dialog");

export async function live(body) {
  const { cameras } = await ask("GET", "/v1/cameras");
  const latest = make("ol", { reversed: true, "aria-live": "polite" });
  const views = cameras.map((camera) => make("section", { class: "card" }, make("h3", {}, camera.camera),
    make("div", { class: "view" }, make("img", { src: `/v1/cameras/${encodeURIComponent(camera.camera)}/preview?boxes=true`, alt: t("live_of", { camera: camera.camera }) })),
    make("p", { class: "soft" }, `${t(`state_${camera.state}`)} · ${camera.source}`)));
  const stream = new EventSource("/v1/events/stream");
  for (const kind of ["match.verified", "match.unknown", "match.rejected", "match.shadow"]) {
    stream.addEventListener(kind, (message) => {
      latest.prepend(make("li", {}, summary(JSON.parse(message.data))));
      while (latest.children.length > 20) latest.lastElementChild.remove();
    });
  }
  body.replaceChildren(make("div", { class: "two" }, make("div", {}, ...views), make("section", { class: "card" }, make("h3", {}, t("decisions")), latest)));
  return () => {
    stream.close();
    for (const image of body.querySelectorAll("img")) image.src = "";
  };
}

/** One line about an event, with its scores. */
function summary(event) {
  const parts = [time(event.at), t(`kind_${event.type.replaceAll(".", "_")}`)];
  if (event.person) parts.push(event.person);
  if (event.reason) parts.push(hasWords(`reason_${event.reason}`) ? t(`reason_${event.reason}`) : event.reason);
  if (event.similarity !== undefined) parts.push(`${t("similarity")} ${event.similarity.toFixed(3)}`);
  if (event.threshold !== undefined) parts.push(`≥ ${event.threshold.toFixed(3)}`);
  if (event.liveness !== undefined) parts.push(`${t("liveness")} ${event.liveness.toFixed(2)}`);
  return parts.join(" · ");
}

export async function events(body, fail) {
  const kinds = ["", "match.", "match.verified", "match.unknown", "match.rejected", "camera.", "person.", "service."];
  const kind = make("select", { id: "kind" }, ...kinds.map((name) => make("option", { value: name }, name || t("all"))));
  const person = make("input", { id: "person", autocomplete: "off" });
  const camera = make("input", { id: "camera", autocomplete: "off" });
  const list = make("tbody");
  const filters = make("form", { class: "card two" }, ...[["kind", kind], ["person", person], ["camera", camera]].map(([id, input]) =>
    make("div", { class: "field" }, make("label", { for: id }, t(`filter_${id}`)), input)), make("div", {}, make("button", { class: "main" }, t("show"))));
  const show = async () => {
    const query = new URLSearchParams({ limit: "500" });
    for (const [name, input] of [["type", kind], ["person", person], ["camera", camera]]) if (input.value) query.set(name, input.value);
    const first = await ask("GET", `/v1/events?${query}`);
    // The newest are wanted: what is before the last page is passed over.
    let page = first;
    while (page.next < page.latest && page.events.length >= 500) page = await ask("GET", `/v1/events?${query}&after=${page.next}`);
    const rows = page.events.slice(-200).reverse().map(({ event }) => make("tr", {}, make("td", {}, time(event.at)), make("td", {}, event.type),
      make("td", {}, event.camera ?? ""), make("td", {}, event.person ?? ""), make("td", {}, event.reason ?? event.message ?? ""),
      make("td", {}, make("button", { on: { click: () => explain(event).catch(fail) } }, t("explain")))));
    list.replaceChildren(...rows);
  };
  filters.addEventListener("submit", (event) => { event.preventDefault(); show().catch(fail); });
  const heads = ["at", "type", "camera", "person", "reason", "explain"].map((key) => make("th", { scope: "col" }, t(`column_${key}`)));
  body.replaceChildren(filters, make("div", { class: "card scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), list)));
  await show();
}

async function explain(event) {
  const { text } = await ask("GET", `/v1/decisions/${event.id}/explain`);
  dialog.replaceChildren(make("h2", { id: "dialog-title" }, t("explain")), make("pre", { tabindex: "0", "aria-label": t("explain") }, text),
    make("button", { class: "main", on: { click: () => dialog.close() } }, t("close")));
  dialog.showModal();
}
