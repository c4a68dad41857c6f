// The pages in a real browser, with the real daemon: sign in, enrol from a file and from a camera, be welcomed at the kiosk,
// be forgotten, be refused. Run by `make test-web`; pictures of every state are left in target/web-screenshots/.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = process.env.FACEWARDEN_BIN ?? join(root, "target/debug/facewarden");
const ffmpeg = process.env.FACEWARDEN_FFMPEG ?? join(root, "vendor/ffmpeg");
const pictures = join(root, "tests/pictures");
const shots = join(root, "target/web-screenshots");
const chromiumPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
if (!chromiumPath) fail("there is no chromium: run ./setup --web as root, or install Debian's package chromium");

let playwright, axe;
try {
  playwright = (await import("playwright-core")).default;
  axe = readFileSync(join(dirname(fileURLToPath(import.meta.resolve("axe-core"))), "axe.min.js"), "utf8");
} catch {
  fail("playwright-core and axe-core are missing: run ./setup --web");
}

function fail(message) {
  console.error(`test-web: ${message}`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), "facewarden-web-"));
const path = (name) => join(folder, name);
const running = [];
let step = "starting";
const problems = [];
rmSync(shots, { recursive: true, force: true });
mkdirSync(shots, { recursive: true });

/** A number of pictures that stand in for a camera: nobody is there, and then somebody comes. */
function makeFrames() {
  mkdirSync(path("frames"));
  const background = ["-f", "lavfi", "-i", "color=c=0x5a646e:s=640x360:r=10"];
  const run = (args) => {
    const done = spawnSync(ffmpeg, ["-hide_banner", "-loglevel", "error", "-y", ...args]);
    if (done.status !== 0) fail(`ffmpeg failed: ${done.stderr}`);
  };
  run([...background, "-frames:v", "45", "-start_number", "0", path("frames/%d.jpg")]);
  run([...background, "-loop", "1", "-i", join(pictures, "obama.jpg"), "-filter_complex",
    "[1]scale=-2:340[face];[0][face]overlay=x=150+3*min(n\\,10):y=10:shortest=0", "-frames:v", "20", "-start_number", "45", path("frames/%d.jpg")]);
  // What the browser takes for its camera.
  run(["-loop", "1", "-i", join(pictures, "obama2.jpg"), "-t", "2", "-r", "10", "-vf", "scale=640:480:force_original_aspect_ratio=decrease,pad=640:480:(ow-iw)/2:(oh-ih)/2",
    "-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p", path("camera.mjpeg")]);
}

async function startDaemon() {
  mkdirSync(path("enrolled"), { mode: 0o700 });
  writeFileSync(path("facewarden.yaml"), `schema: 1
cameras: [{ id: door, source: "${path("frames")}", fps: 10, loops: 100000 }]
liveness: { mode: report, self_test_file: "${path("liveness.json")}", min_looks: 3, min_span_ms: 200, screen_edges: false, overexposure: false }
decision: { cooldown_ms: 300 }
gallery: { folder: "${path("enrolled")}" }
events: { log: "${path("events.jsonl")}", outbox: { folder: "${path("outbox")}" } }
http: { listen: "127.0.0.1:0", tokens: "${path("tokens.json")}" }
`);
  const token = (name, scope) => {
    const made = spawnSync(program, ["token", "create", name, "--scope", scope, "--config", path("facewarden.yaml")], { encoding: "utf8" });
    if (made.status !== 0) fail(made.stderr);
    return made.stdout.trim();
  };
  const tokens = { admin: token("operator", "admin"), kiosk: token("kiosk", "kiosk") };
  const daemon = spawn(program, ["run", "--config", path("facewarden.yaml")], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, FACEWARDEN_FFMPEG: ffmpeg } });
  running.push(daemon);
  let log = "";
  const url = await new Promise((done, odd) => {
    daemon.stderr.on("data", (bytes) => {
      log += bytes;
      const found = log.match(/HTTP is answered at (http:\S+)/);
      if (found) done(found[1]);
    });
    daemon.on("exit", () => odd(new Error(`the daemon ended:\n${log}`)));
  });
  return { url, tokens, daemon, log: () => log };
}

/** Looks for barriers, and keeps a picture. */
async function look(page, name) {
  step = name;
  await page.screenshot({ path: join(shots, `${name}.png`) });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, help, nodes } of violations) {
    const text = `${name}: ${id} (${impact}): ${help}: ${nodes.map((node) => node.html).slice(0, 3).join(" | ")}`;
    if (["serious", "critical"].includes(impact)) problems.push(text);
    else console.log(`test-web: minor: ${text}`);
  }
}

function watch(page, name) {
  page.on("console", (message) => {
    // The browser itself says that an answer was a refusal, which is what some steps are about.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) problems.push(`${name}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${name}: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1|data:|blob:)/.test(request.url())) problems.push(`${name}: asks elsewhere: ${request.url()}`);
    if (/token|fwt_/.test(request.url())) problems.push(`${name}: a token is in an address`);
  });
}

function expect(is, what) {
  if (!is) throw new Error(what);
}

async function main() {
  makeFrames();
  const { url, tokens, daemon } = await startDaemon();
  const browser = await playwright.chromium.launch({
    executablePath: chromiumPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${path("camera.mjpeg")}`],
  });
  running.push({ kill: () => browser.close() });
  const open = async (name, options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    context.setDefaultTimeout(Number(process.env.WEB_TIMEOUT_MS ?? 45_000));
    const page = await context.newPage();
    watch(page, name);
    return page;
  };

  step = "the kiosk signs in by the part behind # and shows the picture";
  const kiosk = await open("kiosk");
  await kiosk.goto(`${url}/kiosk?camera=door#token=${tokens.kiosk}`);
  await kiosk.waitForSelector("#kiosk:not([hidden])");
  expect(!kiosk.url().includes("token"), "the token stays in the address");
  await kiosk.waitForFunction(() => document.getElementById("preview").naturalWidth > 0);
  await kiosk.waitForSelector("#verdict.bad:not([hidden])");
  await look(kiosk, "kiosk-stranger");
  await kiosk.waitForSelector("#verdict", { state: "hidden" });
  await kiosk.waitForSelector("#idle:not([hidden])");
  await look(kiosk, "kiosk-idle");
  await kiosk.click("#privacy-open");
  await look(kiosk, "kiosk-privacy");
  await kiosk.keyboard.press("Escape");

  step = "a wrong token is refused, a right one lets in, with the keyboard alone";
  const admin = await open("admin");
  await admin.goto(`${url}/admin`);
  await admin.waitForSelector("#sign-in:not([hidden])");
  await admin.keyboard.type("fwt_wrong");
  await admin.keyboard.press("Enter");
  await admin.waitForFunction(() => document.querySelector("#sign-in .error").textContent !== "");
  await look(admin, "admin-sign-in");
  await admin.keyboard.press("Control+A");
  await admin.keyboard.type(tokens.admin);
  await admin.keyboard.press("Enter");
  await admin.waitForSelector("#admin:not([hidden])");
  await admin.waitForSelector("text=0 enrolled");
  await look(admin, "admin-nobody");

  step = "somebody is enrolled from a file and from the browser's camera";
  await admin.click("text=Add somebody");
  await admin.fill("#name", "Barack");
  await admin.setInputFiles("#files", [join(pictures, "cat.jpg"), join(pictures, "obama.jpg")]);
  await admin.waitForSelector(".thumbs li:nth-child(2) .fine");
  await admin.waitForSelector(".thumbs li:nth-child(1) .error");
  await admin.click("text=Use this device's camera");
  await admin.waitForFunction(() => document.querySelector("video").videoWidth > 0);
  await admin.click("text=Take a photo");
  await admin.waitForSelector(".thumbs li:nth-child(3) .fine");
  await admin.fill("#consent-by", "Barack");
  await admin.fill("#consent-for", "door access");
  await look(admin, "admin-enrol");
  await admin.click("button.main:has-text('Enrol')");
  await admin.waitForSelector("text=Barack is enrolled; templates added: 2.");
  await admin.fill("#display-name", "Mr. President");
  await admin.click("text=Save");
  await admin.waitForSelector("text=Saved.");
  await look(admin, "admin-person");

  step = "the kiosk welcomes them";
  // They may have been welcomed already before they had that name; they come again and again.
  await kiosk.waitForSelector("#verdict.good:not([hidden]) .text:has-text('Mr. President')");
  const lag = await kiosk.getAttribute("#verdict", "data-lag");
  console.log(`test-web: from the decision to the welcome: ${lag} ms`);
  await look(kiosk, "kiosk-welcome");

  step = "live view, events, health, thresholds and settings";
  await admin.click("nav >> text=Live");
  await admin.waitForFunction(() => document.querySelector(".view img")?.naturalWidth > 0);
  await admin.waitForSelector("ol li");
  await look(admin, "admin-live");
  await admin.click("nav >> text=Events");
  await admin.waitForSelector("tbody tr");
  await admin.selectOption("#kind", "match.verified");
  await admin.click("#page form button.main");
  await admin.waitForFunction(() => [...document.querySelectorAll("tbody tr")].every((row) => row.textContent.includes("match.verified")));
  await look(admin, "admin-events");
  await admin.click("tbody tr:first-child button");
  await admin.waitForSelector("dialog pre:has-text('Barack')");
  await look(admin, "admin-explain");
  await admin.keyboard.press("Escape");
  await admin.click("nav >> text=Health");
  await admin.waitForSelector(".tag.good");
  await look(admin, "admin-health");
  await admin.click("nav >> text=Thresholds");
  await admin.waitForSelector("svg.plot");
  await look(admin, "admin-rates");
  await admin.click("nav >> text=Liveness");
  await admin.waitForSelector("text=The settings do not ask for a test");
  await admin.click("text=Begin the test");
  await admin.waitForSelector("button:has-text('A real person')");
  await kiosk.waitForSelector("#verdict", { state: "hidden" });
  await kiosk.waitForSelector("text=The camera is being tested");
  await look(kiosk, "kiosk-testing");
  // Somebody is in view for two seconds of six and a half.
  for (let tries = 0; !(await admin.$("tbody tr td:nth-child(2):not(:text-is('0')), tbody tr td:nth-child(3):not(:text-is('0'))")); tries += 1) {
    expect(tries < 5, "no presentation came to anything");
    await admin.click("button:has-text('A print')");
    await admin.waitForSelector("[role=status]:has-text('A print: ')");
    await admin.waitForSelector("button:has-text('A print'):enabled");
  }
  await look(admin, "admin-liveness");
  await admin.click("text=End the test and keep the result");
  await admin.waitForSelector("text=not passed");
  expect(readFileSync(path("liveness.json"), "utf8").includes("\"door\""), "the result was not kept");
  await look(admin, "admin-liveness-result");
  await admin.click("nav >> text=Settings");
  await admin.waitForSelector("pre:has-text('cameras')");
  await look(admin, "admin-settings");

  step = "the pages speak German, also in the dark and on a telephone";
  const german = await open("german", { locale: "de-DE", colorScheme: "dark", viewport: { width: 390, height: 844 } });
  await german.goto(`${url}/admin#token=${tokens.admin}`);
  await german.waitForSelector("text=1 erfasst");
  await look(german, "admin-german-dark");
  await german.goto(`${url}/kiosk`);
  await german.waitForSelector("#kiosk:not([hidden])");
  await german.waitForSelector("text=Datenschutz");
  await german.waitForSelector("#idle:not([hidden])");
  await look(german, "kiosk-german");
  await german.context().close();

  step = "forgotten, with the keyboard alone";
  await admin.click("nav >> text=People");
  await admin.waitForSelector("th button");
  await admin.focus("th button");
  await admin.keyboard.press("Enter");
  await admin.waitForSelector("button.danger");
  await admin.focus("button.danger");
  await admin.keyboard.press("Enter");
  await admin.waitForSelector("dialog[open]");
  await look(admin, "admin-forget");
  await admin.keyboard.press("Shift+Tab");
  await admin.keyboard.press("Enter");
  await admin.waitForSelector("dialog pre:has-text('facewarden.forget/1')");
  await look(admin, "admin-receipt");
  const [receipt] = await Promise.all([admin.waitForEvent("download"), admin.click("text=Save the receipt")]);
  expect(JSON.parse(readFileSync(await receipt.path(), "utf8")).left.length === 0, "something is left");
  await admin.keyboard.press("Escape");
  await admin.waitForSelector("text=0 enrolled");

  step = "the kiosk refuses them from then on";
  await kiosk.waitForSelector("#verdict", { state: "hidden" });
  await kiosk.waitForSelector("#verdict:not([hidden])");
  expect(await kiosk.evaluate(() => document.getElementById("verdict").classList.contains("bad")), "welcomed after being forgotten");
  await look(kiosk, "kiosk-forgotten");

  step = "signing out, and a daemon that ends";
  await admin.click("#sign-out");
  await admin.waitForSelector("#sign-in:not([hidden])");
  daemon.removeAllListeners("exit");
  daemon.kill("SIGTERM");
  const [code] = await once(daemon, "exit");
  expect(code === 0, `the daemon ended with ${code}`);
  await kiosk.waitForSelector("text=No connection");
  await look(kiosk, "kiosk-no-connection");
}

let done = 1;
try {
  await main();
  done = problems.length ? 1 : 0;
} catch (error) {
  problems.push(`${step}: ${error.message}`);
  const told = existsSync(path("events.jsonl")) ? readFileSync(path("events.jsonl"), "utf8").trim().split("\n").map(JSON.parse) : [];
  console.error(told.slice(-12).map((event) => `${event.at} ${event.type} ${event.reason ?? ""}`).join("\n"));
}
for (const one of running.reverse()) {
  try {
    await one.kill();
  } catch {
    // It has ended already.
  }
}
rmSync(folder, { recursive: true, force: true });
problems.forEach((problem) => console.error(`test-web: ${problem}`));
console.log(done ? "test-web: FAILED" : "test-web: passed");
process.exit(done);
