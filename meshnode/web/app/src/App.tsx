// The frame around every page: what is wrong, what rings, where to go, and the page itself.
import { answeredMs, isLocked, isReachable, session } from "./api";
import { openAlarms, pressing } from "./bell";
import { isLive, isStarting } from "./live";
import { counted, t } from "./i18n";
import { AlarmBar } from "./parts/AlarmBar";
import { DiskBar } from "./parts/DiskBar";
import { Icon, type IconName } from "./parts/Icon";
import { SosFaultBar } from "./parts/SosFaultBar";
import { Toasts } from "./parts/Toasts";
import { ArchivePage } from "./pages/ArchivePage";
import { CardPage } from "./pages/Card";
import { Check } from "./pages/Check";
import { Enrol } from "./pages/Enrol";
import { MapPage } from "./pages/MapPage";
import { Messages } from "./pages/Messages";
import { More } from "./pages/More";
import { Orders } from "./pages/Orders";
import { Newcomer } from "./pages/Newcomer";
import { NodePage } from "./pages/NodePage";
import { Overview } from "./pages/Overview";
import { ReportPage } from "./pages/ReportPage";
import { RetentionPage } from "./pages/RetentionPage";
import { RostersPage } from "./pages/Rosters";
import { Settings } from "./pages/Settings";
import { Sheets } from "./pages/Sheets";
import { SignIn } from "./pages/SignIn";
import { Sos } from "./pages/Sos";
import { Squad } from "./pages/Squad";
import { Story } from "./pages/Story";
import { href, route } from "./router";
import { isAgent, isOperator, status, unread } from "./store";
import { ago } from "./time";

const PAGES: Record<string, () => preact.JSX.Element> = {
  messages: Messages,
  message: Story,
  squad: Squad,
  map: MapPage,
  sos: Sos,
  more: More,
  sheets: Sheets,
  check: Check,
  node: NodePage,
  archive: ArchivePage,
  report: ReportPage,
  retention: RetentionPage,
  card: CardPage,
  enrol: Enrol,
  rosters: RostersPage,
  orders: Orders,
  settings: Settings,
  overview: Overview,
};

/** Pages that stand under another entry of the menu. */
const UNDER: Record<string, string> = {
  message: "messages",
  sheets: "more",
  check: "more",
  node: "more",
  archive: "more",
  report: "more",
  retention: "more",
  card: "more",
  enrol: "more",
  rosters: "more",
  orders: "more",
  settings: "more",
};

/** What somebody sees who may read no messages: a wall that shows the map. */
const FOR_READERS = new Set(["map", "more", "settings"]);

export function App() {
  if (isStarting.value) {
    return (
      <main class="gate" aria-busy="true">
        <p class="late muted">{t("node.calling")}</p>
      </main>
    );
  }
  if (!session.value) {
    return (
      <>
        <SignIn />
        <Toasts />
      </>
    );
  }
  if (session.value.role === "newcomer") {
    return (
      <>
        <Newcomer />
        <Toasts />
      </>
    );
  }
  const first = isOperator.value ? "overview" : isAgent.value ? "messages" : "map";
  const wanted = route.value.page;
  const page = PAGES[wanted] && (isAgent.value || FOR_READERS.has(wanted)) ? wanted : first;
  const Shown = PAGES[page]!;
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={toMain}>
        {t("nav.skip")}
      </a>
      <Menu page={page} />
      <div class="body">
        <AlarmBar />
        <SosFaultBar />
        <DiskBar />
        <Banner />
        <main id="main" tabIndex={-1}>
          <Shown key={page} />
        </main>
      </div>
      <Toasts />
    </div>
  );
}

function toMain(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** What keeps the page from being of now. */
function Banner() {
  const words = !isReachable.value
    ? t("node.banner", { ago: ago(answeredMs.value, Date.now()) })
    : isLocked.value
      ? t("node.locked")
      : !isLive.value && isAgent.value
        ? t("node.not_live")
        : "";
  return (
    <div role="status" aria-live="polite" class={words ? "banner" : "hidden"}>
      {words && <Icon name="alert" />}
      <span>{words}</span>
    </div>
  );
}

function Menu({ page }: { page: string }) {
  const isHidden = page === "squad" && isOperator.value;
  const current = isHidden ? "more" : (UNDER[page] ?? page);
  const found = status.value.value;
  const isOnline = isReachable.value && found?.is_online;
  const rings = pressing.value.length || openAlarms.value.length;
  const all: { page: string; icon: IconName; title: string; count?: number; words?: string }[] = [
    ...(isOperator.value
      ? [{ page: "overview", icon: "list" as IconName, title: t("nav.overview_short") }]
      : []),
    { page: "messages", icon: "messages", title: t("nav.messages"), count: unread.value, words: counted("messages.unread", unread.value) },
    ...(isOperator.value ? [] : [{ page: "squad", icon: "people" as IconName, title: t("nav.squad") }]),
    { page: "map", icon: "map", title: t("nav.map") },
    {
      page: "sos",
      icon: "sos",
      title: t("nav.sos"),
      count: rings,
      words: counted("sos.open_count", rings),
    },
    { page: "more", icon: "more", title: t("nav.more") },
  ];
  const entries = all.filter((each) => isAgent.value || FOR_READERS.has(each.page));
  return (
    <nav class="menu" aria-label={t("nav.menu")}>
      <p class="menu-head">
        <span class="strong">{found?.name ?? "meshnode"}</span>
        <span class="small">
          <span class={`dot ${isOnline ? "on" : ""}`} />
          {found ? (isOnline ? t("node.online_short") : isReachable.value ? t("node.offline_short") : t("node.unreachable")) : ""}
        </span>
      </p>
      <ul>
        {entries.map((each) => (
          <li key={each.page}>
            <a
              href={href(each.page)}
              class={each.page === "sos" ? "to-sos" : ""}
              aria-current={each.page === current ? "page" : undefined}
            >
              <span class="menu-icon">
                <Icon name={each.icon} />
                {(each.count ?? 0) > 0 && (
                  <span class="badge" aria-hidden="true">
                    {each.count}
                  </span>
                )}
              </span>
              <span>{each.title}</span>
              {(each.count ?? 0) > 0 && (
                <span class="hidden">
                  , {each.count} {each.words}
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
