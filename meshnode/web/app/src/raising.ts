// Raising an SOS: goes on, and says how it ended, whatever page one looks at meanwhile.
import { signal } from "@preact/signals";
import { post, sentence, session } from "./api";
import { t } from "./i18n";
import { announce } from "./parts/Toasts";
import { go } from "./router";
import { alarms, draft, sosFault } from "./store";
import type { Alarm } from "./types";

/** Words of an SOS are kept like those of a message while one looks at another page; no name has a colon. */
export const SOS_DRAFT = "sos:";

/** True while one is on its way to the node: it must not be raised twice. */
export const isRaising = signal(false);

export async function raise(tellsPlace: boolean): Promise<void> {
  if (isRaising.value) return;
  isRaising.value = true;
  sosFault.value = "";
  const writer = session.value?.name;
  const { text, sent } = draft(SOS_DRAFT);
  try {
    const words = text.trim() || t("sos.help");
    const raised = { text: words, tells_place: tellsPlace };
    const { alarm, is_held_back } = await post<Alarm & { is_held_back: boolean }>("sos", raised);
    sent();
    announce(t(is_held_back ? "sos.held_back" : "sos.raised"));
    await alarms.refresh();
    go("sos", alarm);
  } catch (thrown) {
    // It stays until it is tried again: nobody in need looks at the right moment. Whoever came next
    // meanwhile hears nothing of it.
    if (!session.value || session.value.name === writer) sosFault.value = sentence(thrown);
  } finally {
    isRaising.value = false;
  }
}
