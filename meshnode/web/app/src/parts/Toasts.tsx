// Short sentences about what was just done, also for those who hear them.
import { signal } from "@preact/signals";
import { CloseButton } from "./CloseButton";
import { Icon } from "./Icon";

interface Toast {
  id: number;
  text: string;
  kind: "good" | "bad";
}

const SHOWN_MS = { good: 5_000, bad: 12_000 };
const SHOWN_MAX = 3;
const toasts = signal<Toast[]>([]);
let last = 0;

export function announce(text: string, kind: Toast["kind"] = "good"): void {
  const id = ++last;
  toasts.value = [...toasts.value, { id, text, kind }].slice(-SHOWN_MAX);
  window.setTimeout(() => drop(id), SHOWN_MS[kind]);
}

function drop(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, kind }) => (
        <p key={id} class={`toast ${kind}`}>
          <Icon name={kind === "good" ? "check" : "alert"} />
          <span>{text}</span>
          <CloseButton onClick={() => drop(id)} />
        </p>
      ))}
    </div>
  );
}
