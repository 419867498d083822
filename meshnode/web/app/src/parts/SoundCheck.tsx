// Whether an SOS is heard on this device.
import { isQuiet, setQuiet } from "../bell";
import { t } from "../i18n";

export function SoundCheck({ kind = "" }: { kind?: string }) {
  return (
    <label class={`check ${kind}`}>
      <input type="checkbox" checked={!isQuiet.value} onChange={(event) => setQuiet(!event.currentTarget.checked)} />
      {t("sos.with_sound")}
    </label>
  );
}
