// All that is known of one message: who has it, who has read it, and each step on its way.
import { useEffect } from "preact/hooks";
import { post } from "../api";
import { detailWords, markOf } from "../delivery";
import { counted, t, told } from "../i18n";
import { Action } from "../parts/Action";
import { Icon } from "../parts/Icon";
import { Page, Waiting } from "../parts/Page";
import { announce } from "../parts/Toasts";
import { href, route } from "../router";
import { outgoing, showStory, story } from "../store";
import { titleOf } from "../threads";
import { ago, clock, moment } from "../time";
import type { MatrixRow, MessageStory } from "../types";

const ENDED = new Set(["read", "cancelled", "cancelling", "too late"]);
// Somebody lacks it: the names are those who have it.
const LACKING = new Set(["waiting", "held back", "turned down", "on its way", "expired"]);

export function Story() {
  const key = Number(route.value.rest[0]);
  const of = story(key);
  useEffect(() => showStory(key), [key]);
  const found = of.value.value;
  const back = found ? href("messages", found.direction === "outgoing" ? found.to : found.from) : href("messages");
  return (
    <Page title={t("story.title")} back={back}>
      <Waiting of={of} />
      {found && (
        <div class="column">
          <Words found={found} />
          {found.direction === "outgoing" && <Actions found={found} />}
          {found.matrix.length > 0 && <Matrix found={found} />}
          <Ledger found={found} />
        </div>
      )}
    </Page>
  );
}

function Words({ found }: { found: MessageStory }) {
  const mark = found.direction === "outgoing" ? markOf(found, found) : null;
  return (
    <section class="card">
      <p class="small">
        {t("story.from_to", {
          from: found.direction === "outgoing" ? t("messages.you") : found.from,
          to: titleOf(found.to),
          when: moment(found.created_ms),
        })}
      </p>
      {found.text && <p class="text">{found.text}</p>}
      {mark && (
        <p class={`mark ${mark.kind}`}>
          <Icon name={mark.icon} />
          <span>{mark.words}</span>
        </p>
      )}
      {found.outcome_names.length > 0 && (
        <p class="small">
          {t(LACKING.has(found.outcome) ? "story.have" : "story.names", {
            names: found.outcome_names.join(", "),
          })}
        </p>
      )}
      {found.carriers.length > 0 && (
        <p class="small">
          {counted("story.carriers", found.carriers.length, {
            names: found.carriers.map((each) => each.name).join(", "),
          })}
        </p>
      )}
      {found.expires_ms > 0 && !found.ended_ms && (
        <p class="small">{t("story.expires", { when: clock(found.expires_ms) })}</p>
      )}
    </section>
  );
}

function Actions({ found }: { found: MessageStory }) {
  const refresh = () => Promise.all([story(found.key).refresh(), outgoing.refresh()]);
  const lacking = found.matrix.filter((row) => !["read", "on device", "withdrawn"].includes(row.state));
  return (
    <div class="buttons">
      {lacking.length > 0 && (
        <Action run={() => resend(found.key, "").then(refresh)}>{t("story.resend")}</Action>
      )}
      {!ENDED.has(found.outcome) && found.state !== "refused" && (
        <Action kind="quiet danger" run={() => cancel(found.key).then(refresh)}>
          {t("story.cancel")}
        </Action>
      )}
    </div>
  );
}

async function resend(key: number, to: string): Promise<void> {
  const sent = await post<{ recipients: number; leaves_file_out: boolean }>(`messages/${key}/resend`, { to });
  announce(counted("story.resent", sent.recipients));
  if (sent.leaves_file_out) announce(t("story.without_file"), "bad");
}

async function cancel(key: number): Promise<void> {
  await post(`messages/${key}/cancel`);
  announce(t("story.cancelled"));
}

function Matrix({ found }: { found: MessageStory }) {
  return (
    <section class="card">
      <h2>{t("story.recipients")}</h2>
      <div class="table" role="region" tabIndex={0} aria-label={t("story.recipients")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("story.who")}</th>
              <th scope="col">{t("story.state")}</th>
              <th scope="col">{t("story.last_heard")}</th>
              <th scope="col">
                <span class="hidden">{t("story.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {found.matrix.map((row) => (
              <Recipient key={row.node} row={row} message={found.key} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Recipient({ row, message }: { row: MatrixRow; message: number }) {
  const canResend = !["read", "on device"].includes(row.state) && row.why !== "revoked";
  return (
    <tr>
      <th scope="row">{row.name}</th>
      <td>
        {told("recipient", row.state)}
        {row.at_ms > 0 && <span class="small"> {clock(row.at_ms)}</span>}
        {row.why && <p class="small">{told("why", row.why)}</p>}
      </td>
      <td>
        {row.is_out_of_reach
          ? row.out_of_reach_since_ms
            ? t("story.out_since", { when: clock(row.out_of_reach_since_ms) })
            : t("story.never_heard")
          : row.last_heard_ms
            ? ago(row.last_heard_ms)
            : t("story.never_heard")}
      </td>
      <td>
        {canResend && (
          <Action
            kind="link"
            label={t("story.resend_to", { name: row.name })}
            run={() => resend(message, row.node).then(() => story(message).refresh())}
          >
            {t("story.resend_one")}
          </Action>
        )}
      </td>
    </tr>
  );
}

function Ledger({ found }: { found: MessageStory }) {
  return (
    <section class="card">
      <h2>{t("story.steps")}</h2>
      <ol class="steps">
        {found.ledger.map((step, at) => (
          <li key={at}>
            <time class="small">{clock(step.at_ms)}</time>
            <span>
              {told("ledger", step.event)}
              {step.name && ` · ${step.name}`}
              {step.detail && ` · ${detailWords(step.detail)}`}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
