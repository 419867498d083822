// Drawings for what stands beside words; none of them says anything that no word says.
const PATHS = {
  alert: "M12 3 2 20h20L12 3zM12 10v5M12 17.5v.5",
  attach: "M20 11.5 12 19.5a5 5 0 0 1-7-7l8-8a3.3 3.3 0 0 1 4.7 4.7l-8 8a1.7 1.7 0 0 1-2.4-2.4l7.3-7.3",
  back: "M15 5l-7 7 7 7",
  battery: "M3 8h15v8H3zM18 11h3v2h-3",
  bolt: "M13 3 5 14h6l-1 7 8-11h-6l1-7z",
  carried: "M3 7h11v9H3zM14 10h4l3 3v3h-7zM7 18.5a1.5 1.5 0 1 0 0-.01M17 18.5a1.5 1.5 0 1 0 0-.01",
  check: "M4 12.5l5 5L20 6.5",
  checks: "M1.5 12.5l4.5 4.5 9-10M11 15l2 2 9-10",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2",
  close: "M5 5l14 14M19 5 5 19",
  device: "M7 2.5h10v19H7zM11 18.5h2",
  eye: "M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  file: "M6 2.5h8l4 4v15H6zM14 2.5v4h4",
  gateway: "M4 20h16M6 20V9l6-5 6 5v11M10 20v-6h4v6",
  gear: "M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
  list: "M8 6h13M8 12h13M8 18h13M3.5 6h.5M3.5 12h.5M3.5 18h.5",
  lock: "M5 11h14v10H5zM8 11V7.5a4 4 0 0 1 8 0V11",
  map: "M3 6l6-2.5 6 2.5 6-2.5v15L15 21l-6-2.5L3 21zM9 3.5v15M15 6v15",
  messages: "M3 4h18v12H9l-5 4.5V16H3z",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  node: "M12 4a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM5 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM19 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM11 8l-5 8M13 8l5 8M7 18h10",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  people: "M9 4a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14a6.5 6.5 0 0 1 3.5 6",
  pin: "M12 21.5s7-6.3 7-11.5a7 7 0 0 0-14 0c0 5.2 7 11.5 7 11.5zM12 7.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 21 21",
  send: "M3 11.5 21 3l-7 18-3-8z",
  sheet: "M5 3h14v18H5zM8 8h8M8 12h8M8 16h5",
  shift: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12.5l3 3 5-6",
  signal: "M4 20v-4M9 20v-8M14 20V8M19 20V4",
  sos: "M12 2.5 22 12 12 21.5 2 12zM12 8v5M12 15.5v.5",
  refused: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM6 6l12 12",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
