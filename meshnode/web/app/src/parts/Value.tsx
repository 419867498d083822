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
    <div class={`value ${isOld ? "stale" : ""} ${value ? "" : "unknown"}`}>
      <Icon name={icon} />
      <div>
        <dt class="hidden">{name}</dt>
        {value ? (
          <dd>
            <span class="value-main">{children}</span>
            <span class="small" title={moment(value.at_ms)}>
              {isOld ? t("board.old", { ago: ago(value.at_ms) }) : ago(value.at_ms)}
            </span>
          </dd>
        ) : (
          <dd class="small">{t("board.unknown", { name })}</dd>
        )}
      </div>
    </div>
  );
}
