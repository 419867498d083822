// What the node answers, as meshnode/api.py and meshnode/calls/ make it. Times are Unix
// milliseconds of the node's clock; ids are as people see them.

export type Role = "reader" | "agent" | "operator" | "newcomer";

export interface Who {
  name: string;
  node: string;
}

export interface Session {
  role: Role;
  name: string;
  csrf: string;
  expires_ms: number;
  is_locked: boolean;
}

export interface LockState {
  is_locked: boolean;
  protection: string;
  lease?: string;
  lease_left_ms?: number;
  is_wiped?: boolean;
}

export interface Status {
  node: string;
  name: string;
  role: string;
  zone: number;
  network: string;
  squads: string[];
  listening: string[];
  is_online: boolean;
  sessions: number;
  neighbours: string[];
  store: { bundles: number; bytes: number; bytes_max: number; by_class: Record<string, number> };
  messages: Record<string, number>;
  documents: number;
  unopened: number;
  evidence: number;
  is_clock_doubted: boolean;
  /** More was refused as written in the future than was taken. */
  is_clock_late: boolean;
  /** Why the disk takes nothing that is written, in English; empty where it does. */
  disk_fault: string;
  lock: LockState;
  /** Null where this device keeps no archive. */
  archive: ArchiveStanding | null;
  metrics: Record<string, unknown>;
}

export interface Incoming {
  key: number;
  message: string;
  from: string;
  from_node: string;
  to: string;
  kind: "text" | "note" | "sos";
  text: string;
  created_ms: number;
  received_ms: number;
  is_read: boolean;
  is_author_revoked: boolean;
}

export interface Outgoing {
  key: number;
  message: string;
  to: string;
  kind: "text" | "note" | "sos";
  text: string;
  created_ms: number;
  state: string;
  reason: string;
}

export interface MatrixRow extends Who {
  state: string;
  at_ms: number;
  why: string;
  last_heard_ms: number;
  is_out_of_reach: boolean;
  out_of_reach_since_ms: number;
}

export interface MessageStory extends Incoming {
  direction: "incoming" | "outgoing";
  state: string;
  reason: string;
  expires_ms: number;
  ended_ms: number;
  recipients: (Who & { state: string; at_ms: number })[];
  ledger: { at_ms: number; event: string; name: string; node: string; detail: string }[];
  carriers: Who[];
  resends_key: number;
  outcome: string;
  outcome_names: string[];
  copies: number[];
  matrix: MatrixRow[];
}

export interface Aged {
  at_ms: number;
  age_s: number;
  is_stale: boolean;
}

export interface Mate extends Who {
  role: string;
  device: string;
  is_self: boolean;
  squad: string;
  is_revoked: boolean;
  is_author_revoked: boolean;
  is_on_shift: boolean;
  shift_opened_ms: number;
  shift_over_ms: number;
  heard: Aged | null;
  position: (Aged & { latitude: number; longitude: number; accuracy_m: number }) | null;
  battery:
    | (Aged & {
        level_pct: number;
        is_charging: boolean;
        drain_pct_per_h: number;
        empty_ms: number;
      })
    | null;
  coverage:
    | (Aged & {
        network: string;
        signal_pct: number | null;
        signal_dbm: number | null;
        operator: string;
      })
    | null;
  gateway_ms: number;
  is_in_contact: boolean;
  met_ms: number;
}

export interface Board {
  now_ms: number;
  stale_s: Record<string, number>;
  is_relay: boolean;
  mates: Mate[];
}

export interface Place {
  taken_ms: number;
  latitude: number;
  longitude: number;
  accuracy_m: number;
}

export interface Position extends Who, Place {
  to: string;
  is_author_revoked: boolean;
  is_stale: boolean;
}

/** A unit of a partner, as a TAK server shows it: nobody here vouches for it. */
export interface ForeignMark {
  uid: string;
  callsign: string;
  type: string;
  latitude: number;
  longitude: number;
  at_ms: number;
  stale_ms: number;
  is_stale: boolean;
}

export interface Shift {
  is_open: boolean;
  opened_ms: number;
  ends_ms: number;
  track_has_reader: boolean | null;
  on_shift: (Who & { to: string; opened_ms: number; ends_ms: number })[];
}

export interface Signed extends Who {
  at_ms: number;
  text: string;
}

export interface Alarm {
  alarm: string;
  from: string;
  from_node: string;
  text: string;
  state: "raised" | "seen" | "taken" | "on_scene" | "closed";
  outcome: string;
  raised_ms: number;
  repeated_ms: number;
  round: number;
  place: Place | null;
  seen: Signed[];
  taken: Signed[];
  on_scene: Signed[];
  closings: Signed[];
  is_own: boolean;
  /** False on a gateway: what it signs of an alarm counts for nothing. */
  can_answer: boolean;
  /** Open, of another, and nobody of this device answered; on a gateway: nobody goes. */
  is_pressing: boolean;
  is_author_revoked: boolean;
}

/** An alarm that the secret of a locked device raised. */
export interface RaisedBySecret {
  alarm: string;
  /** Coordinates are not told where nobody gave them. */
  place: { age_s: number } | null;
  /** The lease has ended: the device stayed locked. */
  is_shut: boolean;
  /** The device knows that it was revoked: the centre alone reads it. */
  is_author_revoked: boolean;
  key_weeks: number;
  is_key_old: boolean;
}

export interface AlarmStory extends Alarm {
  /** How far an own alarm came; empty where nothing is known of that. */
  way: "" | "waiting" | "queued" | "left";
  steps: (Signed & { step: string; round: number; number: number; place: Place | null })[];
  nearest: (Who & { distance_m: number; taken_ms: number })[];
}

export interface FileEntry {
  file: string;
  key: number;
  message: number;
  is_own: boolean;
  name: string;
  media: string;
  size_bytes: number;
  has_thumbnail: boolean;
  state: string;
  to: string;
  ends_ms: number;
  from_name?: string;
  from_node?: string;
  have_bytes?: number;
  made_pct?: number;
  carried_pct?: number;
  recipients?: (Who & { pct: number })[];
  over_budget?: string[];
}

export interface SheetEntry {
  name: string;
  version: number;
  title: string;
  language: string;
  keywords: string[];
  form: string;
  size_bytes: number;
  have_bytes: number;
  is_whole: boolean;
  is_own: boolean;
  score?: number;
}

export interface Peer extends Who {
  role: string;
  is_revoked: boolean;
  address: string;
  is_up: boolean;
  first_ms: number;
  last_ms: number;
  contacts: number;
  sent_bytes: number;
  received_bytes: number;
}

export interface Uplink {
  role: "own" | "alone" | "mate" | "vacant";
  uplink: Who | null;
  hops: number;
  since_ms: number;
  is_sos_pressing: boolean;
  has_gateway: boolean;
  score: number;
  battery_pct: number | null;
  is_charging: boolean | null;
  generation: string | number | null;
  cost: string;
  has_failed: boolean;
  mates: (Who & { score: number; uplink: Who | null; hops: number; is_near: boolean })[];
}

export interface Budget {
  bearer: string;
  period: string;
  started_ms: number;
  spent_bytes: number;
  bytes_max: number;
  spent_euros: number;
  euros_max: number | null;
  left_bytes: number;
  left_sos_bytes: number;
}

export interface AuditLog {
  first: number;
  last: number;
  entries: (Who & { number: number; at_ms: number; event: string; count: number })[];
}

/** What this device has for the way. */
export interface Readiness {
  is_member: boolean;
  is_revoked: boolean;
  squads: { to: string; mates: number }[];
  without_key: Who[];
  has_sos_key: boolean;
  sos_until_ms: number;
}

export interface Sensor {
  source: string;
  kind: "position" | "battery" | "coverage";
  is_running: boolean;
  is_chosen: boolean;
  age_s: number | null;
  trouble: string;
  reading: { taken_ms: number; level_pct?: number; is_charging?: boolean } | null;
}

export interface Names {
  units: { to: string; devices: number }[];
  squads: { to: string; name: string; is_own: boolean; devices: number }[];
  members: (Who & { to: string; role: string; squads: string[] })[];
}

export interface MapInfo {
  name: string;
  url: string;
  west: number;
  south: number;
  east: number;
  north: number;
}

export interface MapsFound {
  regions: MapInfo[];
  /** Names of files that are no maps, or not whole. */
  broken: string[];
}

/** A part of the archive's work that does not get done, and why. */
export interface Trouble {
  part: string;
  reason: string;
  words: string;
}

export interface ArchiveStanding {
  is_archiving: boolean;
  is_shut: boolean;
  waiting: number;
  waiting_bytes: number;
  /** 0 where nothing waits. */
  waiting_since_ms: number;
  purged_ms: number;
  troubles: Trouble[];
}

export interface ArchiveStatus extends ArchiveStanding {
  database: string;
  shed: number;
  held: { class: string; bundles: number; contents: number; oldest_ms: number }[];
}

export interface Archived {
  message: string;
  author: { name: string; node: string };
  to: string;
  class: string;
  kind: string;
  at_ms: number;
  keep_until_ms: number;
  is_readable: boolean;
  text?: string;
  place?: { latitude: number; longitude: number };
}

export interface Term {
  class: string;
  days: number;
  days_min: number;
  days_max: number;
  reason: string;
}

export interface PurgeEntry {
  number: number;
  at_ms: number;
  gateway: { name: string };
  action: string;
  details: Record<string, string>;
  /** By how many days the oldest of what was destroyed was over time. */
  late_days: number;
}

export interface RosterMember extends Who {
  role: string;
  device: string;
  zone: number;
  squads: string[];
  is_self: boolean;
  is_revoked: boolean;
  revoked_since_ms: number;
  wipe: "" | "ordered" | "proven";
  lease_ends_ms: number;
  is_on_shift: boolean;
  shift_over_ms: number;
  heard_ms: number;
  met_ms: number;
  is_in_contact: boolean;
}

export interface Rosters {
  now_ms: number;
  zones: { zone: number; is_own: boolean; beacon_ms: number }[];
  members: RosterMember[];
}

export interface OrderRequest {
  request: string;
  what: "revoke" | "wipe";
  level: "" | "agent" | "all";
  devices: Who[];
  reason: string;
  asked_by: string;
  asked_ms: number;
  ends_ms: number;
  state: "waiting" | "confirmed" | "declined" | "given";
  decided_by: string;
  decided_ms: number;
  /** When the token that confirmed it was made; 0 before. */
  token_made_ms: number;
  declined_for: string;
  signed: number;
  needed: number;
  share: string;
}

export interface Card extends Who {
  role: string;
  device: string;
  zone: number;
  squads: string[];
  code: string;
  network: string;
  text: string;
}

export interface CheckedCard extends Omit<Card, "network" | "text"> {
  is_self: boolean;
  is_revoked: boolean;
}

export interface Paper {
  paper: "invitation" | "request" | "answer";
  code?: string;
  name?: string;
  role?: string;
  squads?: string[];
  ends_ms?: number;
  documents?: number;
}

/** What a device that is not enrolled yet says of itself. */
export interface Enrolment {
  state: "new" | "waiting" | "asked" | "enrolled";
  name?: string;
  role?: string;
  code?: string;
  request?: string;
}
