// A cross that puts away what it stands in.
import { t } from "../i18n";
import { Icon } from "./Icon";

interface Props {
  onClick: () => void;
  /** What it does, where that is more than to close. */
  label?: string;
  autofocus?: boolean;
}

export function CloseButton({ onClick, label, autofocus }: Props) {
  return (
    <button
      type="button"
      autofocus={autofocus}
      class="quiet square"
      aria-label={label ?? t("dialog.close")}
      onClick={onClick}
    >
      <Icon name="close" />
    </button>
  );
}
