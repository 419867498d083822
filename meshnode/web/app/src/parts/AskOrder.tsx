// Asks for a revocation or a wipe: what, why, and a name typed out. Nothing happens before a second
// person confirms it and cards have signed it.
import { useSignal } from "@preact/signals";
import { post } from "../api";
import { t } from "../i18n";
import { go } from "../router";
import { requests } from "../store";
import type { OrderRequest, Who } from "../types";
import { Action } from "./Action";
import { Dialog } from "./Dialog";

const KINDS = ["revoke", "agent", "all"] as const;
type Kind = (typeof KINDS)[number];

export function AskOrder({ devices, onClose }: { devices: Who[]; onClose: () => void }) {
  const kind = useSignal<Kind>("revoke");
  const reason = useSignal("");
  const typed = useSignal("");
  const ask = async () => {
    const isWipe = kind.value !== "revoke";
    await post<OrderRequest>("order-requests", {
      what: isWipe ? "wipe" : "revoke",
      level: isWipe ? kind.value : "",
      devices: devices.map((each) => each.node),
      reason: reason.value.trim(),
      typed: typed.value,
    });
    await requests.refresh();
    go("orders");
  };
  const first = devices[0]?.name ?? "";
  return (
    <Dialog title={t("orders.prepare")} onClose={onClose}>
      <ul class="plain-list">
        {devices.map((each) => (
          <li key={each.node}>
            <span class="strong">{each.name}</span> <span class="small code">{each.node}</span>
          </li>
        ))}
      </ul>
      <fieldset class="plain">
        <legend class="hidden">{t("orders.what")}</legend>
        {KINDS.map((each) => (
          <label key={each} class="check">
            <input type="radio" name="kind" checked={kind.value === each} onChange={() => (kind.value = each)} />
            {t(`orders.kind_${each}`)}
          </label>
        ))}
      </fieldset>
      <p class="notice warn">{t(`orders.means_${kind.value}`)}</p>
      <label class="field">
        {t("orders.reason")}
        <textarea rows={2} maxLength={500} value={reason.value} onInput={(event) => (reason.value = event.currentTarget.value)} />
      </label>
      <label class="field">
        {t("orders.type_name", { name: first })}
        <input autocomplete="off" value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
      </label>
      <div class="buttons">
        <Action
          kind="primary"
          disabled={!reason.value.trim() || typed.value.trim().toLowerCase() !== first.toLowerCase()}
          run={ask}
          done={t("orders.asked")}
        >
          {t("orders.ask")}
        </Action>
        <button type="button" class="quiet" onClick={onClose}>
          {t("dialog.cancel")}
        </button>
      </div>
    </Dialog>
  );
}
