// A button that must be held: one press by mistake does nothing. By finger, mouse, or the space bar;
// what presses without holding, as screen readers do, is asked to confirm instead.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { number } from "../time";

export const HOLD_MS = 1_500;

interface HoldProps {
  label: string;
  hint: string;
  onHeld: () => void;
  onPressed: () => void;
  disabled: boolean;
}

export function HoldButton({ label, hint, onHeld, onPressed, disabled }: HoldProps) {
  const share = useSignal(0);
  const frame = useRef(0);
  const startedAt = useRef(0);
  const wasTouched = useRef(false);

  const stop = () => {
    cancelAnimationFrame(frame.current);
    startedAt.current = 0;
    share.value = 0;
  };
  const start = () => {
    if (disabled || startedAt.current) return;
    startedAt.current = performance.now();
    const step = () => {
      const held = performance.now() - startedAt.current;
      share.value = Math.min(1, held / HOLD_MS);
      if (held < HOLD_MS) {
        frame.current = requestAnimationFrame(step);
        return;
      }
      stop();
      navigator.vibrate?.(200);
      onHeld();
    };
    frame.current = requestAnimationFrame(step);
  };
  useEffect(() => stop, []);

  const isHolding = share.value > 0;
  const leftS = (HOLD_MS * (1 - share.value)) / 1000;
  return (
    <button
      type="button"
      class={`hold ${isHolding ? "holding" : ""}`}
      // Not `disabled`, which would take the focus from whoever has to try again.
      aria-disabled={disabled}
      onPointerDown={(event) => {
        wasTouched.current = true;
        if (event.button === 0) start();
      }}
      onPointerUp={stop}
      onPointerLeave={stop}
      onPointerCancel={stop}
      onBlur={stop}
      onContextMenu={(event) => event.preventDefault()}
      onKeyDown={(event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        if (!event.repeat) start();
      }}
      onKeyUp={(event) => {
        if (event.key === " " || event.key === "Enter") stop();
      }}
      onClick={() => {
        if (!wasTouched.current && !disabled) onPressed();
        wasTouched.current = false;
      }}
    >
      <svg class="hold-ring" viewBox="0 0 100 100" aria-hidden="true">
        <circle cx="50" cy="50" r="46" pathLength={1} />
        <circle cx="50" cy="50" r="46" pathLength={1} stroke-dasharray={`${share.value} 1`} class="hold-share" />
      </svg>
      <span class="hold-label">{label}</span>
      <span class="hold-hint">
        {isHolding ? t("sos.holding", { seconds: number(leftS, 1) }) : hint}
      </span>
    </button>
  );
}
