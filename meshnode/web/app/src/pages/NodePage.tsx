// How this node stands: what it holds, whom it meets, the way to the gateway and what that costs.
import { useEffect } from "preact/hooks";
import { counted, t, told } from "../i18n";
import { ArchiveHealth } from "../parts/ArchiveHealth";
import { Fact } from "../parts/Fact";
import { Page, Waiting } from "../parts/Page";
import { href } from "../router";
import { archive, audit, budgets, isOperator, peers, status, uplink } from "../store";
import { ago, bytes, clock, nowMs, number } from "../time";
import type { Budget, Status, Uplink } from "../types";

export function NodePage() {
  useEffect(() => {
    for (const each of [status, peers, uplink, budgets, audit]) void each.refresh();
  }, []);
  return (
    <Page title={t("nav.node")} back={href("more")}>
      <div class="columns">
        <Standing />
        <Way />
        {isOperator.value && <Archive />}
        <Costs />
        <Peers />
        <Audit />
      </div>
    </Page>
  );
}

function Standing() {
  const found = status.value.value;
  return (
    <section class="card">
      <h2>{t("node.standing")}</h2>
      <Waiting of={status} />
      {found && (
        <>
          {troubles(found).map((each) => (
            <p key={each} class="notice bad">
              {each}
            </p>
          ))}
          <dl class="facts">
            <Fact name={t("node.name")}>{found.name}</Fact>
            <Fact name={t("node.role")}>{told("role", found.role)}</Fact>
            <Fact name={t("node.network")}>
              {t("node.zone", { network: found.network, zone: found.zone })}
            </Fact>
            {found.squads.length > 0 && <Fact name={t("nav.squad")}>{found.squads.join(", ")}</Fact>}
            <Fact name={t("node.gateway")}>{found.is_online ? t("node.online") : t("node.offline")}</Fact>
            <Fact name={t("node.neighbours")}>
              {found.neighbours.length ? found.neighbours.join(", ") : t("node.nobody")}
            </Fact>
            <Fact name={t("node.store")}>
              {counted("node.bundles", found.store.bundles)},{" "}
              {t("node.of", { used: bytes(found.store.bytes), whole: bytes(found.store.bytes_max) })}
              <meter
                min={0}
                max={found.store.bytes_max}
                high={0.9 * found.store.bytes_max}
                optimum={0}
                value={found.store.bytes}
                aria-label={t("node.store")}
              />
            </Fact>
            <Fact name={t("node.listening")}>
              {found.listening.length ? found.listening.join(", ") : t("node.nowhere")}
            </Fact>
            <Fact name={t("node.id")}>
              <code>{found.node}</code>
            </Fact>
          </dl>
        </>
      )}
    </section>
  );
}

/** A gateway is as well as its archive is. */
function Archive() {
  useEffect(() => void archive.refresh(), []);
  return (
    <section class="card">
      <h2>{t("nav.archive")}</h2>
      <ArchiveHealth nowMs={nowMs.value} />
    </section>
  );
}

function troubles(found: Status): string[] {
  return [
    ...(found.is_clock_doubted ? [t("check.clock")] : []),
    ...(found.is_clock_late ? [`${t("check.clock_late")}. ${t("check.clock_late_fix")}`] : []),
    ...(found.evidence ? [counted("node.evidence", found.evidence)] : []),
    ...(found.unopened ? [counted("node.unopened", found.unopened)] : []),
  ];
}

function Way() {
  const found = uplink.value.value;
  return (
    <section class="card">
      <h2>{t("node.uplink")}</h2>
      <Waiting of={uplink} />
      {found && (
        <>
          <p>{uplinkWords(found)}</p>
          <dl class="facts">
            <Fact name={t("node.has_gateway")}>{found.has_gateway ? t("node.yes") : t("node.no")}</Fact>
            <Fact name={t("node.since")}>{found.since_ms ? ago(found.since_ms) : t("overview.not_told")}</Fact>
            <Fact name={t("node.score")}>{number(found.score)}</Fact>
          </dl>
          {found.mates.length > 0 && (
            <ul class="plain">
              {found.mates.map((each) => (
                <li key={each.node}>
                  <span class="strong">{each.name}</span>{" "}
                  <span class="small">
                    {t("node.mate", { score: number(each.score) })}
                    {each.is_near && ` · ${t("board.in_contact")}`}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </section>
  );
}

function uplinkWords(found: Uplink): string {
  const words = t(`uplink.${found.role}`, { name: found.uplink?.name ?? "" });
  return found.is_sos_pressing ? `${words} ${t("uplink.sos")}` : words;
}

function Costs() {
  const found = budgets.value.value;
  if (!found?.length) return null;
  return (
    <section class="card">
      <h2>{t("node.costs")}</h2>
      <ul class="plain">
        {found.map((each) => (
          <Cost key={each.bearer} budget={each} />
        ))}
      </ul>
    </section>
  );
}

function Cost({ budget }: { budget: Budget }) {
  return (
    <li>
      <span class="strong">{budget.bearer}</span> <span class="small">{told("period", budget.period)}</span>
      <br />
      {t("node.of", { used: bytes(budget.spent_bytes), whole: bytes(budget.bytes_max) })}
      {budget.euros_max !== null &&
        ` · ${t("node.euros", { spent: number(budget.spent_euros, 2), whole: number(budget.euros_max, 2) })}`}
      <meter
        min={0}
        max={Math.max(1, budget.bytes_max)}
        high={0.9 * budget.bytes_max}
        optimum={0}
        value={budget.spent_bytes}
        aria-label={budget.bearer}
      />
    </li>
  );
}

function Peers() {
  const found = peers.value.value;
  return (
    <section class="card wide">
      <h2>{t("node.peers")}</h2>
      <Waiting of={peers} />
      {found?.length === 0 && <p class="muted">{t("node.met_nobody")}</p>}
      {found && found.length > 0 && (
        <div class="table" role="region" tabIndex={0} aria-label={t("node.peers")}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("story.who")}</th>
                <th scope="col">{t("overview.contact")}</th>
                <th scope="col">{t("node.contacts")}</th>
                <th scope="col">{t("node.sent")}</th>
                <th scope="col">{t("node.received")}</th>
              </tr>
            </thead>
            <tbody>
              {found.map((peer) => (
                <tr key={peer.node}>
                  <th scope="row">
                    {peer.name} <span class="small">{told("role", peer.role)}</span>
                    {peer.is_revoked && <span class="tag bad">{t("board.revoked_tag")}</span>}
                  </th>
                  <td>{peer.is_up ? t("board.in_contact") : ago(peer.last_ms)}</td>
                  <td>{number(peer.contacts)}</td>
                  <td>{bytes(peer.sent_bytes)}</td>
                  <td>{bytes(peer.received_bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Audit() {
  const found = audit.value.value;
  return (
    <section class="card wide">
      <h2>{t("node.audit")}</h2>
      <Waiting of={audit} />
      {found?.entries.length === 0 && <p class="muted">{t("node.audit_empty")}</p>}
      <ol class="steps">
        {[...(found?.entries ?? [])]
          .sort((a, b) => b.number - a.number)
          .map((each) => (
            <li key={each.number}>
              <time class="small">{clock(each.at_ms)}</time>
              <span>
                {told("audit", each.event)}
                {each.name && ` · ${each.name}`}
                {each.count > 1 && ` · ×${each.count}`}
              </span>
            </li>
          ))}
      </ol>
    </section>
  );
}
