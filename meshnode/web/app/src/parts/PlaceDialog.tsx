// Tells where this device is, when no sensor does: from the browser's own position, or by hand.
import { useSignal } from "@preact/signals";
import { post } from "../api";
import { t } from "../i18n";
import { board, positions } from "../store";
import { Action } from "./Action";
import { Dialog } from "./Dialog";

const WAIT_MS = 30_000;

export function PlaceDialog({ onClose }: { onClose: () => void }) {
  const latitude = useSignal("");
  const longitude = useSignal("");
  const accuracyM = useSignal(0);
  const numbers = [latitude.value, longitude.value].map((each) => Number(each.trim().replace(",", ".")));
  const [north = NaN, east = NaN] = numbers;
  const isSound =
    latitude.value.trim() !== "" && longitude.value.trim() !== "" && Math.abs(north) <= 90 && Math.abs(east) <= 180;
  const ask = async () => {
    const { coords } = await here();
    latitude.value = coords.latitude.toFixed(6);
    longitude.value = coords.longitude.toFixed(6);
    accuracyM.value = Math.round(coords.accuracy);
  };
  return (
    <Dialog title={t("place.title")} onClose={onClose}>
      <p class="small">{t("place.means")}</p>
      <div class="pair">
        <label class="field">
          {t("place.latitude")}
          <input
            inputMode="decimal"
            value={latitude.value}
            onInput={(event) => {
              latitude.value = event.currentTarget.value;
              accuracyM.value = 0;
            }}
          />
        </label>
        <label class="field">
          {t("place.longitude")}
          <input
            inputMode="decimal"
            value={longitude.value}
            onInput={(event) => {
              longitude.value = event.currentTarget.value;
              accuracyM.value = 0;
            }}
          />
        </label>
      </div>
      <div class="buttons">
        <Action
          kind="primary"
          disabled={!isSound}
          done={t("place.told")}
          run={async () => {
            await post("position", { latitude: north, longitude: east, accuracy_m: accuracyM.value });
            await Promise.all([positions.refresh(), board.refresh()]);
            onClose();
          }}
        >
          {t("place.tell")}
        </Action>
        {"geolocation" in navigator && isSecureContext && (
          <Action run={ask}>{t("place.from_browser")}</Action>
        )}
      </div>
    </Dialog>
  );
}

function here(): Promise<GeolocationPosition> {
  return new Promise((resolve, reject) =>
    navigator.geolocation.getCurrentPosition(resolve, () => reject(new Error(t("place.refused"))), {
      enableHighAccuracy: true,
      timeout: WAIT_MS,
      maximumAge: 0,
    }),
  );
}
