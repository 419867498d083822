// One alarm: what is known, who is nearest, and the steps that this agent may sign.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ask, post } from "../api";
import { t, told } from "../i18n";
import { MiniMap } from "../map/MiniMap";
import { Action } from "../parts/Action";
import { Dialog } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Page, Waiting } from "../parts/Page";
import { Resource } from "../resource";
import { href } from "../router";
import { alarms, outgoing, status } from "../store";
import { ago, clock, moment, number } from "../time";
import type { Alarm, AlarmStory } from "../types";
import { stateWords } from "./Sos";

export function AlarmPage({ alarm }: { alarm: string }) {
  const of = useMemo(() => new Resource(() => ask<AlarmStory>(`alarms/${alarm}`)), [alarm]);
  const listed = alarms.value.value;
  // That an own one has left is told as of every message of this device.
  const sent = outgoing.value.value;
  useEffect(() => void of.refresh(), [alarm, listed, sent]);
  const found = of.value.value;
  return (
    <Page
      kind="split-rest"
      title={found ? (found.is_own ? t("sos.own") : t("sos.from", { name: found.from })) : t("nav.sos")}
      back={href("sos")}
    >
      <Waiting of={of} />
      {found && (
        <div class="column">
          <section class={`card alarm-card ${found.state}`}>
            <p class="alarm-state strong">{stateWords(found)}</p>
            <p class="text">{found.text || t("sos.no_words")}</p>
            <p class="small" title={moment(found.raised_ms)}>
              {t("alarm.raised_at", { when: clock(found.raised_ms), ago: ago(found.raised_ms) })}
              {found.repeated_ms > 0 && ` · ${t("alarm.repeated", { ago: ago(found.repeated_ms) })}`}
            </p>
            {found.is_author_revoked && <p class="notice bad">{t("messages.revoked_author")}</p>}
            {found.way && found.state !== "closed" && (
              <p class={found.way === "left" ? "small" : "notice bad"}>{t(`alarm.way.${found.way}`)}</p>
            )}
            <Steps found={found} after={() => Promise.all([of.refresh(), alarms.refresh()])} />
          </section>
          <Where found={found} />
          <section class="card">
            <h2>{t("alarm.story")}</h2>
            <ol class="steps">
              {found.steps.map((step, at) => (
                <li key={at}>
                  <time class="small">{clock(step.at_ms)}</time>
                  <span>
                    <span class="strong">{step.name}</span> {told("alarm.step", step.step)}
                    {step.text && ` · ${step.text}`}
                  </span>
                </li>
              ))}
            </ol>
          </section>
        </div>
      )}
    </Page>
  );
}

function Steps({ found, after }: { found: Alarm; after: () => Promise<unknown> }) {
  const isClosing = useSignal(false);
  const own = status.value.value?.node ?? "";
  const has = (signed: { node: string }[]) => signed.some((each) => each.node === own);
  const sign = (step: string, body: unknown) => post(`alarms/${found.alarm}/${step}`, body).then(after);
  if (found.state === "closed") {
    return found.is_own ? (
      <div class="buttons">
        <Action kind="alarm" run={() => sign("raise-anew", { text: "" })}>
          {t("alarm.anew")}
        </Action>
      </div>
    ) : null;
  }
  const canHelp = !found.is_own;
  if (canHelp && !found.can_answer) return <p class="notice">{t("sos.elsewhere")}</p>;
  return (
    <div class="buttons">
      {found.is_pressing && (
        <Action run={() => sign("seen", { is_shown: false })}>
          <Icon name="eye" />
          {t("sos.i_saw")}
        </Action>
      )}
      {canHelp && !has(found.taken) && !has(found.on_scene) && (
        <Action kind="primary" run={() => sign("take", { text: "" })}>
          {t("alarm.take")}
        </Action>
      )}
      {canHelp && !has(found.on_scene) && (
        <Action run={() => sign("on-scene", { text: "" })}>{t("alarm.be_on_scene")}</Action>
      )}
      <button type="button" onClick={() => (isClosing.value = true)}>
        {t("alarm.close")}
      </button>
      {isClosing.value && (
        <Closing found={found} onClose={() => (isClosing.value = false)} after={after} />
      )}
    </div>
  );
}

interface ClosingProps {
  found: Alarm;
  onClose: () => void;
  after: () => Promise<unknown>;
}

function Closing({ found, onClose, after }: ClosingProps) {
  const text = useSignal("");
  const isFalse = useSignal(false);
  return (
    <Dialog title={t("alarm.close")} onClose={onClose}>
      <p class="small">{t("alarm.close_means")}</p>
      <label class="field">
        {t("alarm.close_text")}
        <textarea rows={2} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={isFalse.value}
          onChange={(event) => (isFalse.value = event.currentTarget.checked)}
        />
        {t("alarm.is_false")}
      </label>
      <div class="buttons">
        <Action
          kind="primary"
          run={async () => {
            await post(`alarms/${found.alarm}/close`, { text: text.value, is_false: isFalse.value });
            onClose();
            await after();
          }}
        >
          {t("alarm.close")}
        </Action>
        <button type="button" class="quiet" onClick={onClose}>
          {t("dialog.cancel")}
        </button>
      </div>
    </Dialog>
  );
}

function Where({ found }: { found: AlarmStory }) {
  const place = found.place;
  return (
    <section class="card">
      <h2>{t("alarm.where")}</h2>
      {place ? (
        <>
          <p>
            <span class="strong">
              {number(place.latitude, 5)}, {number(place.longitude, 5)}
            </span>{" "}
            <span class="small">
              {place.accuracy_m > 0 && `±${number(place.accuracy_m)} m · `}
              {t("alarm.place_age", { ago: ago(place.taken_ms) })}
            </span>
          </p>
          <MiniMap latitude={place.latitude} longitude={place.longitude} name={found.from} />
        </>
      ) : (
        <p class="muted">{t("alarm.no_place")}</p>
      )}
      {found.nearest.length > 0 && (
        <>
          <h3>{t("alarm.nearest")}</h3>
          <ul class="plain">
            {found.nearest.map((near) => (
              <li key={near.node}>
                <span class="strong">{near.name}</span>{" "}
                {near.distance_m < 1000
                  ? t("alarm.metres", { count: number(near.distance_m) })
                  : t("alarm.kilometres", { count: number(near.distance_m / 1000, 1) })}{" "}
                <span class="small">{ago(near.taken_ms)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
