// Pictures for an enrolment: from files, or from the browser's own camera.
import { make, t } from "/pages/common.js";

/** Longer sides are made smaller before they are sent: the models see no more. */
const MOST_PX = 1600;

/** A choice of files; each is handed on as a data URI. */
export function files(take, fail) {
  const input = make("input", { id: "files", type: "file", accept: "image/*", multiple: true });
  input.addEventListener("change", async () => {
    for (const file of input.files) {
      try {
        const picture = await createImageBitmap(file);
        await take(small(picture, picture.width, picture.height));
      } catch (failure) {
        fail(failure.code ? failure : new Error(t("no_picture", { name: file.name })));
      }
    }
    input.value = "";
  });
  return make("div", { class: "field" }, make("label", { for: "files" }, t("choose_files")), input);
}

/** The browser's camera, opened when it is asked for. */
export function camera(take, fail) {
  const video = make("video", { autoplay: true, muted: true, playsInline: true });
  const view = make("div", { class: "view", hidden: true }, video);
  const shoot = make("button", { type: "button", hidden: true }, t("take_photo"));
  const open = make("button", { type: "button" }, t("open_camera"));
  let stream = null;
  open.addEventListener("click", async () => {
    if (stream) {
      stop();
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280 }, audio: false });
      video.srcObject = stream;
      view.hidden = shoot.hidden = false;
      open.textContent = t("close_camera");
    } catch {
      fail(new Error(t("no_camera")));
    }
  });
  shoot.addEventListener("click", () => take(small(video, video.videoWidth, video.videoHeight)).catch(fail));
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    view.hidden = shoot.hidden = true;
    open.textContent = t("open_camera");
  };
  // Whoever leaves the form closes the camera.
  const watch = setInterval(() => { if (!view.isConnected) { stop(); clearInterval(watch); } }, 500);
  return make("div", { class: "field" }, view, make("div", { class: "row" }, open, shoot));
}

function small(picture, width, height) {
  const scale = Math.min(1, MOST_PX / Math.max(width, height));
  const canvas = make("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
}
