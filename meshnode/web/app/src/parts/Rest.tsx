// What stands below a list that shows its beginning alone: a crowd is never drawn at once.
import type { Signal } from "@preact/signals";
import { t } from "../i18n";

interface RestProps {
  /** How many the list has in all. */
  of: number;
  /** How many it shows; each press adds `step`. */
  shown: Signal<number>;
  step: number;
}

export function Rest({ of, shown, step }: RestProps) {
  if (of <= shown.value) return null;
  return (
    <button type="button" class="quiet" onClick={() => (shown.value += step)}>
      {t("page.rest", { count: of - shown.value })}
    </button>
  );
}
