// A value with its age: greyed, and said to be old, once it is.
import type { ComponentChildren } from "preact";
import { isStale, type Kind } from "../board";
import { t } from "../i18n";
import { ago, moment } from "../time";
import type { Aged } from "../types";
import { Icon, type IconName } from "./Icon";

interface ValueProps {
  icon: IconName;
  name: string;
  kind: Kind;
  value: Aged | null;
  children: ComponentChildren;
}

export function Value({ icon, name, kind, value, children }: ValueProps) {
  const isOld = value !== null && isStale(kind, value);
  return (
    <li class={`value ${isOld ? "stale" : ""} ${value ? "" : "unknown"}`}>
      <Icon name={icon} />
      {value ? (
        <div>
          <span class="value-main">
            <span class="hidden">{name} : </span>
            {children}
          </span>
          <span class="small" title={moment(value.at_ms)}>
            {isOld ? t("board.old", { ago: ago(value.at_ms) }) : ago(value.at_ms)}
          </span>
        </div>
      ) : (
        <div class="small">{t("board.unknown", { name })}</div>
      )}
    </li>
  );
}
