// How it goes, what thresholds cost, and the settings.
import { ask, make, t, time } from "/pages/common.js";

export async function health(body, fail) {
  const show = async () => {
    const status = await ask("GET", "/v1/status");
    const cameras = status.cameras.map((camera) => make("tr", {}, make("th", { scope: "row" }, camera.camera),
      make("td", {}, make("span", { class: `tag ${camera.state === "watching" ? "good" : "bad"}` }, t(`state_${camera.state}`))),
      make("td", {}, camera.captured_fps?.toFixed(1) ?? "–"), make("td", {}, camera.detected_fps?.toFixed(1) ?? "–"),
      make("td", {}, `${camera.frame_lag_p50_ms ?? "–"} / ${camera.frame_lag_p99_ms ?? "–"} ms`), make("td", {}, String(camera.counts.decisions)), make("td", {}, camera.message ?? "")));
    const heads = ["camera", "state", "captured", "searched", "lag", "decisions", "message"].map((key) => make("th", { scope: "col" }, t(`column_${key}`)));
    const sinks = status.waiting.map((sink) => make("li", {}, `${sink.sink}: ${t("waiting", { count: sink.events })}`));
    const troubles = [...status.gallery_trouble, ...status.degraded.map((one) => `${time(one.at)}: ${one.message}`)];
    body.replaceChildren(
      make("dl", { class: "card facts" }, ...facts([["version", status.version], ["running_since", time(status.since)], ["people", String(status.people)]])),
      make("div", { class: "card scroll" }, make("h3", {}, t("cameras")), make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...cameras))),
      make("div", { class: "card" }, make("h3", {}, t("sinks")), sinks.length ? make("ul", {}, ...sinks) : make("p", { class: "soft" }, t("no_sinks"))),
      make("div", { class: "card" }, make("h3", {}, t("troubles")), troubles.length ? make("ul", {}, ...troubles.map((text) => make("li", {}, text))) : make("p", { class: "fine" }, t("no_troubles"))),
    );
  };
  await show();
  const timer = setInterval(() => show().catch(fail), 3000);
  return () => clearInterval(timer);
}

const facts = (pairs) => pairs.flatMap(([key, value]) => [make("dt", {}, t(key)), make("dd", {}, value)]);

export async function settings(body) {
  const { settings: shown } = await ask("GET", "/v1/settings");
  body.replaceChildren(make("p", { class: "soft" }, t("settings_help")), make("pre", { class: "card", tabindex: "0", "aria-label": t("settings") }, JSON.stringify(shown, null, 2)));
}

export async function rates(body) {
  const told = await ask("GET", "/v1/error-rates");
  const percent = (rate) => (rate === null || rate === undefined ? "–" : `${(rate * 100).toPrecision(3)} %`);
  const here = told.points.reduce((best, point) => (Math.abs(point.similarity - told.needed_similarity) < Math.abs(best.similarity - told.needed_similarity) ? point : best));
  body.replaceChildren(
    make("p", {}, t("rates_help")),
    make("dl", { class: "card facts" }, ...facts([["model", told.model], ["people", String(told.people)],
      ["needed_similarity", told.needed_similarity === null ? t("nobody_can") : told.needed_similarity.toFixed(3) + (told.is_extrapolated ? ` (${t("extrapolated")})` : "")],
      ["false_match_one", percent(here.false_match_rate)], ["most_alike", told.most_alike_strangers?.toFixed(3) ?? "–"], ["least_alike", told.least_alike_of_one_person?.toFixed(3) ?? "–"]])),
    make("div", { class: "card" }, plot(told)),
  );
}

/** Rates over similarity, the rates in powers of ten. */
function plot({ points, needed_similarity: needed }) {
  const [width, height, left, bottom, lowest] = [760, 380, 60, 46, -7];
  const x = (similarity) => left + ((similarity + 0.2) / 1.2) * (width - left - 16);
  const y = (rate) => 14 + (Math.max(lowest, Math.log10(Math.max(rate, 1e-12))) / lowest) * (height - bottom - 14);
  const svg = (name, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const line = (style, wanted) => {
    const shown = points.map(wanted).filter((point) => point);
    return svg("polyline", { class: style, points: shown.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ") });
  };
  const plot = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("plot_label") });
  for (let power = 0; power >= lowest; power -= 1) {
    plot.append(svg("line", { class: "grid", x1: left, x2: width - 16, y1: y(10 ** power), y2: y(10 ** power) }), svg("text", { x: 4, y: y(10 ** power) + 4 }, power === 0 ? "100 %" : `1e${power}`));
  }
  for (let tenth = -2; tenth <= 10; tenth += 2) plot.append(svg("text", { x: x(tenth / 10) - 8, y: height - bottom + 20 }, (tenth / 10).toFixed(1)));
  plot.append(svg("line", { class: "axis", x1: left, x2: left, y1: 14, y2: height - bottom }), svg("line", { class: "axis", x1: left, x2: width - 16, y1: height - bottom, y2: height - bottom }),
    svg("text", { x: width / 2 - 30, y: height - 6 }, t("similarity")),
    line("guess", (point) => point.false_match_rate > 0 && [point.similarity, point.false_match_rate]),
    line("model", (point) => point.false_match_rate > 0 && !point.is_extrapolated && [point.similarity, point.false_match_rate]),
    line("here", (point) => point.gallery_false_match_rate > 0 && [point.similarity, point.gallery_false_match_rate]),
    line("miss", (point) => point.gallery_false_non_match_rate > 0 && [point.similarity, point.gallery_false_non_match_rate]));
  if (needed !== null) plot.append(svg("line", { class: "needed", x1: x(needed), x2: x(needed), y1: 14, y2: height - bottom }));
  const legend = ["model", "here", "miss"].map((style, at) => [
    svg("line", { class: style, x1: width - 330, x2: width - 300, y1: 26 + at * 20, y2: 26 + at * 20 }), svg("text", { x: width - 292, y: 30 + at * 20 }, t(`legend_${style}`)),
  ]);
  plot.append(...legend.flat());
  return plot;
}
