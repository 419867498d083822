// Over every page while an SOS waits for an answer: who, since when, and what can be done at once.
import { post } from "../api";
import { isHushed, isQuiet, pressing, setQuiet } from "../bell";
import { counted, t } from "../i18n";
import { href } from "../router";
import { alarms } from "../store";
import { ago } from "../time";
import { Action } from "./Action";
import { Icon } from "./Icon";

export function AlarmBar() {
  const [first, ...others] = pressing.value;
  return (
    <div role="alert" aria-live="assertive" class={first ? "alarm-bar" : "hidden"}>
      {first && (
        <>
          <Icon name="sos" />
          <p class="alarm-words">
            <strong>{t("sos.from", { name: first.from })}</strong>
            <span>{first.text || t("sos.no_words")}</span>
            <span class="small">
              {ago(first.raised_ms)}
              {others.length > 0 && ` · ${counted("sos.more", others.length)}`}
            </span>
            {!first.can_answer && <span class="small">{t("sos.elsewhere")}</span>}
          </p>
          <div class="buttons">
            {first.can_answer && (
              <Action
                key={first.alarm}
                kind="onred"
                run={() => post(`alarms/${first.alarm}/seen`, { is_shown: false }).then(() => alarms.refresh())}
              >
                {t("sos.i_saw")}
              </Action>
            )}
            <a class="button onred" href={href("sos", first.alarm)}>
              {t("sos.open")}
            </a>
            {isHushed.value && !isQuiet.value && (
              <button type="button" class="onred plain" onClick={() => setQuiet(false)}>
                {t("sos.sound_on")}
              </button>
            )}
          </div>
        </>
      )}
    </div>
  );
}
