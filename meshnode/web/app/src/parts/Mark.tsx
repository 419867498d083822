// How a message that was written here stands; the whole story is one press away.
import { useEffect } from "preact/hooks";
import { markOf } from "../delivery";
import { t } from "../i18n";
import { href } from "../router";
import { showStory, story } from "../store";
import type { Outgoing } from "../types";
import { Icon } from "./Icon";

export function DeliveryMark({ message, isDetailed }: { message: Outgoing; isDetailed: boolean }) {
  useEffect(() => (isDetailed ? showStory(message.key) : undefined), [message.key, isDetailed]);
  const mark = markOf(message, isDetailed ? story(message.key).value.value : null);
  return (
    <a class={`mark ${mark.kind}`} href={href("message", message.key)}>
      <Icon name={mark.icon} />
      <span>{mark.words}</span>
      <span class="hidden"> {t("mark.details")}</span>
    </a>
  );
}
