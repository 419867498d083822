// One's own shift: opened and closed here, and what the squad sees while it is open.
import { useSignal } from "@preact/signals";
import { post, remove } from "../api";
import { t } from "../i18n";
import { board, positions, shift } from "../store";
import { clock, nowMs, span } from "../time";
import { Action } from "./Action";
import { Dialog } from "./Dialog";
import { Icon } from "./Icon";
import { Waiting } from "./Page";
import { PlaceDialog } from "./PlaceDialog";

const HOURS = [4, 8, 12];

export function ShiftCard() {
  const hours = useSignal(12);
  const isClosing = useSignal(false);
  const isPlacing = useSignal(false);
  const found = shift.value.value;
  if (!found) return <Waiting of={shift} />;
  const refresh = () => Promise.all([shift.refresh(), board.refresh(), positions.refresh()]);
  if (!found.is_open) {
    return (
      <section class="card shift">
        <h2>
          <Icon name="shift" /> {t("shift.closed")}
        </h2>
        <p class="small">{t("shift.closed_means")}</p>
        <div class="buttons">
          <label class="field inline">
            {t("shift.length")}
            <select value={hours.value} onChange={(event) => (hours.value = Number(event.currentTarget.value))}>
              {HOURS.map((each) => (
                <option key={each} value={each}>
                  {t("composer.hours", { count: each })}
                </option>
              ))}
            </select>
          </label>
          <Action
            kind="primary"
            done={t("shift.opened")}
            run={() => post("shift", { hours: hours.value }).then(refresh)}
          >
            {t("shift.open")}
          </Action>
        </div>
      </section>
    );
  }
  return (
    <section class="card shift is-open">
      <h2>
        <Icon name="shift" /> {t("shift.is_open", { time: clock(found.ends_ms) })}
      </h2>
      <p class="small">
        {t("shift.since", { time: clock(found.opened_ms), left: span(found.ends_ms - nowMs.value) })}
      </p>
      {found.track_has_reader === false && <p class="notice warn">{t("shift.no_reader")}</p>}
      <div class="buttons">
        <button type="button" onClick={() => (isPlacing.value = true)}>
          <Icon name="pin" />
          {t("shift.place")}
        </button>
        <button type="button" onClick={() => (isClosing.value = true)}>
          {t("shift.close")}
        </button>
      </div>
      {isPlacing.value && <PlaceDialog onClose={() => (isPlacing.value = false)} />}
      {isClosing.value && (
        <Dialog title={t("shift.close_ask")} onClose={() => (isClosing.value = false)}>
          <p>{t("shift.close_means")}</p>
          <div class="buttons">
            <Action
              kind="primary"
              done={t("shift.was_closed")}
              run={async () => {
                await remove("shift");
                isClosing.value = false;
                await refresh();
              }}
            >
              {t("shift.close")}
            </Action>
            <button type="button" class="quiet" onClick={() => (isClosing.value = false)}>
              {t("dialog.cancel")}
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}
