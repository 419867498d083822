// Over every page but its own, from the moment an SOS could not be sent until it is tried again.
import { t } from "../i18n";
import { href, route } from "../router";
import { sosFault } from "../store";
import { CloseButton } from "./CloseButton";
import { Icon } from "./Icon";

export function SosFaultBar() {
  if (!sosFault.value || route.value.page === "sos") return null;
  return (
    <div role="alert" class="banner bad">
      <Icon name="alert" />
      <span>{t("sos.not_sent", { reason: sosFault.value })}</span>
      <a class="button" href={href("sos")}>
        {t("sos.again")}
      </a>
      <CloseButton onClick={() => (sosFault.value = "")} />
    </div>
  );
}
