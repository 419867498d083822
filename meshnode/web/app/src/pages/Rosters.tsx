// Everybody in the rosters, for the operations centre: who is on duty, heard of, revoked or wiped;
// and the way to ask for a revocation or a wipe of whom one has chosen.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { counted, t, told } from "../i18n";
import { AskOrder } from "../parts/AskOrder";
import { Icon } from "../parts/Icon";
import { Empty, Page, Waiting } from "../parts/Page";
import { Rest } from "../parts/Rest";
import { href } from "../router";
import { rosters } from "../store";
import { ago, clock, inOrder as text, moment } from "../time";
import type { RosterMember } from "../types";

/** An order names at most so many devices, as the node has it too. */
const CHOSEN_MAX = 10;
const SHOWN_STEP = 100;
const NOBODY: RosterMember[] = [];

const contactMs = (each: RosterMember): number => Math.max(each.heard_ms, each.met_ms);

const ORDERS = {
  name: (a: RosterMember, b: RosterMember) => text(a.name, b.name),
  role: (a: RosterMember, b: RosterMember) => text(a.role, b.role),
  squads: (a: RosterMember, b: RosterMember) => text(a.squads.join(), b.squads.join()),
  shift: (a: RosterMember, b: RosterMember) => b.shift_over_ms - a.shift_over_ms,
  contact: (a: RosterMember, b: RosterMember) => contactMs(b) - contactMs(a),
  lease: (a: RosterMember, b: RosterMember) => a.lease_ends_ms - b.lease_ends_ms,
};
type Column = keyof typeof ORDERS;
const COLUMNS = Object.keys(ORDERS) as Column[];

const TESTS = {
  all: () => true,
  duty: (each: RosterMember) => each.is_on_shift,
  off: (each: RosterMember) => !each.is_on_shift,
  marked: (each: RosterMember) => each.is_revoked || each.wipe !== "",
};
type Only = keyof typeof TESTS;

export function RostersPage() {
  const words = useSignal("");
  const squad = useSignal("");
  const only = useSignal<Only>("all");
  const order = useSignal<{ column: Column; isReversed: boolean }>({ column: "name", isReversed: false });
  const chosen = useSignal<string[]>([]);
  const shown = useSignal(SHOWN_STEP);
  const isAsking = useSignal(false);
  useEffect(() => void rosters.refresh(), []);
  const all = rosters.value.value?.members ?? NOBODY;
  const wanted = words.value.trim().toLocaleLowerCase();
  const found = useMemo(() => {
    const fits = all
      .filter((each) => TESTS[only.value](each) && (!squad.value || each.squads.includes(squad.value)))
      .filter((each) => !wanted || `${each.name} ${each.node}`.toLocaleLowerCase().includes(wanted))
      .sort(ORDERS[order.value.column]);
    return order.value.isReversed ? fits.reverse() : fits;
  }, [all, only.value, squad.value, wanted, order.value]);
  const squads = useMemo(() => [...new Set(all.flatMap((each) => each.squads))].sort(text), [all]);
  const devices = all.filter((each) => chosen.value.includes(each.node));
  const choose = (node: string) => {
    const rest = chosen.value.filter((each) => each !== node);
    chosen.value = rest.length < chosen.value.length ? rest : [...rest, node];
  };
  const zones = rosters.value.value?.zones ?? [];
  return (
    <Page
      title={t("nav.rosters")}
      back={href("more")}
      actions={
        <a class="button quiet" href={href("orders")}>
          {t("nav.orders")}
        </a>
      }
    >
      <div class="map-filters">
        <label class="field inline">
          {t("rosters.search")}
          <input type="search" value={words.value} onInput={(event) => (words.value = event.currentTarget.value)} />
        </label>
        <label class="field inline">
          {t("map.squad")}
          <select value={squad.value} onChange={(event) => (squad.value = event.currentTarget.value)}>
            <option value="">{t("map.everybody")}</option>
            {squads.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label class="field inline">
          {t("overview.show")}
          <select value={only.value} onChange={(event) => (only.value = event.currentTarget.value as Only)}>
            {(Object.keys(TESTS) as Only[]).map((each) => (
              <option key={each} value={each}>
                {t(`rosters.only_${each}`)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Waiting of={rosters} />
      {zones.map((each) => (
        <p key={each.zone} class="small roster-line">
          {t("rosters.zone", { zone: each.zone })}{" "}
          {each.beacon_ms ? t("rosters.beacon", { ago: ago(each.beacon_ms) }) : t("rosters.no_beacon")}
        </p>
      ))}
      <div class="buttons chosen-devices roster-line">
        <button
          type="button"
          class="primary"
          disabled={devices.length === 0 || devices.length > CHOSEN_MAX}
          onClick={() => (isAsking.value = true)}
        >
          {t("orders.prepare")}
        </button>
        <p class="small" role="status">
          {devices.length > CHOSEN_MAX
            ? t("rosters.too_many", { most: CHOSEN_MAX })
            : counted("rosters.chosen", devices.length)}
        </p>
      </div>
      {rosters.value.value && found.length === 0 && <Empty>{t("rosters.none")}</Empty>}
      {found.length > 0 && (
        <div class="table card" role="region" tabIndex={0} aria-label={t("nav.rosters")}>
          <table>
            <thead>
              <tr>
                <th scope="col">
                  <span class="hidden">{t("rosters.choose_column")}</span>
                </th>
                {COLUMNS.map((each) => (
                  <Heading key={each} column={each} order={order.value} onSort={(next) => (order.value = next)} />
                ))}
                <th scope="col">{t("rosters.marks")}</th>
              </tr>
            </thead>
            <tbody>
              {found.slice(0, shown.value).map((each) => (
                <Row key={each.node} member={each} isChosen={chosen.value.includes(each.node)} onChoose={choose} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Rest of={found.length} shown={shown} step={SHOWN_STEP} />
      {isAsking.value && <AskOrder devices={devices} onClose={() => (isAsking.value = false)} />}
    </Page>
  );
}

interface HeadingProps {
  column: Column;
  order: { column: Column; isReversed: boolean };
  onSort: (order: HeadingProps["order"]) => void;
}

function Heading({ column, order, onSort }: HeadingProps) {
  const isHere = order.column === column;
  const direction = order.isReversed ? "descending" : "ascending";
  return (
    <th scope="col" aria-sort={isHere ? direction : "none"}>
      <button
        type="button"
        class="link"
        onClick={() => onSort({ column, isReversed: isHere && !order.isReversed })}
      >
        {t(`rosters.${column}`)}
        {isHere && <span aria-hidden="true">{order.isReversed ? " ▼" : " ▲"}</span>}
      </button>
    </th>
  );
}

interface RowProps {
  member: RosterMember;
  isChosen: boolean;
  onChoose: (node: string) => void;
}

function Row({ member, isChosen, onChoose }: RowProps) {
  const at = contactMs(member);
  return (
    <tr>
      <td class="choice">
        <label class="check">
          <input type="checkbox" checked={isChosen} onChange={() => onChoose(member.node)} />
          <span class="hidden">{t("rosters.choose", { name: member.name })}</span>
        </label>
      </td>
      <th scope="row">
        {member.name}
        {member.is_self && <span class="small"> {t("board.this_device")}</span>}
      </th>
      <td>
        {told("role", member.role)} <span class="small">{told("device", member.device)}</span>
      </td>
      <td>
        {member.squads.join(", ") || "–"}{" "}
        <span class="small">{t("rosters.zone", { zone: member.zone })}</span>
      </td>
      <td>
        {member.is_on_shift
          ? t("overview.until", { time: clock(member.shift_over_ms) })
          : // That a shift is open the centre learns from what is told in it.
            t(member.heard_ms ? "board.off_shift" : "overview.not_told")}
      </td>
      <td>
        {member.is_in_contact ? t("board.in_contact") : at ? <span title={moment(at)}>{ago(at)}</span> : t("board.never")}
      </td>
      <td>{member.lease_ends_ms ? clock(member.lease_ends_ms) : "–"}</td>
      <td>
        {member.is_revoked && <span class="tag bad">{t("board.revoked_tag")}</span>}{" "}
        {member.wipe && (
          <span class="tag bad">
            <Icon name="refused" />
            {t(`rosters.wipe_${member.wipe}`)}
          </span>
        )}
      </td>
    </tr>
  );
}
