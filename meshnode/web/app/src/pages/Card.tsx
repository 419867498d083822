// The card of this device for a mate to check, and the check of a mate's card.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { post } from "../api";
import { t, told } from "../i18n";
import { Fact } from "../parts/Fact";
import { Page, Waiting } from "../parts/Page";
import { QrCode } from "../parts/QrCode";
import { Scanner } from "../parts/Scanner";
import { href } from "../router";
import { card, status } from "../store";
import { span } from "../time";
import type { Card, CheckedCard } from "../types";

/** Digits as people say them. */
export const spaced = (code: string): string => `${code.slice(0, 3)} ${code.slice(3)}`;

export function CardPage() {
  const checked = useSignal<CheckedCard | null>(null);
  useEffect(() => void card.refresh(), []);
  const own = card.value.value;
  const lock = status.value.value?.lock;
  return (
    <Page title={t("nav.card")} back={href("more")}>
      <div class="columns">
        <section class="card">
          <h2>{t("card.own")}</h2>
          <Waiting of={card} />
          {own && (
            <>
              <QrCode text={own.text} label={t("card.qr", { name: own.name })} />
              <Facts card={own} />
              {lock?.lease && (
                <p class="small">
                  {t("card.lease")} : {told("lease", lock.lease)}
                  {(lock.lease_left_ms ?? 0) > 0 && `, ${t("card.left", { span: span(lock.lease_left_ms ?? 0) })}`}
                </p>
              )}
            </>
          )}
        </section>
        <section class="card">
          <h2>{t("card.mate")}</h2>
          <p class="small">{t("card.means")}</p>
          <Scanner
            title={t("card.scan")}
            onText={async (text) => {
              checked.value = null;
              checked.value = await post<CheckedCard>("card/check", { text });
            }}
          />
          <div role="status">
            {checked.value && (
              <>
                <p class={`notice ${checked.value.is_revoked ? "bad" : ""}`}>
                  {checked.value.is_revoked
                    ? t("card.revoked")
                    : checked.value.is_self
                      ? t("board.this_device")
                      : t("card.known")}
                </p>
                <Facts card={checked.value} />
              </>
            )}
          </div>
        </section>
      </div>
    </Page>
  );
}

function Facts({ card: shown }: { card: Card | CheckedCard }) {
  return (
    <dl class="facts">
      <Fact name={t("card.name")}>
        <span class="strong">{shown.name}</span>
      </Fact>
      <Fact name={t("rosters.role")}>
        {told("role", shown.role)}, {shown.squads.join(", ") || t("rosters.zone", { zone: shown.zone })}
      </Fact>
      <Fact name={t("card.code")}>
        <span class="digits">{spaced(shown.code)}</span>
      </Fact>
      <Fact name={t("card.print")}>
        <span class="code">{shown.node}</span>
      </Fact>
    </dl>
  );
}
