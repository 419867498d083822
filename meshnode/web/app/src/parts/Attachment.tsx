// A file that goes with a message: its picture, how far it is, and how to open it.
import { counted, t, told } from "../i18n";
import { remove, post } from "../api";
import { files } from "../store";
import { bytes } from "../time";
import type { FileEntry } from "../types";
import { Action } from "./Action";
import { Icon } from "./Icon";

/** What of a file is here, or has left, in percent. */
function shareOf(file: FileEntry): number {
  if (!file.is_own) {
    return file.size_bytes ? Math.floor((100 * (file.have_bytes ?? 0)) / file.size_bytes) : 100;
  }
  const shares = (file.recipients ?? []).map((each) => each.pct);
  return Math.max(file.carried_pct ?? 0, ...shares);
}

const MOVING = new Set(["loading", "queued", "carried", "arriving"]);

export function Attachment({ file }: { file: FileEntry }) {
  const isHere = file.is_own || file.state === "complete";
  const share = shareOf(file);
  const address = `/api/files/${file.file}`;
  const done = (file.recipients ?? []).filter((each) => each.pct === 100).length;
  return (
    <div class="attachment">
      {file.has_thumbnail ? (
        <img src={`${address}/thumbnail`} alt={t("file.picture_of", { name: file.name })} loading="lazy" />
      ) : (
        <Icon name="file" />
      )}
      <div class="attachment-words">
        {isHere && !file.is_own ? (
          <a href={`${address}/content`} download={file.name}>
            {file.name}
          </a>
        ) : (
          <span class="strong">{file.name}</span>
        )}
        <span class="small">
          {bytes(file.size_bytes)} · {told("file.state", file.state)}
          {file.is_own && done > 0 && ` · ${counted("file.whole_at", done)}`}
        </span>
        {MOVING.has(file.state) && (
          <progress max={100} value={share} aria-label={t("file.progress", { name: file.name })}>
            {share} %
          </progress>
        )}
        {file.is_own && MOVING.has(file.state) && (
          <Action
            kind="link"
            run={async () => {
              await post(`files/${file.file}/cancel`);
              await files.refresh();
            }}
          >
            {t("file.cancel")}
          </Action>
        )}
        {!file.is_own && (
          <Action
            kind="link"
            run={async () => {
              await remove(`files/${file.file}`);
              await files.refresh();
            }}
          >
            {t("file.remove")}
          </Action>
        )}
      </div>
    </div>
  );
}
