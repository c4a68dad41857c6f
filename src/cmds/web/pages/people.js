// People: who is enrolled, adding somebody, what is known of them, and forgetting them.
import { ask, make, t, time } from "/pages/common.js";
import { camera, files } from "/pages/photos.js";

const dialog = document.getElementById("dialog");

export async function people(body, fail) {
  const search = make("input", { id: "search", type: "search", autocomplete: "off" });
  const list = make("div");
  const add = make("button", { class: "main", on: { click: () => enrol(body, fail).catch(fail) } }, t("add_person"));
  body.replaceChildren(
    make("div", { class: "card row" }, make("div", {}, make("label", { for: "search" }, t("search")), search), add), list,
  );
  const show = async (after) => {
    const query = new URLSearchParams({ search: search.value, limit: "50", ...(after ? { after } : {}) });
    const found = await ask("GET", `/v1/persons?${query}`);
    list.replaceChildren(table(found, body, fail));
    if (found.next) list.append(make("button", { on: { click: () => show(found.next).catch(fail) } }, t("more")));
  };
  let waits;
  search.addEventListener("input", () => {
    clearTimeout(waits);
    waits = setTimeout(() => show().catch(fail), 200);
  });
  await show();
}

function table({ persons, total, not_used: notUsed }, body, fail) {
  const rows = persons.map((person) => make("tr", {},
    make("th", { scope: "row" }, make("button", { on: { click: () => showPerson(body, person.record, fail).catch(fail) } }, person.name)),
    make("td", {}, standing(person)), make("td", {}, String(person.templates.length)), make("td", {}, person.groups.join(", ")),
    make("td", {}, time(person.enrolled)),
  ));
  const heads = ["name", "let_in", "templates", "groups", "enrolled"].map((key) => make("th", { scope: "col" }, t(`column_${key}`)));
  const trouble = notUsed.map((file) => make("p", { class: "error" }, `${file.file}: ${file.problem}`));
  return make("div", { class: "card scroll" }, make("p", { class: "soft", role: "status" }, t("people_count", { count: total })), ...trouble,
    make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
}

function standing(person) {
  return person.barred ? make("span", { class: "tag bad" }, t("barred", { why: person.barred }))
    : make("span", { class: "tag good" }, t("admitted"));
}

/** The form for somebody new, or for more pictures of somebody. */
async function enrol(body, fail, person) {
  const { cameras } = person ? {} : await ask("GET", "/v1/cameras");
  const name = make("input", { id: "name", autocomplete: "off", required: true, maxlength: "100" });
  const said = make("p", { role: "status" });
  const save = make("button", { class: "main", disabled: true }, t(person ? "add_photos" : "enrol"));
  const pictures = [];
  const thumbs = make("ul", { class: "thumbs" });
  const take = async (uri) => {
    const checked = await ask("POST", "/v1/photos/check", { image: uri });
    const remove = make("button", { type: "button" }, t("remove"));
    const fate = checked.usable ? make("p", { class: "fine" }, t("usable")) : make("p", { class: "error" }, checked.message);
    const item = make("li", {}, make("img", { src: uri, alt: t("photo_number", { number: pictures.length + 1 }) }), fate, remove);
    const picture = { uri, usable: checked.usable };
    remove.addEventListener("click", () => { pictures.splice(pictures.indexOf(picture), 1); item.remove(); update(); });
    pictures.push(picture);
    thumbs.append(item);
    update();
  };
  const update = () => { save.disabled = !pictures.some((picture) => picture.usable) || pictures.length > 10; };
  const consent = { by: make("input", { id: "consent-by", autocomplete: "off" }), for: make("input", { id: "consent-for", autocomplete: "off" }) };
  const form = make("form", { class: "card" }, make("h3", {}, person ? t("add_photos_to", { name: person.name }) : t("add_person")),
    ...(person ? [] : [field("name", t("column_name"), name)]), files(take, fail), camera(take, fail), thumbs,
    ...(person ? [] : [make("div", { class: "two" }, field("consent-by", t("consent_by"), consent.by), field("consent-for", t("consent_for"), consent.for)), atDoor(cameras, name, said, fail)]),
    make("div", { class: "row" }, save, make("button", { type: "button", on: { click: () => people(body, fail).catch(fail) } }, t("back"))), said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    save.disabled = true;
    const images = pictures.filter((picture) => picture.usable).map((picture) => picture.uri);
    const set = consent.by.value && consent.for.value ? { consent_by: consent.by.value, consent_for: consent.for.value } : {};
    try {
      const done = person ? await ask("POST", `/v1/persons/${person.record}/photos`, { images })
        : await ask("POST", "/v1/persons", { person: name.value, images, set });
      await showPerson(body, done.person.record, fail, t("enrolled_done", { name: done.person.name, count: done.added }));
    } catch (failure) {
      fail(failure);
      update();
    }
  });
  body.replaceChildren(form);
  (person ? form.querySelector("input") : name).focus();
}

/** Enrolling somebody who stands at a camera of the daemon, which takes the pictures. */
function atDoor(cameras, name, said, fail) {
  const select = make("select", { id: "door-camera" }, ...cameras.map(({ camera }) => make("option", { value: camera }, camera)));
  const button = make("button", { type: "button" }, t("at_door"));
  button.addEventListener("click", async () => {
    if (!name.reportValidity()) return;
    button.disabled = true;
    try {
      const answer = await ask("POST", `/v1/cameras/${encodeURIComponent(select.value)}/enrol`, { person: name.value });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        lines.map((line) => JSON.parse(line)).forEach((told) => { said.textContent = told.wanted ? `${told.taken}/${told.wanted}: ${told.message}` : told.message; });
      }
    } catch (failure) {
      fail(failure);
    }
    button.disabled = false;
  });
  return make("div", { class: "row" }, field("door-camera", t("door_camera"), select), button);
}

function field(id, label, input) {
  return make("div", { class: "field" }, make("label", { for: id }, label), input);
}

async function showPerson(body, record, fail, said = "") {
  const person = await ask("GET", `/v1/persons/${record}`);
  const again = (text) => showPerson(body, record, fail, text);
  const { admission = {}, consent, notes, display_name: called } = person.particulars;
  const inputs = {
    display_name: input("display-name", called), notes: input("notes", notes), valid_from: input("valid-from", admission.valid_from),
    valid_until: input("valid-until", admission.valid_until), schedule: input("schedule", undefined), consent_by: input("consent-by", consent?.by),
    consent_for: input("consent-for", consent?.purpose),
  };
  const labels = ["display_name", "notes", "valid_from", "valid_until", "schedule", "consent_by", "consent_for"];
  const form = make("form", { class: "two" }, ...labels.map((key) => field(inputs[key].id, t(key), inputs[key])));
  const save = make("button", { class: "main" }, t("save"));
  form.append(make("div", {}, save));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const set = { clear: [] };
    for (const [key, element] of Object.entries(inputs)) {
      const value = element.value.trim();
      if (value === element.defaultValue) continue;
      if (value) set[key] = value;
      else set.clear.push(key.startsWith("consent") ? "consent" : key);
    }
    if (set.consent_by || set.consent_for) Object.assign(set, { consent_by: inputs.consent_by.value, consent_for: inputs.consent_for.value });
    try {
      await ask("PATCH", `/v1/persons/${record}`, { set });
      await again(t("saved"));
    } catch (failure) {
      fail(failure);
    }
  });
  const photos = person.templates.map((template, at) => make("tr", {}, make("td", {}, String(at + 1)), make("td", {}, template.source ?? ""),
    make("td", {}, time(template.added)),
    make("td", {}, make("button", { on: { click: () => ask("DELETE", `/v1/persons/${record}/photos/${at + 1}`).then(() => again(t("saved"))).catch(fail) } },
      t("remove"), make("span", { class: "visually-hidden" }, ` ${at + 1}`)))));
  const heads = ["number", "source", "added", "remove"].map((key) => make("th", { scope: "col" }, t(`column_${key}`)));
  const advice = person.coverage.advice.map((text) => make("li", {}, text));
  body.replaceChildren(
    make("p", { role: "status", class: "fine" }, said),
    make("div", { class: "card" }, make("div", { class: "row" }, make("h3", {}, person.name), standing(person)),
      make("p", { class: "soft" }, `${t("column_groups")}: ${person.groups.join(", ") || "–"}${admission.schedule ? ` · ${t("schedule")}: ${admission.schedule.time_zone}` : ""}`), form),
    make("div", { class: "card scroll" }, make("h3", {}, t("column_templates")), make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...photos)),
      advice.length ? make("ul", { class: "soft" }, ...advice) : null, make("button", { on: { click: () => enrol(body, fail, person).catch(fail) } }, t("add_photos"))),
    make("div", { class: "row" }, make("button", { class: "danger", on: { click: () => forget(body, person, fail) } }, t("forget")),
      make("button", { on: { click: () => people(body, fail).catch(fail) } }, t("back"))),
  );
}

function input(id, value = "") {
  return make("input", { id, autocomplete: "off", value });
}

/** Asks first; then shows the receipt, which can be kept as a file. */
function forget(body, person, fail) {
  const sure = make("button", { class: "danger" }, t("forget_sure"));
  const cancel = make("button", { on: { click: () => dialog.close() } }, t("cancel"));
  dialog.replaceChildren(make("h2", { id: "dialog-title" }, t("forget_title", { name: person.name })), make("p", {}, t("forget_help")),
    make("div", { class: "row" }, sure, cancel));
  sure.addEventListener("click", async () => {
    sure.disabled = true;
    try {
      const receipt = JSON.stringify(await ask("DELETE", `/v1/persons/${person.record}`), null, 2);
      const link = make("a", { href: URL.createObjectURL(new Blob([receipt], { type: "application/json" })), download: `receipt-${person.record}.json` }, t("receipt_save"));
      dialog.replaceChildren(make("h2", { id: "dialog-title" }, t("receipt")), make("p", {}, t("receipt_help")),
        make("pre", { tabindex: "0", "aria-label": t("receipt") }, receipt),
        make("div", { class: "row" }, link, make("button", { class: "main", on: { click: () => dialog.close() } }, t("close"))));
      await people(body, fail);
    } catch (failure) {
      dialog.close();
      fail(failure);
    }
  });
  dialog.showModal();
  cancel.focus();
}
