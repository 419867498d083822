// An SOS on a device that is locked: its secret raises it. Where the lease has ended it opens nothing
// else, and what is shown here afterwards is how far the alarm came.
import { signal, type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, isLocked, post, sentence, UnreachableError } from "../api";
import { counted, t } from "../i18n";
import { look } from "../live";
import { isRaising } from "../raising";
import { go } from "../router";
import { span } from "../time";
import type { RaisedBySecret } from "../types";
import { HoldToRaise } from "./HoldToRaise";
import { announce } from "./Toasts";

const LOOK_MS = 5_000;
/** Both outlive a moment in which the node does not answer, and a look at another page. */
const text = signal("");
const raised = signal<RaisedBySecret | null>(null);

/** `typed` holds the secret where a field above has it; else there is one here. */
export function RaiseBySecret({ typed }: { typed?: Signal<string> }) {
  const own = useSignal("");
  const secret = typed ?? own;
  const tellsPlace = useSignal(true);
  const trouble = useSignal("");
  const send = async () => {
    if (isRaising.value) return;
    if (typed && !typed.value) {
      trouble.value = t("sos.type_secret");
      return;
    }
    isRaising.value = true;
    trouble.value = "";
    try {
      const words = text.value.trim() || t("sos.help");
      const found = await post<RaisedBySecret>("sos/secret", {
        secret: secret.value.trim(),
        text: words,
        tells_place: tellsPlace.value,
      });
      text.value = "";
      secret.value = "";
      announce(t("sos.raised"));
      if (found.is_shut) {
        raised.value = found;
        return;
      }
      // The lease runs: the secret has opened the device, and the browser is signed in.
      raised.value = null;
      isLocked.value = false;
      await look();
      go("sos", found.alarm);
    } catch (thrown) {
      trouble.value = sentence(thrown);
      // Nobody heard it: it is tried again once the node answers.
      if (!(thrown instanceof UnreachableError)) secret.value = "";
    } finally {
      isRaising.value = false;
    }
  };
  return (
    <section class="card raise" aria-label={t("sos.raise")}>
      <h2>{t("sos.by_secret")}</h2>
      <p class="small">{t("sos.by_secret_means")}</p>
      {!typed && (
        <label class="field">
          {t("signin.secret")}
          <input
            type="password"
            autoComplete="current-password"
            value={own.value}
            onInput={(event) => (own.value = event.currentTarget.value)}
          />
        </label>
      )}
      <label class="field">
        {t("sos.what")}
        <textarea
          rows={2}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      {trouble.value && (
        <p class="notice bad strong" role="alert">
          {t("sos.failed", { reason: trouble.value })}
        </p>
      )}
      {raised.value && <Raised key={raised.value.alarm} found={raised.value} />}
      <HoldToRaise send={() => void send()} disabled={isRaising.value} />
      <label class="check">
        <input
          type="checkbox"
          checked={tellsPlace.value}
          onChange={(event) => (tellsPlace.value = event.currentTarget.checked)}
        />
        {t("sos.tell_place_shut")}
      </label>
    </section>
  );
}

/** What became of an alarm that was raised on a device that stays shut. */
function Raised({ found }: { found: RaisedBySecret }) {
  const way = useSignal<"" | "waiting" | "queued" | "left">("queued");
  useEffect(() => {
    const follow = async () => {
      try {
        way.value = (await ask<{ way: typeof way.value }>(`sos/${found.alarm}/way`)).way;
      } catch {
        // Asked again in a moment; what is shown says what was known.
      }
    };
    const timer = setInterval(() => void follow(), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="notice" role="status">
      <p class="strong">{t("sos.raised")}</p>
      {way.value && <p>{t(`alarm.way.${way.value}`)}</p>}
      <p>
        {found.place
          ? t("sos.place_goes", { ago: span(1_000 * found.place.age_s) })
          : t("sos.no_place_goes")}
      </p>
      {found.is_author_revoked && <p class="strong">{t("sos.revoked")}</p>}
      {found.is_key_old && <p class="strong">{counted("sos.key_old", found.key_weeks)}</p>}
      <p class="small">{t("sos.no_answers_here")}</p>
    </div>
  );
}
