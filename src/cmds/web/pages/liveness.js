// The liveness self-test: real people and pictures of people are shown to a running camera, and it is counted what each is
// taken for. Nobody is verified at that camera meanwhile.
import { ask, make, t } from "/pages/common.js";

const KINDS = ["live", "print", "phone", "laptop", "other"];

export async function liveness(body, fail) {
  const { cameras } = await ask("GET", "/v1/cameras");
  const select = make("select", { id: "camera" }, ...cameras.map(({ camera }) => make("option", { value: camera }, camera)));
  const standing = make("p");
  const begin = make("button", { class: "main" }, t("test_begin"));
  const stage = make("div");
  let test = null;
  const path = () => `/v1/cameras/${encodeURIComponent(select.value)}/liveness-test`;

  const show = async () => {
    const { is_required: isRequired, missing } = await ask("GET", path());
    standing.className = missing ? "error" : "soft";
    standing.textContent = missing ?? t(isRequired ? "test_is_passed" : "test_not_required");
  };
  const over = async () => {
    test = null;
    begin.disabled = select.disabled = false;
    await show();
  };
  begin.addEventListener("click", async () => {
    begin.disabled = select.disabled = true;
    try {
      await ask("POST", path(), {});
      test = path();
      stage.replaceChildren(presenting(select.value, test, over, fail));
      stage.querySelector("button").focus();
    } catch (failure) {
      begin.disabled = select.disabled = false;
      fail(failure);
    }
  });
  select.addEventListener("change", () => show().catch(fail));
  body.replaceChildren(
    make("p", {}, t("test_help")),
    make("div", { class: "card row" }, make("div", {}, make("label", { for: "camera" }, t("column_camera")), select), begin), standing, stage,
  );
  await show();
  // Whoever leaves the page gives the camera back to the door.
  return () => {
    for (const image of body.querySelectorAll("img")) image.src = "";
    if (test) ask("DELETE", test).catch(fail);
  };
}

/** What is shown while a test goes on. It can be broken off at any time, also while something is looked at. */
function presenting(camera, path, over, fail) {
  const choice = make("div", { class: "row", role: "group", "aria-label": t("test_present") });
  const said = make("p", { role: "status" }, t("test_help_live"));
  const counts = make("tbody");
  const buttons = KINDS.map((kind) => make("button", { on: { click: () => present(kind) } }, t(`test_${kind}`)));
  const end = make("button", { class: "main", disabled: true, on: { click: () => finish("POST", `${path}/end`) } }, t("test_end"));
  const stop = make("button", { on: { click: () => finish("DELETE", path) } }, t("test_break_off"));
  let isBrokenOff = false;
  const busy = (is) => [...buttons, end].forEach((button) => { button.disabled = is || (button === end && !counts.children.length); });
  const view = make("img", { src: `/v1/cameras/${encodeURIComponent(camera)}/preview`, alt: t("live_of", { camera }) });

  async function present(kind) {
    busy(true);
    said.textContent = t("test_looking");
    try {
      const told = await ask("POST", `${path}/presentations`, { kind });
      said.textContent = `${t(`test_${kind}`)}: ${t(`taken_${told.code}`)}`;
      counts.replaceChildren(...[["live", told.live], ...Object.entries(told.attacks)].map(([name, counted]) => row(name, counted)));
    } catch (failure) {
      said.textContent = "";
      // Broken off meanwhile, or the page was left: that is no fault.
      if (!isBrokenOff && stage.isConnected) fail(failure);
    }
    busy(false);
  }
  async function finish(method, where) {
    busy(true);
    stop.disabled = true;
    isBrokenOff = method === "DELETE";
    try {
      const ended = await ask(method, where, method === "POST" ? {} : undefined);
      view.src = "";
      stage.replaceChildren(method === "POST" ? report(ended.report) : make("p", { role: "status" }, t("test_broken_off")));
      await over();
    } catch (failure) {
      busy(stop.disabled = false);
      fail(failure);
    }
  }
  choice.append(...buttons);
  const heads = ["presented", "taken_for_live", "taken_for_picture", "no_verdict"].map((key) => make("th", { scope: "col" }, t(`column_${key}`)));
  const stage = make("div", { class: "two" }, make("div", { class: "card" }, make("div", { class: "view" }, view)),
    make("div", { class: "card" }, make("h3", {}, t("test_present")), choice, said,
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), counts), make("div", { class: "row" }, end, stop)));
  return stage;
}

function row(kind, { taken_for_live: live, taken_for_picture: picture, no_verdict: none }) {
  return make("tr", {}, make("th", { scope: "row" }, t(`test_${kind}`)), ...[live, picture, none].map((count) => make("td", {}, String(count))));
}

function report(told) {
  const rate = (one) => (one ? `${(one.rate * 100).toFixed(1)} % (95 %: ${(one.low * 100).toFixed(1)} – ${(one.high * 100).toFixed(1)} %)` : "–");
  const facts = [
    ["apcer", `${rate(told.apcer)}${told.worst_kind ? `, ${t(`test_${told.worst_kind}`)}` : ""}`], ["bpcer", rate(told.bpcer)],
    ["limits", `${(told.max_apcer * 100).toFixed(1)} % / ${(told.max_bpcer * 100).toFixed(1)} %`],
  ];
  return make("section", { class: "card" }, make("h3", {}, t("test_result")),
    make("p", { role: "status" }, make("span", { class: `tag ${told.is_passed ? "good" : "bad"}` }, t(told.is_passed ? "test_passed" : "test_not_passed"))),
    make("dl", { class: "facts" }, ...facts.flatMap(([key, value]) => [make("dt", {}, t(key)), make("dd", {}, value)])),
    told.shortfalls.length ? make("ul", {}, ...told.shortfalls.map((text) => make("li", {}, text))) : null,
    make("p", { class: "soft" }, t("test_small")));
}
