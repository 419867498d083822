// Papers of enrolment between a new device and an authority: scanned here, compared by their six
// digits, handed on as files, and shown as QR codes. The authority's keys are never on a screen.
import { useSignal } from "@preact/signals";
import { post } from "../api";
import { t, told } from "../i18n";
import { Page } from "../parts/Page";
import { QrCode } from "../parts/QrCode";
import { Scanner } from "../parts/Scanner";
import { save } from "../parts/TextFile";
import { href } from "../router";
import { moment } from "../time";
import type { Paper } from "../types";
import { spaced } from "./Card";

const FILES = { invitation: "invitation.txt", request: "request.txt", answer: "answer.txt" };

export function Enrol() {
  const paper = useSignal<{ text: string; read: Paper } | null>(null);
  const isShown = useSignal(false);
  const take = async (text: string) => {
    paper.value = null;
    isShown.value = false;
    paper.value = { text, read: await post<Paper>("enrolment/read", { text }) };
  };
  const found = paper.value;
  return (
    <Page title={t("nav.enrol")} back={href("more")}>
      <div class="columns">
        <section class="card">
          <h2>{t("enrol.scan_title")}</h2>
          <p class="small">{t("enrol.how")}</p>
          <Scanner title={t("enrol.scan")} onText={take} />
        </section>
        <section class="card" aria-live="polite">
          <h2>{t("enrol.paper")}</h2>
          {!found && <p class="small">{t("enrol.none")}</p>}
          {found && (
            <>
              <p class="strong">{t(`enrol.${found.read.paper}`)}</p>
              <Words read={found.read} />
              <div class="buttons">
                <button type="button" class="primary" onClick={() => save(FILES[found.read.paper], found.text)}>
                  {t("enrol.save")}
                </button>
                <button type="button" aria-expanded={isShown.value} onClick={() => (isShown.value = !isShown.value)}>
                  {t("enrol.show")}
                </button>
              </div>
              {isShown.value && <QrCode text={found.text} label={t(`enrol.${found.read.paper}`)} />}
            </>
          )}
        </section>
      </div>
    </Page>
  );
}

function Words({ read }: { read: Paper }) {
  if (read.paper === "request") {
    return (
      <>
        <p>{t("enrol.compare")}</p>
        <p class="digits">{spaced(read.code ?? "")}</p>
        <pre class="code" tabIndex={0}>
          meshnode authority issue request.txt --out answer.txt
        </pre>
      </>
    );
  }
  if (read.paper === "invitation") {
    return (
      <>
        <p>
          {read.name}, {told("role", read.role ?? "")}, {(read.squads ?? []).join(", ") || "–"} ·{" "}
          {t("enrol.until", { when: moment(read.ends_ms ?? 0) })}
        </p>
        <p class="notice warn">{t("enrol.secret")}</p>
      </>
    );
  }
  return (
    <>
      <p>{t("enrol.documents", { count: read.documents ?? 0 })}</p>
      <pre class="code" tabIndex={0}>
        meshnode enrol --answer answer.txt
      </pre>
    </>
  );
}
