// Day and night colours: as the system says, or as chosen here.
import { computed, effect, signal } from "@preact/signals";

export type Choice = "auto" | "day" | "night";

const REMEMBERED = "meshnode.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const isSystemDark = signal(dark.matches);
dark.addEventListener("change", (event) => (isSystemDark.value = event.matches));

const CHOICES: readonly string[] = ["auto", "day", "night"];

function kept(): Choice {
  const found = localStorage.getItem(REMEMBERED) ?? "auto";
  return CHOICES.includes(found) ? (found as Choice) : "auto";
}

export const choice = signal<Choice>(kept());
export const theme = computed(() =>
  choice.value === "auto" ? (isSystemDark.value ? "night" : "day") : choice.value,
);

export function setTheme(chosen: Choice): void {
  localStorage.setItem(REMEMBERED, chosen);
  choice.value = chosen;
}

/** Keep the document in the colours chosen. */
export function startTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}
