// Before anybody is signed in: a one-time code, a token, or the secret of a locked device.
import { signal, type Signal, useSignal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ApiError, hasEnded, post, isLocked, isReachable, sentence, session, UnreachableError } from "../api";
import { t } from "../i18n";
import { waiting } from "../doorbell";
import { look } from "../live";
import { Action } from "../parts/Action";
import { Icon } from "../parts/Icon";
import { RaiseBySecret } from "../parts/RaiseBySecret";
import type { Session } from "../types";

/** True once the node said so to whoever tried to unlock it. */
const hasLeaseEnded = signal(false);
/** True once somebody here asked how to raise an SOS. */
const isHelpOpen = signal(false);

type Way = "key" | "token" | "secret";

/** Sign in by what is given. Raises: ApiError, UnreachableError. */
export async function signIn(way: Way, given: string): Promise<void> {
  const found = await post<Session>("session", { [way]: given });
  isLocked.value = found.is_locked;
  session.value = found;
}

export function SignIn() {
  // What is typed outlives a moment in which the node does not answer.
  const way = useSignal<Way>(isLocked.value ? "secret" : "key");
  const given = useSignal("");
  useSignalEffect(() => {
    if (isLocked.value) way.value = "secret";
  });
  // Whoever calls for help is not interrupted by a node that does not answer for a moment.
  const isShown = isReachable.value || isHelpOpen.value || hasLeaseEnded.value;
  return (
    <main class="gate">
      <Icon name="node" />
      <h1>meshnode</h1>
      <Waiting />
      {hasEnded.value && !isLocked.value && (
        <p class="notice warn" role="status">
          {t("signin.ended")}
          {!waiting.value && ` ${t("signin.silent")}`}
        </p>
      )}
      {!isReachable.value && <Unreachable />}
      {isShown && <Ways way={way} given={given} />}
      {isShown && way.value === "secret" && <Help typed={given} />}
    </main>
  );
}

/** For whoever needs help on a device that is locked; open once its lease is known to have ended. */
function Help({ typed }: { typed: Signal<string> }) {
  if (isHelpOpen.value || hasLeaseEnded.value) return <RaiseBySecret typed={typed} />;
  return (
    <button type="button" class="alarm" onClick={() => (isHelpOpen.value = true)}>
      <Icon name="sos" />
      {t("sos.raise")}
    </button>
  );
}

/** What whoever passes by must know, though nobody is signed in. */
function Waiting() {
  const rings = isReachable.value && (waiting.value?.alarms ?? 0) > 0;
  return (
    <>
      {rings && (
        <div role="alert" class="alarm-bar">
          <Icon name="sos" />
          <p class="alarm-words">
            <strong>{t(isLocked.value ? "signin.sos_locked" : "signin.sos")}</strong>
          </p>
        </div>
      )}
      {isLocked.value && <p class="notice warn">{t("signin.locked_means")}</p>}
    </>
  );
}

function Unreachable() {
  return (
    <section class="card">
      <h2>{t("node.unreachable")}</h2>
      <p>{t("node.start")}</p>
      <p class="small">{t("node.nothing_kept")}</p>
      <Action kind="primary" run={look}>
        {t("node.retry")}
      </Action>
    </section>
  );
}

function Ways({ way, given }: { way: Signal<Way>; given: Signal<string> }) {
  const trouble = useSignal("");
  const isBusy = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  const enter = async () => {
    if (!given.value || isBusy.value) return;
    isBusy.value = true;
    trouble.value = "";
    try {
      await signIn(way.value, given.value.trim());
      given.value = "";
    } catch (thrown) {
      trouble.value = sentence(thrown);
      const isOver = thrown instanceof ApiError && thrown.kind === "lease_ended";
      if (isOver) hasLeaseEnded.value = true;
      // Nobody heard it, or nobody looked at it: it is tried again, or raises an SOS.
      if (!isOver && !(thrown instanceof UnreachableError)) given.value = "";
    } finally {
      isBusy.value = false;
      field.current?.focus();
    }
  };
  const ways: Way[] = ["key", "secret", "token"];
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        void enter();
      }}
    >
      <h2>{isLocked.value ? t("signin.locked") : t("signin.title")}</h2>
      <fieldset class="plain">
        <legend class="hidden">{t("signin.way")}</legend>
        {ways.map((each) => (
          <label key={each} class="check">
            <input
              type="radio"
              name="way"
              checked={way.value === each}
              onChange={() => {
                way.value = each;
                trouble.value = "";
              }}
            />
            {t(`signin.${each}`)}
          </label>
        ))}
      </fieldset>
      <p class="small">{t(`signin.${way.value}_means`)}</p>
      <label class="field">
        {t(`signin.${way.value}`)}
        <input
          ref={field}
          type="password"
          autoComplete={way.value === "secret" ? "current-password" : "off"}
          value={given.value}
          onInput={(event) => (given.value = event.currentTarget.value)}
        />
      </label>
      {trouble.value && (
        <p class="notice bad" role="alert">
          {trouble.value}
        </p>
      )}
      <button type="submit" class="primary" aria-busy={isBusy.value} disabled={!given.value}>
        {way.value === "secret" ? t("signin.unlock") : t("signin.enter")}
      </button>
    </form>
  );
}
