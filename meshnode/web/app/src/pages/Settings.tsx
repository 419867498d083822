// Language, colours and sound of this screen; who is signed in.
import { remove, session } from "../api";
import { language, setLanguage, t, told, type Language } from "../i18n";
import { Action } from "../parts/Action";
import { Page } from "../parts/Page";
import { SoundCheck } from "../parts/SoundCheck";
import { href } from "../router";
import { forgetBegun } from "../store";
import { choice, setTheme, type Choice } from "../theme";
import { clock } from "../time";

const LANGUAGES: [Language, string][] = [
  ["fr", "Français"],
  ["en", "English"],
];
const COLOURS: Choice[] = ["auto", "day", "night"];

export function Settings() {
  const found = session.value;
  return (
    <Page title={t("nav.settings")} back={href("more")}>
      <div class="column">
        <fieldset class="card">
          <legend>{t("settings.language")}</legend>
          {LANGUAGES.map(([each, name]) => (
            <label key={each} class="check" lang={each}>
              <input
                type="radio"
                name="language"
                checked={language.value === each}
                onChange={() => setLanguage(each)}
              />
              {name}
            </label>
          ))}
        </fieldset>
        <fieldset class="card">
          <legend>{t("settings.colours")}</legend>
          {COLOURS.map((each) => (
            <label key={each} class="check">
              <input type="radio" name="colours" checked={choice.value === each} onChange={() => setTheme(each)} />
              {t(`settings.${each}`)}
            </label>
          ))}
        </fieldset>
        <fieldset class="card">
          <legend>{t("nav.sos")}</legend>
          <SoundCheck />
        </fieldset>
        {found && (
          <section class="card">
            <h2>{t("settings.session")}</h2>
            <p>
              {t("settings.signed_in", { name: found.name, role: told("session.role", found.role) })}
              <br />
              <span class="small">{t("settings.until", { when: clock(found.expires_ms) })}</span>
            </p>
            <Action
              kind="quiet"
              run={async () => {
                await remove("session");
                forgetBegun();
                session.value = null;
              }}
            >
              {t("settings.sign_out")}
            </Action>
          </section>
        )}
      </div>
    </Page>
  );
}
