// A device that is not enrolled yet: its invitation in, its request shown, its answer in. The
// secret that is typed here goes to the node alone and is kept by nobody else.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, post } from "../api";
import { t, told } from "../i18n";
import { Action } from "../parts/Action";
import { Icon } from "../parts/Icon";
import { Waiting } from "../parts/Page";
import { QrCode } from "../parts/QrCode";
import { Scanner } from "../parts/Scanner";
import { save } from "../parts/TextFile";
import { Resource } from "../resource";
import type { Enrolment } from "../types";
import { spaced } from "./Card";

const enrolment = new Resource(() => ask<Enrolment>("enrolment"));

export function Newcomer() {
  const found = useSignal<Enrolment | null>(null);
  const secret = useSignal("");
  useEffect(() => void enrolment.refresh().then(() => (found.value = enrolment.value.value)), []);
  const step = async (which: "invitation" | "answer", text: string) => {
    found.value = await post<Enrolment>(`enrolment/${which}`, { text, secret: secret.value });
  };
  const shown = found.value;
  return (
    <main class="gate">
      <Icon name="device" />
      <h1>{t("newcomer.title")}</h1>
      <Waiting of={enrolment} />
      {shown?.state === "enrolled" && (
        <section class="card" role="status">
          <h2>{t("newcomer.done", { name: shown.name ?? "", role: told("role", shown.role ?? "") })}</h2>
          <p>{t("newcomer.then")}</p>
          <pre class="code">meshnode run</pre>
        </section>
      )}
      {shown && shown.state !== "enrolled" && (
        <section class="card">
          <label class="field">
            {t(shown.state === "new" ? "newcomer.new_secret" : "newcomer.secret")}
            <input
              type="password"
              autocomplete="off"
              value={secret.value}
              onInput={(event) => (secret.value = event.currentTarget.value)}
            />
          </label>
          <p class="small">{t("newcomer.secret_means")}</p>
        </section>
      )}
      {shown?.state === "asked" && (
        <section class="card">
          <h2>{t("newcomer.request", { name: shown.name ?? "" })}</h2>
          <p>{t("newcomer.compare")}</p>
          <p class="digits">{spaced(shown.code ?? "")}</p>
          <QrCode text={shown.request ?? ""} label={t("enrol.request")} />
          <button type="button" onClick={() => save("request.txt", shown.request ?? "")}>
            {t("enrol.save")}
          </button>
        </section>
      )}
      {shown?.state === "asked" && (
        <section class="card">
          <h2>{t("newcomer.answer")}</h2>
          <Scanner title={t("newcomer.scan_answer")} onText={(text) => step("answer", text)} />
        </section>
      )}
      {(shown?.state === "new" || shown?.state === "waiting") && (
        <section class="card">
          <h2>{t("newcomer.invitation")}</h2>
          <Scanner title={t("newcomer.scan_invitation")} onText={(text) => step("invitation", text)} />
          {shown.state === "waiting" && (
            <Action run={() => step("invitation", "")}>{t("newcomer.again")}</Action>
          )}
        </section>
      )}
    </main>
  );
}
