// The big button of an SOS, and the way beside it for whoever cannot hold.
import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import { Dialog } from "./Dialog";
import { HoldButton } from "./HoldButton";
import { Icon } from "./Icon";

export function HoldToRaise({ send, disabled }: { send: () => void; disabled: boolean }) {
  const isAsking = useSignal(false);
  const confirm = () => {
    isAsking.value = false;
    send();
  };
  return (
    <>
      <HoldButton
        label={t("sos.label")}
        hint={t("sos.hold")}
        onHeld={confirm}
        onPressed={() => (isAsking.value = true)}
        disabled={disabled}
      />
      <button type="button" class="link" onClick={() => (isAsking.value = true)}>
        {t("sos.without_holding")}
      </button>
      {isAsking.value && (
        <Dialog title={t("sos.ask")} onClose={() => (isAsking.value = false)}>
          <p>{t("sos.ask_means")}</p>
          <div class="buttons">
            <button type="button" class="alarm" onClick={confirm}>
              <Icon name="sos" />
              {t("sos.raise")}
            </button>
            <button type="button" class="quiet" onClick={() => (isAsking.value = false)}>
              {t("dialog.cancel")}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
