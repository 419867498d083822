// Over every page, below an SOS, while the disk of this device takes nothing that is written. It waits
// until a screen reader has said what it says: only an SOS interrupts.
import { t } from "../i18n";
import { status } from "../store";
import { Icon } from "./Icon";

export function DiskBar() {
  const words = status.value.value?.disk_fault;
  return (
    <div role="status" class={words ? "banner bad" : "hidden"}>
      {words && (
        <>
          <Icon name="alert" />
          <span>
            {t("disk.takes_nothing")}{" "}
            <span class="small">
              {t("archive.said")} <q lang="en">{words}</q>
            </span>
          </span>
        </>
      )}
    </div>
  );
}
