// Reads a QR code by the camera, from a picture, or from a text that is pasted. What the camera
// sees stays on this page: frames are decoded here and forgotten.
import { useSignal } from "@preact/signals";
import { decodeQR } from "qr/decode.js";
import { useEffect, useRef } from "preact/hooks";
import { sentence } from "../api";
import { Gathering } from "../frames";
import { t } from "../i18n";
import { Icon } from "./Icon";
import { TextFile } from "./TextFile";
import { announce } from "./Toasts";

const LOOK_MS = 120;
/** Larger pictures are made smaller first: a code needs a few dots for each of its squares. */
const SIDE_MAX = 1_600;

interface ScannerProps {
  title: string;
  onText: (text: string) => Promise<void>;
}

export function Scanner({ title, onText }: ScannerProps) {
  const isOn = useSignal(false);
  const take = async (text: string) => {
    isOn.value = false;
    await onText(text);
  };
  const fromPicture = async (files: FileList | null) => {
    const gathering = new Gathering();
    for (const file of files ?? []) {
      const code = decoded(await createImageBitmap(file));
      if (code === null) throw new Error(t("scan.nothing"));
      const text = gathering.take(code);
      if (text !== null) return take(text);
    }
    if (gathering.total) throw new Error(missingWords(gathering));
  };
  return (
    <section class="scanner">
      {isOn.value ? (
        <>
          <Camera
            onText={(text) => void take(text).catch((thrown) => announce(sentence(thrown), "bad"))}
            onTrouble={(words) => {
              isOn.value = false;
              announce(words, "bad");
            }}
          />
          <button type="button" onClick={() => (isOn.value = false)}>
            {t("scan.stop")}
          </button>
        </>
      ) : (
        <button type="button" class="primary" onClick={() => (isOn.value = true)}>
          <Icon name="eye" />
          {title}
        </button>
      )}
      <details>
        <summary>{t("scan.otherwise")}</summary>
        <label class="field">
          {t("scan.picture")}
          <input
            type="file"
            accept="image/*"
            multiple
            onChange={(event) => {
              const field = event.currentTarget;
              void fromPicture(field.files)
                .catch((thrown) => announce(sentence(thrown), "bad"))
                .finally(() => (field.value = ""));
            }}
          />
        </label>
        <TextFile title={t("scan.text")} run={take} />
      </details>
    </section>
  );
}

interface CameraProps {
  onText: (text: string) => void;
  onTrouble: (words: string) => void;
}

function Camera({ onText, onTrouble }: CameraProps) {
  const video = useRef<HTMLVideoElement>(null);
  const progress = useSignal("");
  useEffect(() => {
    const gathering = new Gathering();
    let stream: MediaStream | null = null;
    let isGone = false;
    const look = () => {
      const seen = video.current;
      if (!seen || seen.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
      const code = decoded(seen);
      if (code === null) return;
      const text = gathering.take(code);
      progress.value = gathering.total ? missingWords(gathering) : "";
      if (text === null) return;
      window.clearInterval(timer);
      onText(text);
    };
    const timer = window.setInterval(look, LOOK_MS);
    void begin().then(
      (found) => {
        // Whoever left meanwhile is not filmed.
        if (isGone || !video.current) return stopped(found);
        stream = found;
        video.current.srcObject = found;
      },
      () => onTrouble(t("scan.no_camera")),
    );
    return () => {
      isGone = true;
      window.clearInterval(timer);
      if (stream) stopped(stream);
    };
  }, []);
  return (
    <>
      <video ref={video} autoplay muted playsInline aria-label={t("scan.view")} />
      <p role="status" class="small">
        {progress.value || t("scan.looking")}
      </p>
    </>
  );
}

/** Open the camera that looks away from whoever holds the device. Raises: Error without one. */
async function begin(): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new Error(t("scan.no_camera"));
  const wanted = { facingMode: "environment", width: { ideal: 1_280 }, height: { ideal: 960 } };
  return navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
}

function stopped(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** The text of the code in a picture; null where none is found. */
function decoded(picture: HTMLVideoElement | ImageBitmap): string | null {
  const [width, height] =
    picture instanceof HTMLVideoElement
      ? [picture.videoWidth, picture.videoHeight]
      : [picture.width, picture.height];
  const scale = Math.min(1, SIDE_MAX / Math.max(width, height, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context || !canvas.width || !canvas.height) return null;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  try {
    return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height));
  } catch {
    // The library throws for a picture without a code, which is what most frames are.
    return null;
  }
}

function missingWords(gathering: Gathering): string {
  const { have, total, missing } = gathering;
  return t("scan.progress", { have, total, missing: missing.slice(0, 6).join(", ") || "–" });
}
