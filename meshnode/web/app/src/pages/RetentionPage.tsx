// How long the archive keeps what and why, and the signed log of what it destroyed.
import { useEffect } from "preact/hooks";
import { counted, t, told } from "../i18n";
import { Empty, Page, Waiting } from "../parts/Page";
import { href } from "../router";
import { purges, terms } from "../store";
import { moment, plainDay } from "../time";
import type { PurgeEntry } from "../types";

export function RetentionPage() {
  useEffect(() => {
    for (const each of [terms, purges]) void each.refresh();
  }, []);
  const log = purges.value.value;
  return (
    <Page title={t("nav.retention")} back={href("more")}>
      <div class="columns">
        <section class="card">
          <h2>{t("retention.terms")}</h2>
          <p class="small">{t("retention.means")}</p>
          <Waiting of={terms} />
          <dl class="facts">
            {terms.value.value?.map((each) => (
              <div class="fact" key={each.class}>
                <dt>{told("class", each.class)}</dt>
                <dd>
                  {counted("time.days", each.days)}
                  <p class="small">
                    {t("retention.bounds", { least: each.days_min, most: each.days_max })}
                  </p>
                </dd>
              </div>
            ))}
          </dl>
        </section>
        <section class="card">
          <h2>{t("retention.log")}</h2>
          <Waiting of={purges} />
          {log?.length === 0 && <Empty>{t("retention.empty")}</Empty>}
          <ul class="rows">
            {log
              ?.slice()
              .reverse()
              .map((each) => (
                <li key={each.number} class="row">
                  <span class="row-words">
                    <span class="strong">{told("purge", each.action)}</span>
                    <span class="small">
                      {each.number} · {moment(each.at_ms)} · {each.gateway.name}
                    </span>
                    <span class="small">{detailsOf(each)}</span>
                    {each.late_days > 0 && (
                      <span class="tag bad">{counted("purge.late", each.late_days)}</span>
                    )}
                  </span>
                </li>
              ))}
          </ul>
        </section>
      </div>
    </Page>
  );
}

const DAY_MS = 86_400_000;

/** What an entry says beside when and by whom. */
function detailsOf({ action, details }: PurgeEntry): string {
  if (action === "terms") {
    return Object.entries(details)
      .map(([name, days]) => `${told("class", name)} ${counted("time.days", Number(days))}`)
      .join(", ");
  }
  if (action === "purge") {
    return t("purge.details", {
      class: told("class", details["class"] ?? ""),
      days: counted("time.days", Number(details["keys"] ?? 0)),
      first: plainDay(Number(details["first_day"] ?? 0) * DAY_MS),
      last: plainDay(Number(details["last_day"] ?? 0) * DAY_MS),
      bundles: details["bundles"] ?? "0",
      contents: details["contents"] ?? "0",
    });
  }
  return [details["reason"], details["author"], details["device"]].filter(Boolean).join(" · ");
}
