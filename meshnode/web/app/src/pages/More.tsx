// What is needed less often: sheets, the check before leaving, the node, settings, the lock.
import { batch, useSignal } from "@preact/signals";
import { isLocked, post, session } from "../api";
import { t } from "../i18n";
import { Action } from "../parts/Action";
import { Dialog } from "../parts/Dialog";
import { Icon, type IconName } from "../parts/Icon";
import { Page } from "../parts/Page";
import { href } from "../router";
import { forgetBegun, isAgent, isOperator, status } from "../store";

interface Entry {
  page: string;
  icon: IconName;
  title: string;
  words: string;
}

export function More() {
  const isLocking = useSignal(false);
  const settings: Entry = { page: "settings", icon: "gear", title: t("nav.settings"), words: t("more.settings") };
  const forAgents: Entry[] = [
    { page: "sheets", icon: "sheet", title: t("nav.sheets"), words: t("more.sheets") },
    { page: "check", icon: "check", title: t("nav.check"), words: t("more.check") },
    ...(isOperator.value
      ? ([
          { page: "squad", icon: "people", title: t("nav.squad"), words: t("more.squad") },
          { page: "rosters", icon: "people", title: t("nav.rosters"), words: t("more.rosters") },
          { page: "orders", icon: "refused", title: t("nav.orders"), words: t("more.orders") },
          { page: "archive", icon: "search", title: t("nav.archive"), words: t("more.archive") },
          { page: "report", icon: "list", title: t("nav.report"), words: t("more.report") },
          { page: "retention", icon: "clock", title: t("nav.retention"), words: t("more.retention") },
        ] as Entry[])
      : []),
    { page: "card", icon: "device", title: t("nav.card"), words: t("more.card") },
    { page: "enrol", icon: "attach", title: t("nav.enrol"), words: t("more.enrol") },
    { page: "node", icon: "node", title: t("nav.node"), words: t("more.node") },
  ];
  const entries = isAgent.value ? [...forAgents, settings] : [settings];
  const canLock = isAgent.value && status.value.value?.lock.protection !== "unattended";
  return (
    <Page title={t("nav.more")}>
      <ul class="rows column">
        {entries.map((each) => (
          <li key={each.page}>
            <a class="row" href={href(each.page)}>
              <span class="row-icon">
                <Icon name={each.icon} />
              </span>
              <span class="row-words">
                <span class="strong">{each.title}</span>
                <span class="small">{each.words}</span>
              </span>
            </a>
          </li>
        ))}
        {canLock && (
          <li>
            <button type="button" class="row" onClick={() => (isLocking.value = true)}>
              <span class="row-icon">
                <Icon name="lock" />
              </span>
              <span class="row-words">
                <span class="strong">{t("more.lock")}</span>
                <span class="small">{t("more.lock_means")}</span>
              </span>
            </button>
          </li>
        )}
      </ul>
      {isLocking.value && (
        <Dialog title={t("more.lock_ask")} onClose={() => (isLocking.value = false)}>
          <p>{t("more.lock_means")}</p>
          <div class="buttons">
            <Action
              kind="primary"
              run={async () => {
                await post("lock");
                // The node starts anew and knows nobody: what is left to do is to unlock it.
                batch(() => {
                  isLocked.value = true;
                  forgetBegun();
                  session.value = null;
                });
              }}
            >
              {t("more.lock")}
            </Action>
            <button type="button" class="quiet" onClick={() => (isLocking.value = false)}>
              {t("dialog.cancel")}
            </button>
          </div>
        </Dialog>
      )}
    </Page>
  );
}
