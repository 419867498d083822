// An SOS is seen and heard until somebody here says that they saw it: sound, title, vibration.
import { computed, effect, signal } from "@preact/signals";
import { t } from "./i18n";
import { session } from "./api";
import { waiting } from "./doorbell";
import { alarms } from "./store";
import type { Alarm } from "./types";

const AGAIN_MS = 2_500;
const TONES_HZ = [880, 660, 880];
const TONE_S = 0.22;
const MUTED = "meshnode.quiet";

/** True where somebody switched the sound off on this screen; the rest of the bell stays. */
export const isQuiet = signal(localStorage.getItem(MUTED) === "yes");
/** True while the browser lets no page make a sound before it was touched. */
export const isHushed = signal(false);

export function setQuiet(quiet: boolean): void {
  localStorage.setItem(MUTED, quiet ? "yes" : "no");
  isQuiet.value = quiet;
}

/** What rings here, the latest touched first: the node says of each whether it does. */
export const pressing = computed<Alarm[]>(() => (alarms.value.value ?? []).filter((each) => each.is_pressing));

export const openAlarms = computed(() => (alarms.value.value ?? []).filter(isOpen));

export const isOpen = (alarm: Alarm): boolean => alarm.state !== "closed";

let audio: AudioContext | null = null;
let timer = 0;

/** Ring for as long as something presses. */
export function startBell(): void {
  addEventListener("pointerdown", wake);
  addEventListener("keydown", wake);
  effect(() => {
    const count = session.value ? pressing.value.length : (waiting.value?.alarms ?? 0);
    window.clearInterval(timer);
    if (count === 0) {
      isHushed.value = false;
      setTitle(0);
      return;
    }
    const ring = () => {
      setTitle(count);
      if (wasTouched()) navigator.vibrate?.([300, 120, 300]);
      if (!isQuiet.value) void sound();
    };
    ring();
    timer = window.setInterval(ring, AGAIN_MS);
  });
}

/** A browser lets no page sound or shake before somebody touched it. */
const wasTouched = (): boolean => navigator.userActivation?.hasBeenActive !== false;

function wake(): void {
  if (audio?.state === "suspended" && navigator.userActivation?.isActive) void audio.resume();
}

async function sound(): Promise<void> {
  isHushed.value = !wasTouched();
  if (isHushed.value) return;
  audio ??= new AudioContext();
  if (audio.state === "suspended") await audio.resume();
  TONES_HZ.forEach((pitch, at) => tone(audio!, pitch, audio!.currentTime + at * (TONE_S + 0.05)));
}

function tone(on: AudioContext, pitch: number, at: number): void {
  const oscillator = on.createOscillator();
  const volume = on.createGain();
  oscillator.frequency.value = pitch;
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.4, at + 0.02);
  volume.gain.linearRampToValueAtTime(0, at + TONE_S);
  oscillator.connect(volume).connect(on.destination);
  oscillator.start(at);
  oscillator.stop(at + TONE_S);
}

/** The tab says it too, every other time, so that it is seen among others. */
function setTitle(count: number): void {
  const plain = document.title.replace(/^.*\| /, "");
  const isTold = document.title !== plain;
  document.title = count && !isTold ? `${t("sos.title", { count })} | ${plain}` : plain;
}
