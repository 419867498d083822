// Writes a message, with a file if wanted. What was typed stays until the node has taken it.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ask, post, sentence } from "../api";
import { t } from "../i18n";
import { draft, files, outgoing, shift } from "../store";
import { addressOf, titleOf } from "../threads";
import { bytes } from "../time";
import { CloseButton } from "./CloseButton";
import { Icon } from "./Icon";
import { announce } from "./Toasts";

const LIFETIMES_H = [1, 6, 24, 72, 168];

export function Composer({ to }: { to: string }) {
  const file = useSignal<File | null>(null);
  const keepsPlace = useSignal(false);
  const isLow = useSignal(false);
  const lifetimeH = useSignal(0);
  const isBusy = useSignal(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const { text, write, sent } = draft(to);

  const send = async () => {
    if (isBusy.value || (!text.trim() && !file.value)) return;
    isBusy.value = true;
    try {
      if (file.value) await sendFile(to, text, file.value, keepsPlace.value);
      else await post("messages", { to: addressOf(to), text, ...options() });
      sent();
      file.value = null;
      keepsPlace.value = false;
      await Promise.all([outgoing.refresh(), files.refresh()]);
    } catch (thrown) {
      announce(sentence(thrown), "bad");
    } finally {
      isBusy.value = false;
      field.current?.focus();
    }
  };
  const options = () => ({
    priority: isLow.value ? "low" : "normal",
    ...(lifetimeH.value ? { lifetime_s: 3600 * lifetimeH.value } : {}),
  });

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {file.value && (
        <div class="chosen">
          <Icon name="file" />
          <span class="ellipsis">
            {file.value.name} · {bytes(file.value.size)}
          </span>
          {file.value.type.startsWith("image/") && shift.value.value?.is_open && (
            <label class="check">
              <input
                type="checkbox"
                checked={keepsPlace.value}
                onChange={(event) => (keepsPlace.value = event.currentTarget.checked)}
              />
              {t("composer.keep_place")}
            </label>
          )}
          <CloseButton
            label={t("composer.drop_file")}
            onClick={() => {
              file.value = null;
              field.current?.focus();
            }}
          />
        </div>
      )}
      <div class="composer-line">
        <input
          ref={picker}
          type="file"
          class="hidden"
          tabIndex={-1}
          aria-label={t("composer.file")}
          onChange={(event) => {
            file.value = event.currentTarget.files?.[0] ?? null;
            event.currentTarget.value = "";
          }}
        />
        <button
          type="button"
          class="quiet square"
          aria-label={t("composer.attach")}
          onClick={() => picker.current?.click()}
        >
          <Icon name="attach" />
        </button>
        <textarea
          ref={field}
          rows={Math.min(5, text.split("\n").length)}
          value={text}
          aria-label={t("composer.text", { name: titleOf(to) })}
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              void send();
            }
          }}
        />
        <button
          type="submit"
          class="primary square"
          aria-label={t("composer.send")}
          aria-busy={isBusy.value}
          disabled={!text.trim() && !file.value}
        >
          <Icon name="send" />
        </button>
      </div>
      {!file.value && <details class="composer-more">
        <summary>{t("composer.options")}</summary>
        <label class="check">
          <input
            type="checkbox"
            checked={isLow.value}
            onChange={(event) => (isLow.value = event.currentTarget.checked)}
          />
          {t("composer.low")}
        </label>
        <label class="field inline">
          {t("composer.lifetime")}
          <select
            value={lifetimeH.value}
            onChange={(event) => (lifetimeH.value = Number(event.currentTarget.value))}
          >
            <option value={0}>{t("composer.usual")}</option>
            {LIFETIMES_H.map((hours) => (
              <option key={hours} value={hours}>
                {hours < 72 ? t("composer.hours", { count: hours }) : t("composer.days", { count: hours / 24 })}
              </option>
            ))}
          </select>
        </label>
      </details>}
    </form>
  );
}

function sendFile(to: string, text: string, file: File, keepsPlace: boolean): Promise<unknown> {
  const form = new FormData();
  form.set("to", addressOf(to));
  form.set("text", text);
  form.set("keep_place", keepsPlace ? "true" : "false");
  form.set("file", file);
  return ask("files", { method: "POST", form });
}
