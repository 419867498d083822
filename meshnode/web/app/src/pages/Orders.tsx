// Revocations and wipes that were asked for: a second person confirms or declines, cards sign
// elsewhere, and the signed order comes back here as a file.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { post, sentence } from "../api";
import { t } from "../i18n";
import { Action } from "../parts/Action";
import { Dialog } from "../parts/Dialog";
import { Empty, Page, Waiting } from "../parts/Page";
import { TextFile, save } from "../parts/TextFile";
import { announce } from "../parts/Toasts";
import { href } from "../router";
import { requests, rosters } from "../store";
import { ago, clock, nowMs, span } from "../time";
import type { OrderRequest } from "../types";

const EACH_MS = 5_000;
/** Tokens are made before the day they are needed: a younger one may be a made-up colleague's. */
const NEW_MS = 86_400_000;

export function Orders() {
  useEffect(() => {
    void requests.refresh();
    const timer = window.setInterval(() => void requests.refresh(), EACH_MS);
    return () => window.clearInterval(timer);
  }, []);
  const found = requests.value.value;
  return (
    <Page title={t("nav.orders")} back={href("rosters")}>
      <p class="small roster-line">{t("orders.how")}</p>
      <Waiting of={requests} />
      {found?.length === 0 && <Empty>{t("orders.none")}</Empty>}
      <ul class="cards">
        {found?.map((each) => (
          <Request key={each.request} request={each} />
        ))}
      </ul>
    </Page>
  );
}

const kindOf = (request: OrderRequest) =>
  request.level === "" ? "revoke" : request.level;
const who = (name: string): string => name || t("orders.owner");

function Request({ request }: { request: OrderRequest }) {
  const isConfirming = useSignal(false);
  const isOpen = request.state === "waiting" || request.state === "confirmed";
  const names = request.devices.map((each) => each.name).join(", ");
  return (
    <li class="card">
      <header class="card-head">
        <h2>
          {t(`orders.kind_${kindOf(request)}`)} : {names}
        </h2>
        <span class={`tag ${request.state === "given" ? "on" : ""}`}>{t(`orders.state_${request.state}`)}</span>
      </header>
      <ul class="plain-list">
        {request.devices.map((each) => (
          <li key={each.node}>
            {each.name} <span class="small code">{each.node}</span>
          </li>
        ))}
      </ul>
      <p class="text">{request.reason}</p>
      <p class="small">
        {t("orders.asked_by", { who: who(request.asked_by), ago: ago(request.asked_ms) })}
        {request.token_made_ms > 0 &&
          request.state !== "declined" &&
          ` · ${t("orders.confirmed_by", {
            who: who(request.decided_by),
            span: span(request.asked_ms - request.token_made_ms),
          })}`}
        {request.state === "declined" && ` · ${t("orders.declined_by", { who: who(request.decided_by) })}`}
        {isOpen &&
          ` · ${t("orders.ends", { time: clock(request.ends_ms), span: span(request.ends_ms - nowMs.value) })}`}
      </p>
      {request.state === "confirmed" && request.asked_ms - request.token_made_ms < NEW_MS && (
        <p class="notice warn">{t("orders.new_token")}</p>
      )}
      {request.declined_for && <p class="text">{request.declined_for}</p>}
      {request.state === "confirmed" && <Signing request={request} />}
      {isOpen && (
        <div class="buttons">
          {request.state === "waiting" && (
            <button type="button" class="primary" onClick={() => (isConfirming.value = true)}>
              {t("orders.confirm")}
              <span class="hidden"> {names}</span>
            </button>
          )}
          <Action kind="quiet danger" label={`${t("orders.decline")} ${names}`} run={() => decline(request)}>
            {t("orders.decline")}
          </Action>
        </div>
      )}
      {isConfirming.value && <Confirm request={request} onClose={() => (isConfirming.value = false)} />}
    </li>
  );
}

async function decline(request: OrderRequest): Promise<void> {
  await post(`order-requests/${request.request}/decline`, {});
  await requests.refresh();
}

function Confirm({ request, onClose }: { request: OrderRequest; onClose: () => void }) {
  const token = useSignal("");
  const typed = useSignal("");
  const trouble = useSignal("");
  const first = request.devices[0]?.name ?? "";
  const confirm = async () => {
    trouble.value = "";
    try {
      const body = { token: token.value.trim(), typed: typed.value };
      await post(`order-requests/${request.request}/confirm`, body);
      onClose();
      await requests.refresh();
    } catch (thrown) {
      trouble.value = sentence(thrown);
    } finally {
      token.value = "";
    }
  };
  return (
    <Dialog title={t("orders.confirm")} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <p class="notice warn">{t(`orders.means_${kindOf(request)}`)}</p>
        <p>{t("orders.second", { who: who(request.asked_by) })}</p>
        <label class="field">
          {t("orders.type_name", { name: first })}
          <input autocomplete="off" value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
        </label>
        <label class="field">
          {t("orders.own_token")}
          <input
            type="password"
            autocomplete="off"
            value={token.value}
            onInput={(event) => (token.value = event.currentTarget.value)}
          />
        </label>
        {trouble.value && (
          <p class="notice bad" role="alert">
            {trouble.value}
          </p>
        )}
        <div class="buttons">
          <button type="submit" class="alarm" disabled={!token.value || !typed.value}>
            {t("orders.confirm")}
          </button>
          <button type="button" class="quiet" onClick={onClose}>
            {t("dialog.cancel")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What the holders of cards type, and the way back of what they signed. */
function Signing({ request }: { request: OrderRequest }) {
  const ids = request.devices.map((each) => each.node).join(" ");
  const commands =
    request.what === "revoke"
      ? [`meshnode authority revoke ${ids} --card FILE --out order.txt`]
      : [
          `meshnode authority wipe ${ids} --level ${request.level} --card FILE --out order.txt`,
          "meshnode authority cosign order.txt --card FILE",
        ];
  const give = async (text: string) => {
    const found = await post<OrderRequest>(`order-requests/${request.request}/order`, { text });
    await Promise.all([requests.refresh(), rosters.refresh()]);
    announce(
      found.state === "given"
        ? t("orders.given")
        : t("orders.half", { signed: found.signed, needed: found.needed }),
    );
  };
  return (
    <section>
      <h3>{t("orders.sign")}</h3>
      <p class="small">{t(`orders.sign_${request.what}`)}</p>
      {commands.map((each) => (
        <pre key={each} class="code" tabIndex={0}>
          {each}
        </pre>
      ))}
      {request.share && (
        <p>
          {t("orders.half", { signed: request.signed, needed: request.needed })}{" "}
          <button type="button" onClick={() => save("order.txt", request.share)}>
            {t("orders.fetch")}
          </button>
        </p>
      )}
      <TextFile title={t("orders.give")} run={give} />
    </section>
  );
}
