// A text that comes from elsewhere, as a file or pasted; and one that goes elsewhere as a file.
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { sentence } from "../api";
import { t } from "../i18n";
import { Action } from "./Action";
import { announce } from "./Toasts";

/** More than any text of an authority that a page takes. */
const BYTES_MAX = 200_000;

interface TextFileProps {
  title: string;
  run: (text: string) => Promise<void>;
}

export function TextFile({ title, run }: TextFileProps) {
  const text = useSignal("");
  const id = useId();
  const read = async (file: File | undefined) => {
    if (!file) return;
    if (file.size > BYTES_MAX) throw new Error(t("textfile.too_large"));
    text.value = await file.text();
  };
  return (
    <fieldset class="plain text-file">
      <legend class="strong">{title}</legend>
      <label class="field" for={id}>
        {t("textfile.file")}
      </label>
      <input
        id={id}
        type="file"
        accept=".txt,text/plain"
        onChange={(event) =>
          void read(event.currentTarget.files?.[0]).catch((thrown) => announce(sentence(thrown), "bad"))
        }
      />
      <label class="field">
        {t("textfile.paste")}
        <textarea
          rows={3}
          spellcheck={false}
          maxLength={BYTES_MAX}
          class="code"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      <div class="buttons">
        <Action
          kind="primary"
          disabled={!text.value.trim()}
          run={async () => {
            const given = text.value;
            await run(given);
            // What was pasted meanwhile is the next one.
            if (text.value === given) text.value = "";
          }}
        >
          {t("textfile.give")}
        </Action>
      </div>
    </fieldset>
  );
}

/** Have the browser keep `text` as a file. */
export function save(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(address), 1_000);
}
