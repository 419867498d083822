// How the network does, by what the archive of this gateway holds; nothing on it names anybody.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "../api";
import { t, told } from "../i18n";
import { Action } from "../parts/Action";
import { Empty, Page } from "../parts/Page";
import { Bars, Figure, Scale, Squares } from "../parts/plots";
import {
  delay,
  OUTCOMES,
  share,
  UNKNOWN,
  utcDay,
  type ArrivalGroup,
  type Breakdown,
  type DeliveryGroup,
  type Group,
  type Report,
} from "../report";
import { href } from "../router";
import { number } from "../time";

const DAY_MS = 86_400_000;
const PERIODS = [7, 30, 92];
const BREAKDOWNS: Breakdown[] = ["by_day", "by_class", "by_zone", "by_addressee"];
/** Squares that one plot shows, from west to east and from south to north, around the fullest one. */
const REACH = 30;

export function ReportPage() {
  const days = useSignal(7);
  const by = useSignal<Breakdown>("by_day");
  const found = useSignal<Report | null>(null);
  const refused = useSignal("");
  const fetch = async () => {
    const from = Date.now() - (days.value - 1) * DAY_MS;
    refused.value = "";
    found.value = await ask<Report>(`archive/report?from_ms=${from}`, { isLong: true });
  };
  useEffect(() => {
    fetch().catch((thrown: Error) => (refused.value = thrown.message));
  }, []);
  const report = found.value;
  return (
    <Page kind="report" title={t("nav.report")} back={href("more")}>
      <div class="map-filters">
        <label class="field inline">
          {t("report.period")}
          <select value={days.value} onChange={(event) => (days.value = Number(event.currentTarget.value))}>
            {PERIODS.map((each) => (
              <option key={each} value={each}>
                {t("report.last_days", { count: each })}
              </option>
            ))}
          </select>
        </label>
        <label class="field inline">
          {t("report.by")}
          <select value={by.value} onChange={(event) => (by.value = event.currentTarget.value as Breakdown)}>
            {BREAKDOWNS.map((each) => (
              <option key={each} value={each}>
                {told("report.by", each.slice(3))}
              </option>
            ))}
          </select>
        </label>
        <Action run={fetch}>{t("report.make")}</Action>
      </div>
      {refused.value && (
        <p class="notice warn" role="status">
          {refused.value}
        </p>
      )}
      {!report && !refused.value && <p class="muted pad">{t("page.loading")}</p>}
      {report && <Shown report={report} by={by.value} />}
    </Page>
  );
}

function Shown({ report, by }: { report: Report; by: Breakdown }) {
  const { arrivals, delivery } = report;
  return (
    <>
      <p class="small pad">
        {t("report.means", {
          first: utcDay(report.since_ms),
          last: utcDay(report.until_ms - 1),
          count: report.devices_min,
        })}
      </p>
      {arrivals.total === null && <Empty>{t("report.too_few")}</Empty>}
      <div class="columns">
        {arrivals[by].length > 0 && <Delays groups={arrivals[by]} />}
        {delivery[by].length > 0 && <Delivery groups={delivery[by]} />}
        {report.alarms && <Alarms alarms={report.alarms} />}
        {(report.coverage.cells.length > 0 || report.coverage.elsewhere) && (
          <Coverage coverage={report.coverage} />
        )}
      </div>
    </>
  );
}

function nameOf(group: Group): string {
  if (group.day_ms !== undefined) return utcDay(group.day_ms);
  if (/^\d+$/.test(group.name)) return t("report.zone", { number: group.name });
  const named = told("report.name", group.name);
  return named === group.name ? told("class", group.name) : named;
}

function Delays({ groups }: { groups: ArrivalGroup[] }) {
  const rows = groups.map((each) => ({
    name: nameOf(each),
    at: [each.delays.p50_s, each.delays.p90_s],
    end: delay(each.delays.p90_s ?? each.delays.p50_s),
  }));
  return (
    <section class="card wide">
      <h2>{t("report.delays")}</h2>
      <p class="small">{t("report.delays_mean")}</p>
      <Figure
        title={t("report.delays")}
        words={rows.map((each) => `${each.name} ${delay(each.at[0] ?? null)}`).join(", ")}
        head={[
          t("report.of"),
          t("report.half"),
          t("report.most"),
          t("report.almost"),
          t("report.devices"),
          t("report.bundles"),
          t("report.ahead"),
        ]}
        rows={groups.map((each) => [
          nameOf(each),
          ...[each.delays.p50_s, each.delays.p90_s, each.delays.p99_s].map(delay),
          number(each.devices),
          number(each.bundles),
          number(each.ahead),
        ])}
      >
        <Scale rows={rows} kinds={[t("report.half"), t("report.most")]} />
      </Figure>
    </section>
  );
}

function Delivery({ groups }: { groups: DeliveryGroup[] }) {
  const kinds = OUTCOMES.map((each) => told("report.outcome", each));
  return (
    <section class="card wide">
      <h2>{t("report.delivery")}</h2>
      <p class="small">{t("report.delivery_means")}</p>
      <Figure
        title={t("report.delivery")}
        words={groups.map((each) => `${nameOf(each)} ${arrived(each)}`).join(", ")}
        head={[t("report.of"), t("report.messages"), ...kinds, t("report.devices")]}
        rows={groups.map((each) => [
          nameOf(each),
          number(each.messages),
          ...OUTCOMES.map((outcome) => share(each[outcome], each.messages)),
          number(each.devices),
        ])}
      >
        <Bars
          rows={groups.map((each) => ({
            name: nameOf(each),
            parts: OUTCOMES.map((outcome) => each[outcome]),
            end: arrived(each),
          }))}
          kinds={kinds}
        />
      </Figure>
    </section>
  );
}

function arrived(group: DeliveryGroup): string {
  const count = group.acknowledged + group.at_centre;
  return group.messages ? t("report.per_cent", { share: number((100 * count) / group.messages) }) : UNKNOWN;
}

function Alarms({ alarms }: { alarms: NonNullable<Report["alarms"]> }) {
  const waits = [
    [t("report.heard"), alarms.heard],
    [t("report.told"), alarms.told],
  ] as const;
  return (
    <section class="card">
      <h2>{t("report.alarms")}</h2>
      <dl class="facts">
        {(["raised", "taken", "closed_untaken", "open_untaken"] as const).map((each) => (
          <div class="fact" key={each}>
            <dt>{told("report.alarm", each)}</dt>
            <dd>{number(alarms[each])}</dd>
          </div>
        ))}
      </dl>
      <Figure
        title={t("report.waits")}
        words={t("report.waits")}
        head={[t("report.clock"), t("report.half"), t("report.most"), t("report.almost")]}
        rows={waits.map(([name, found]) => [name, delay(found.p50_s), delay(found.p90_s), delay(found.p99_s)])}
      />
    </section>
  );
}

function Coverage({ coverage }: { coverage: Report["coverage"] }) {
  const bearers = Object.keys((coverage.cells[0] ?? coverage.unplaced ?? coverage.elsewhere)?.bearers ?? {});
  const named = [
    ...coverage.cells.map((each) => [placeOf(each), each] as const),
    ...(coverage.unplaced ? [[t("report.unplaced"), coverage.unplaced] as const] : []),
    ...(coverage.elsewhere ? [[t("report.elsewhere"), coverage.elsewhere] as const] : []),
  ];
  const fullest = coverage.cells.reduce<Report["coverage"]["cells"][0] | null>(
    (best, each) => (best && best.looks >= each.looks ? best : each),
    null,
  );
  const near = coverage.cells.filter(
    (each) =>
      fullest !== null &&
      Math.abs(each.south - fullest.south) * 10 < REACH &&
      Math.abs(each.west - fullest.west) * 10 < REACH,
  );
  const west = Math.min(...near.map((each) => each.west));
  const north = Math.max(...near.map((each) => each.south));
  const cells = near.map((each) => ({
    x: Math.round((each.west - west) * 10),
    y: Math.round((north - each.south) * 10),
    share: (each.bearers["none"] ?? 0) / each.looks,
    title: `${placeOf(each)}, ${share(each.bearers["none"] ?? 0, each.looks)}`,
  }));
  return (
    <section class="card">
      <h2>{t("report.coverage")}</h2>
      <p class="small">{t("report.coverage_means", { share: number(100 * coverage.looked_at, 1) })}</p>
      <Figure
        title={t("report.coverage")}
        words={cells.map((each) => each.title).join(", ")}
        head={[
          t("report.square"),
          t("report.looks"),
          ...bearers.map((each) => (each === "none" ? t("report.none") : each)),
          t("report.devices"),
        ]}
        rows={named.map(([name, looks]) => [
          name,
          number(looks.looks),
          ...bearers.map((each) => share(looks.bearers[each] ?? 0, looks.looks)),
          number(looks.devices),
        ])}
      >
        {cells.length > 0 && <Squares cells={cells} />}
      </Figure>
    </section>
  );
}

function placeOf(square: { south: number; west: number }): string {
  return `${number(square.south, 1)} ${number(square.west, 1)}`;
}
