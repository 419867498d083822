// A text as a QR code, or as several that follow each other; drawn here, with no help of others.
import { useSignal } from "@preact/signals";
import { encodeQR } from "qr";
import { useEffect, useMemo } from "preact/hooks";
import { framesOf, nameOf, TEXT_MAX } from "../frames";
import { t } from "../i18n";

const EACH_MS = 400;
const QUIET = 4;

export function QrCode({ text, label }: { text: string; label: string }) {
  const frames = useSignal<string[]>([]);
  const at = useSignal(0);
  const isStill = useSignal(matchMedia("(prefers-reduced-motion: reduce)").matches);
  useEffect(() => {
    let isGone = false;
    void nameOf(text).then((name) => {
      if (isGone) return;
      frames.value = text.length > TEXT_MAX ? [] : framesOf(text, name);
      at.value = 0;
    });
    return () => void (isGone = true);
  }, [text]);
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!isStill.value && frames.value.length > 1) at.value = (at.value + 1) % frames.value.length;
    }, EACH_MS);
    return () => window.clearInterval(timer);
  }, []);
  const count = frames.value.length;
  const shown = frames.value[at.value];
  const step = (by: number) => (at.value = (at.value + by + count) % count);
  if (text.length > TEXT_MAX) return <p class="notice warn">{t("qr.too_long")}</p>;
  return (
    <figure class="qr">
      {shown && <Drawing text={shown} label={label} />}
      {count > 1 && (
        <figcaption>
          <p class="small">{t("qr.frame", { at: at.value + 1, count })}</p>
          <div class="buttons">
            <button type="button" onClick={() => step(-1)}>
              {t("qr.previous")}
            </button>
            <button type="button" aria-pressed={isStill.value} onClick={() => (isStill.value = !isStill.value)}>
              {t("qr.still")}
            </button>
            <button type="button" onClick={() => step(1)}>
              {t("qr.next")}
            </button>
          </div>
        </figcaption>
      )}
    </figure>
  );
}

function Drawing({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => drawn(text), [text]);
  return (
    <svg viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

function drawn(text: string): { size: number; path: string } {
  const rows = encodeQR(text, "raw", { ecc: "low", border: QUIET });
  const path = rows
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")))
    .join("");
  return { size: rows.length, path };
}
