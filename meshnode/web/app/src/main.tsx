// Starts the screens: signs in by the one-time code of the address, then follows the node.
import "leaflet/dist/leaflet.css";
import "./style/tokens.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/pages.css";
import "./style/map.css";
import "./style/report.css";
import { render } from "preact";
import { sentence } from "./api";
import { App } from "./App";
import { startBell } from "./bell";
import { startDoorbell } from "./doorbell";
import { startFocus } from "./focus";
import { language } from "./i18n";
import { start } from "./live";
import { signIn } from "./pages/SignIn";
import { announce } from "./parts/Toasts";
import { drafts } from "./store";
import { startTheme } from "./theme";

document.documentElement.lang = language.value;
startTheme();
startBell();
startDoorbell();
startFocus();
// Drafts are kept nowhere but on this page.
addEventListener("beforeunload", (event) => {
  if (Object.values(drafts.value).some((each) => each.trim())) event.preventDefault();
});
render(<App />, document.getElementById("app")!);
void enter();

async function enter(): Promise<void> {
  await enterByCode();
  addEventListener("hashchange", () => void enterByCode());
  await start();
  if ("serviceWorker" in navigator) {
    // Without one, as on plain HTTP from another machine, everything works but the start offline.
    await navigator.serviceWorker.register("/sw.js").catch(() => undefined);
  }
}

async function enterByCode(): Promise<void> {
  const key = /^#key=([0-9a-zA-Z_-]+)$/.exec(location.hash)?.[1];
  if (!key) return;
  // The code must not stay in the history, where the next person would find it.
  history.replaceState(null, "", "/");
  await signIn("key", key).catch((thrown: unknown) => announce(sentence(thrown), "bad"));
}
