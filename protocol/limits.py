"""Every bound of the protocol: sizes, counts and times; the table of traffic classes beside it.

Each constant has its unit in its name and its reason beside it; relations between constants are
asserted at the end. Nothing here is negotiable on the wire. Source: STYLE 15, wire-format 8.
"""

from __future__ import annotations

from typing import Final

from protocol.classes import (
    CLASS_RULES,
    KINDS,
    LIFETIME_S_MAX,
    ClassRule,
    Kind,
    KindRule,
    TrafficClass,
)

__all__ = [
    "ACK_REFUSALS_MAX",
    "ADDRESSES_PER_CONTACT_MAX",
    "ADDRESS_POLL_MS",
    "ADDRESS_SETTLE_MS",
    "ADDRESS_SETTLE_MS_MAX",
    "ANCHORS_MAX",
    "ANSWER_BYTES_MAX",
    "ANSWER_DOCUMENTS_MAX",
    "ANSWER_PREKEYS_MAX",
    "ASKED_MAX",
    "ASKED_MS",
    "AUTHORITY_MEMBERS_MAX",
    "BACKOFF_FIRST_MS",
    "BACKOFF_MS_MAX",
    "BACKOFF_RESET_MS",
    "BADGE_LIFE_MS",
    "BATCHES_IN_FLIGHT_MAX",
    "BATCH_BUNDLES_MAX",
    "BATCH_BYTES_MAX",
    "BATCH_URGENT_MAX",
    "BODY_BYTES_MAX",
    "BUNDLE_BYTES_MAX",
    "CANONICAL_DEPTH_MAX",
    "CANONICAL_ITEMS_MAX",
    "CERTIFICATES_PER_CHAIN_MAX",
    "CERTIFICATE_BYTES_MAX",
    "CERTIFICATE_EARLY_MS",
    "CHAIN_LIFE_MS",
    "CHAIN_MESSAGES_MAX",
    "CHAIN_SLOTS_MAX",
    "CLASS_RULES",
    "CLOCK_DRIFT_MS_MAX",
    "CLOCK_HOLD_MS_MAX",
    "CONTACTS_MAX",
    "CONTROL_BYTES_MAX",
    "CONTROL_CLIENTS_MAX",
    "CONTROL_LINE_BYTES_MAX",
    "COPIES_PER_BUNDLE_MAX",
    "DIALS_MAX",
    "DIAL_MS_MAX",
    "DOCUMENTS_HELD_MAX",
    "DOCUMENT_BYTES_MAX",
    "DOCUMENT_SCOPE_BYTES_MAX",
    "DOCUMENT_SIGNATURES_MAX",
    "DOCUMENT_SIGNATURE_BYTES_MAX",
    "DOCUMENT_VERSION_JUMP_MAX",
    "DUMP_BYTES_MAX",
    "DUMP_EVENTS_MAX",
    "DUMP_FRAMES_MAX",
    "DUMP_LINE_BYTES_MAX",
    "DUMP_LIST_MAX",
    "EVICTION_ROWS_MAX",
    "EVIDENCE_MAX",
    "FRAME_BYTES_MAX",
    "HANDSHAKES_MAX",
    "HANDSHAKES_PER_ADDRESS_MAX",
    "HANDSHAKE_MS_MAX",
    "HEADER_BYTES_MAX",
    "HINTS_BURST_MAX",
    "HINTS_PER_S_MAX",
    "HINTS_WAITING_MAX",
    "HOPS_MAX",
    "HOUSEKEEPING_MS_MAX",
    "IDS_PER_FRAME_MAX",
    "IDS_PER_LIST_MAX",
    "IMMUNITY_PAGES_MAX",
    "INTERESTS_MAX",
    "INVITATIONS_MAX",
    "INVITATION_BYTES_MAX",
    "INVITATION_LIFE_MS",
    "INVITATION_TRIES_MAX",
    "KEY_REQUEST_DELAY_MS",
    "KEY_REQUEST_REPEAT_MS",
    "KINDS",
    "KNOWN_AT_PEER_MAX",
    "LIFETIME_S_MAX",
    "LINK_BUFFER_BYTES",
    "LINK_LINGER_MS",
    "LINK_READ_BYTES",
    "LOCAL_ADDRESSES_MAX",
    "MDNS_ADDRESSES_MAX",
    "MDNS_CLOSE_MS_MAX",
    "MDNS_LOOKUPS_MAX",
    "MDNS_LOOKUP_MS_MAX",
    "MDNS_START_MS_MAX",
    "MDNS_TIDY_MS",
    "MEMBERS_MAX",
    "MESSAGE_LIFETIME_S_MAX",
    "NAME_BYTES_MAX",
    "OPEN_BATCH_MAX",
    "PLANS_WAITING_MAX",
    "PLAN_IDS_MAX",
    "PREKEY_BUNDLE_BYTES_MAX",
    "PREKEY_END_MS",
    "PREKEY_ERASE_MS",
    "PREKEY_LEFT_MS_MIN",
    "PREKEY_RENEW_MS",
    "PROBES_MAX",
    "PROBE_EVERY_MS",
    "PROBE_TRIES_MAX",
    "PUSH_BYTES_MAX",
    "RECEIPT_DELAY_MS",
    "RECEIVED_KEEP_MS",
    "RECEIVING_CHAIN_KEEP_MS",
    "REGIONAL_LIFE_MS",
    "REQUEST_BYTES_MAX",
    "RESTART_MS_MAX",
    "ROOT_LIFE_MS",
    "SEALED_SECRETS_BYTES_MAX",
    "SENDING_CHAIN_KEEP_MS",
    "SESSIONS_MAX",
    "SESSIONS_PER_PEER_MAX",
    "SESSIONS_UNADMITTED_MAX",
    "SESSION_DOCUMENTS_MAX",
    "SESSION_DOCUMENT_BYTES_MAX",
    "SESSION_FINISH_MS",
    "SESSION_HELLO_MS_MAX",
    "SESSION_IDLE_MS_MAX",
    "SESSION_PING_LATER_MS",
    "SESSION_PING_MS",
    "SESSION_STEP_MS_MAX",
    "SIGNERS_MAX",
    "SKETCH_SYMBOLS",
    "SQUADS_PER_BADGE_MAX",
    "STICK_BYTES_MAX",
    "STICK_CHUNK_BYTES",
    "STICK_HEADER_BYTES_MAX",
    "STICK_READ_BYTES",
    "STICK_SLOTS_MAX",
    "STORE_BYTES_DEFAULT",
    "STORE_INTERESTS_MAX",
    "STORE_READERS_MAX",
    "STORE_RESERVE_PCT",
    "STORE_ROW_BYTES",
    "SUPPLY_AHEAD_BYTES",
    "SUPPLY_BYTES",
    "TEXT_BYTES_MAX",
    "TOMBSTONES_MAX",
    "TOMBSTONE_KEEP_MS",
    "UNREAD_BUNDLES_MAX",
    "UNREAD_BYTES_MAX",
    "WAITING_ITEMS_MAX",
    "WINDOW_BYTES_FIRST",
    "WINDOW_BYTES_MAX",
    "WINDOW_BYTES_MIN",
    "WINDOW_MS",
    "WRITES_PER_COMMIT_MAX",
    "ClassRule",
    "Kind",
    "KindRule",
    "TrafficClass",
]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_DAY_S: Final = 86_400

# --- records -----------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 65_535
"""Payload of one session frame; its length field has 16 bits, and one frame at 1 MB/s is 65 ms."""
BUNDLE_BYTES_MAX: Final = 65_000
"""A whole bundle container; fits one frame, so a bundle is never fragmented by a session."""
HEADER_BYTES_MAX: Final = 160
"""An encoded bundle header; the largest legal one has 85 bytes."""
BODY_BYTES_MAX: Final = 64_700
"""Sealed body of a bundle."""
TEXT_BYTES_MAX: Final = 16_384
"""UTF-8 bytes of one text message: several pages, far below a bundle."""
NAME_BYTES_MAX: Final = 64
"""UTF-8 bytes of a display name (device, squad, network)."""
CANONICAL_DEPTH_MAX: Final = 6
"""Nesting of arrays in any record; the deepest real one has five."""
CANONICAL_ITEMS_MAX: Final = 16_384
"""Items of one array; checked by the decoder before it allocates."""
CERTIFICATE_BYTES_MAX: Final = 4_096
"""One DER certificate or request; ours have 300-700 bytes."""
CERTIFICATES_PER_CHAIN_MAX: Final = 4
"""Certificates shown in one chain: badge, unit authority, regional authority, and one spare."""
DOCUMENT_BYTES_MAX: Final = 60_000
"""One signed authority document; a squad roster of 500 members fits."""
DOCUMENT_VERSION_JUMP_MAX: Final = 10_000
"""A version may rise by this much at once: a stolen key cannot lock the fleet out with 2**63."""
DOCUMENT_SCOPE_BYTES_MAX: Final = 32
"""Scope of a document; that of a roster has at most 11 bytes."""
DOCUMENT_SIGNATURES_MAX: Final = 16
"""Signatures of one document: each costs a verification."""
DOCUMENT_SIGNATURE_BYTES_MAX: Final = 3_309
"""One signature: 64 bytes for Ed25519, at most 104 for ECDSA P-384, 3,309 for ML-DSA-65."""
SIGNERS_MAX: Final = 16
"""Keys that the root names for one class, and root keys: a quorum of people, not of machines."""
DOCUMENTS_HELD_MAX: Final = 3_000
"""Documents that a node holds: all their versions fit one frame. Six zones of 300 squads."""
ANCHORS_MAX: Final = 8
"""Root certificates trusted at one time: the present ones and those that are being replaced."""
MEMBERS_MAX: Final = 500
"""Members of one unit (squad or gateway group)."""
SQUADS_PER_BADGE_MAX: Final = 8
"""Home squads of one device."""
HOPS_MAX: Final = 32
"""Hand-overs of one copy; a guard against loops, not a routing tool."""

# --- enrolment ---------------------------------------------------------------------------------
INVITATION_BYTES_MAX: Final = 1_024
"""An invitation with eight squads of the longest names; fits a QR code."""
REQUEST_BYTES_MAX: Final = 16_384
"""A request; real ones have 1,900 bytes and fit a QR code, those of a zone 8 to 16 kB."""
ANSWER_BYTES_MAX: Final = 8_000_000
"""An answer, or a file of documents: the rosters of a zone of 3,000 devices are 300 kB."""
ANSWER_DOCUMENTS_MAX: Final = 1_024
"""Documents in one answer: the root and one roster per unit of a zone."""
ANSWER_PREKEYS_MAX: Final = 256
"""Prekeys in one answer: gateways, operators and mates, 1.4 kB each."""
PREKEY_BUNDLE_BYTES_MAX: Final = 2_048
"""Container of a prekey bundle; real ones have 1,400 bytes."""
SEALED_SECRETS_BYTES_MAX: Final = 1_280
"""Secrets of the network sealed to a prekey: 1,136 bytes more than the record of 54."""
INVITATION_LIFE_MS: Final = _DAY_MS
"""An invitation is taken for a day: longer, and papers lie about."""
INVITATION_TRIES_MAX: Final = 5
"""Refused requests after which an invitation is dead."""
INVITATIONS_MAX: Final = 1_024
"""Open invitations of one authority."""
AUTHORITY_MEMBERS_MAX: Final = 16_000
"""Devices of one authority: five times the largest zone."""

# --- session -----------------------------------------------------------------------------------
IDS_PER_FRAME_MAX: Final = 4_096
"""Short ids in one WANT, OFFER or LIST frame: 32 kB."""
IDS_PER_LIST_MAX: Final = 2_000_000
"""Short ids of one interest listed in full: twice the largest store designed for."""
INTERESTS_MAX: Final = 256
"""Interests (zone and class) that one session reconciles: as many as a store keeps."""
SKETCH_SYMBOLS: Final = 4_096
"""Coded symbols cached per interest (about 64 kB); decodes 2,700 differences without a pass."""
ACK_REFUSALS_MAX: Final = 4_096
"""Refusals named in one ACK."""
SESSION_HELLO_MS_MAX: Final = 5_000
"""From link-up to the peer's HELLO admitted."""
SESSION_STEP_MS_MAX: Final = 30_000
"""Longest silence while an answer is owed (documents, symbols, lists, acknowledgements)."""
SESSION_PING_MS: Final = 20_000
"""Silence after which a live session asks whether the peer is still there."""
SESSION_PING_LATER_MS: Final = 2_000
"""The responder waits this much longer, so that on a quiet line only one end asks."""
SESSION_IDLE_MS_MAX: Final = 50_000
"""Silence after which a live session is given up: two lost pings."""

# --- links -------------------------------------------------------------------------------------
LINK_BUFFER_BYTES: Final = 32_768
"""Bytes a link holds below the session and has not put on the wire: 33 ms at 1 MB/s."""
LINK_READ_BYTES: Final = 65_536
"""Read from a link, and sent on it, at once."""
LINK_LINGER_MS: Final = 1_000
"""Wait for the peer to end the link after our BYE, so that the BYE is not lost."""
HANDSHAKE_MS_MAX: Final = 5_000
"""TLS from the first byte to the last; then the socket is closed."""
HANDSHAKES_MAX: Final = 32
"""Unfinished handshakes in all; more connections are closed unanswered (security 2.13)."""
HANDSHAKES_PER_ADDRESS_MAX: Final = 4
"""Unfinished handshakes of one IP address."""
DIAL_MS_MAX: Final = 10_000
"""A dial, name look-up and TLS together."""
DIALS_MAX: Final = 8
"""Dials at the same time."""
BACKOFF_FIRST_MS: Final = 1_000
"""Wait after the first failed dial; doubles with each further one."""
BACKOFF_MS_MAX: Final = 300_000
"""Longest wait between dials of an address that does not answer, before jitter."""
BACKOFF_RESET_MS: Final = 30_000
"""A session that lasted this long was a success: the next wait is the first one again."""
SESSIONS_MAX: Final = 64
"""Sessions at the same time, with those whose peer is not admitted yet."""
SESSIONS_PER_PEER_MAX: Final = 3
"""Sessions of one peer while it is being decided which one stays."""
SESSIONS_UNADMITTED_MAX: Final = 32
"""Sessions that others dialled and whose HELLO is not admitted yet."""
CONTACTS_MAX: Final = 1_024
"""Places worth dialling that are remembered; the longest unseen is forgotten first."""
ADDRESSES_PER_CONTACT_MAX: Final = 8
"""Addresses of one sighting that are tried."""
BATCH_BUNDLES_MAX: Final = 500
"""Received bundles that are checked and committed together."""
BATCH_BYTES_MAX: Final = 524_288
"""The same bound in bytes."""
BATCH_URGENT_MAX: Final = 16
"""Urgent bundles that are checked and committed by themselves, ahead of the others."""
BATCHES_IN_FLIGHT_MAX: Final = 2
"""Batches of one session checked at the same time: one waits for the disk, one for a core."""
PLAN_IDS_MAX: Final = 2_000
"""Ids looked up in the store at once; between two such steps more urgent ones go first."""
ASKED_MAX: Final = 200_000
"""Ids remembered as asked of one peer and not of others, about 20 MB."""
ASKED_MS: Final = 60_000
"""A bundle that the peer asked for it did not bring in this time is asked of another one, too."""
PLANS_WAITING_MAX: Final = 256
"""Questions of the session that wait for the store; beyond, the peer is not read."""
WAITING_ITEMS_MAX: Final = 10_000
"""Bundles queued for a peer that holds nothing, before the next page is read: about 2 MB."""
SUPPLY_BYTES: Final = 262_144
"""Containers read from the store at once for one peer."""
SESSION_DOCUMENT_BYTES_MAX: Final = 16_000_000
"""Documents of one peer that wait to be checked together: 40 zones of 3,000 devices."""
SESSION_FINISH_MS: Final = 5_000
"""Received bundles are stored for this long after the link ended or the node was told to stop."""

# --- discovery ---------------------------------------------------------------------------------
ADDRESS_POLL_MS: Final = 60_000
"""Look at the machine's addresses this often where the kernel does not tell of changes."""
ADDRESS_SETTLE_MS: Final = 300
"""Changes of addresses come in a row; they are looked at after a pause of this length."""
ADDRESS_SETTLE_MS_MAX: Final = 3_000
"""Changes that never pause are looked at this long after the first one."""
LOCAL_ADDRESSES_MAX: Final = 1_024
"""Addresses of this machine that are looked at; a phone has six, a busy server some hundred."""
MDNS_ADDRESSES_MAX: Final = 64
"""Addresses of one multicast announcement, made or heard: two datagrams."""
HINTS_WAITING_MAX: Final = 256
"""Hints that wait for the link manager; more are dropped."""
HINTS_BURST_MAX: Final = 256
"""Hints of one source at once: everybody in a port hall is there when the node starts."""
HINTS_PER_S_MAX: Final = 4
"""Hints of one source in the long run, per second: each may cost a dial."""
PROBES_MAX: Final = 16
"""Places probed at once without a sighting: gateways, configured and last-known ones."""
PROBE_EVERY_MS: Final = 3_600_000
"""Places are probed again this often while the surroundings stay the same."""
PROBE_TRIES_MAX: Final = 4
"""Failed dials after which a place that was only guessed is left alone: about 15 s."""
MDNS_START_MS_MAX: Final = 15_000
"""Longest wait for multicast to be set up."""
MDNS_CLOSE_MS_MAX: Final = 3_000
"""Longest wait for the goodbye on multicast; the thread is left behind after it."""
MDNS_TIDY_MS: Final = 600_000
"""Multicast records that ended are removed this often, and known ones asked for again."""
MDNS_LOOKUPS_MAX: Final = 16
"""Names announced without an address that are asked for at the same time."""
MDNS_LOOKUP_MS_MAX: Final = 3_000
"""Longest wait for the address of such a name."""

# --- store -------------------------------------------------------------------------------------
STORE_BYTES_DEFAULT: Final = 2_000_000_000
"""Bytes of bundles that a store may hold when nothing else is configured: 2 GB."""
STORE_RESERVE_PCT: Final = 5
"""Share of the store that only authority documents and SOS may use (security 2.13), %."""
STORE_ROW_BYTES: Final = 256
"""What one bundle costs beside its container: columns and index entries."""
STORE_INTERESTS_MAX: Final = 256
"""Interests a store keeps; each has a sketch of 80 kB."""
STORE_READERS_MAX: Final = 4
"""Threads that read at the same time."""
WRITES_PER_COMMIT_MAX: Final = 256
"""Waiting writes that share one commit; keeps the wait for the disk below a second."""
EVICTION_ROWS_MAX: Final = 10_000
"""Bundles evicted to make room for one batch; beyond, the batch is refused."""
TOMBSTONE_KEEP_MS: Final = _DAY_MS
"""A dropped bundle is remembered this long after its expiry (security 2.12)."""
IMMUNITY_PAGES_MAX: Final = 20_000
"""Receipt pages kept in memory, about 10 MB with ten recipients each; one covers 1,024 bundles."""
TOMBSTONES_MAX: Final = 500_000
"""Dropped bundles remembered, about 20 MB; beyond, those that end soonest are forgotten."""
EVIDENCE_MAX: Final = 1_000
"""Proofs of equivocation kept; the first ones stay."""
COPIES_PER_BUNDLE_MAX: Final = 64
"""Carriers remembered of one bundle."""
RECEIVED_KEEP_MS: Final = 120 * _DAY_MS
"""Digest of an opened bundle is kept this long: longer than any lifetime, so no receipt shrinks."""

SUPPLY_AHEAD_BYTES: Final = 262_144
"""Containers read from the store before the wire takes them, per session."""
UNREAD_BYTES_MAX: Final = 2_097_152
"""Received containers that the shell has not acknowledged; beyond, the session stops reading."""
UNREAD_BUNDLES_MAX: Final = 4_000
"""The same bound in bundles."""
CONTROL_BYTES_MAX: Final = 4_194_304
"""Frames other than BUNDLE that wait to be sent; a peer that asks and never reads ends here."""
KNOWN_AT_PEER_MAX: Final = 200_000
"""Ids remembered as held by the peer, so that nothing is pushed back; about 20 MB."""
PUSH_BYTES_MAX: Final = 4_096
"""A new bundle up to this size is sent to a live peer at once; a larger one is offered."""
WINDOW_BYTES_MIN: Final = 65_536
"""Least bytes of bundles under way: one frame."""
WINDOW_BYTES_FIRST: Final = 262_144
"""Before anything was acknowledged: a quarter of a second at 1 MB/s."""
WINDOW_BYTES_MAX: Final = 4_194_304
"""Most bytes of bundles under way."""
WINDOW_MS: Final = 400
"""The window is what the peer acknowledges in this time."""
SESSION_DOCUMENTS_MAX: Final = 4_000
"""Documents taken from one peer in one session: more than a zone has."""

# --- sealed files ------------------------------------------------------------------------------
STICK_CHUNK_BYTES: Final = 65_536
"""Plaintext sealed together in a sealed file: one frame and a tag of 16 bytes per 64 kB."""
STICK_SLOTS_MAX: Final = 256
"""Devices one file is sealed to: more than all gateways and operators of a zone."""
STICK_HEADER_BYTES_MAX: Final = 310_000
"""Header of a sealed file; 256 slots of 1,182 bytes are 302,615."""
STICK_BYTES_MAX: Final = 4_000_000_000
"""A sealed file; the FAT32 of most sticks ends at 4 GiB, and a default store has 2 GB."""
STICK_READ_BYTES: Final = 1_048_576
"""Read from a sealed file, or written to it, at once: 16 chunks, 10 ms of a core."""

# --- dump --------------------------------------------------------------------------------------
DUMP_BYTES_MAX: Final = 64_000_000
"""A file that is explained from memory: eight answers of the largest size, a day of trace."""
DUMP_FRAMES_MAX: Final = 200_000
"""Frames of one capture that are counted, half a second: more than a session of days has."""
DUMP_LIST_MAX: Final = 1_000
"""Frames named one by one, and parts of one PEM file."""
DUMP_EVENTS_MAX: Final = 1_000
"""Kinds of trace events counted apart: ten times as many as there are."""
DUMP_LINE_BYTES_MAX: Final = 65_536
"""One line of a trace; real ones have some hundred bytes."""

# --- time --------------------------------------------------------------------------------------
CLOCK_DRIFT_MS_MAX: Final = 600_000
"""A stamp up to 10 min ahead is accepted as it is (security 2.12)."""
CLOCK_HOLD_MS_MAX: Final = _DAY_MS
"""A stamp up to 24 h ahead is held until due; beyond, refused."""

# --- keys --------------------------------------------------------------------------------------
CHAIN_MESSAGES_MAX: Final = 2_048
"""Messages of one chain; 12 h of positions every 30 s are 1,440."""
CHAIN_LIFE_MS: Final = 12 * _HOUR_MS
"""A chain is not used for new messages after this time: one shift."""
SENDING_CHAIN_KEEP_MS: Final = 9 * _DAY_MS
"""Keys of an ended chain can be given out for this long: while its messages may live."""
PREKEY_LEFT_MS_MIN: Final = _HOUR_MS
"""A prekey with less time left is not sealed to: what is sealed would hardly arrive."""
MESSAGE_LIFETIME_S_MAX: Final = 9 * _DAY_S
"""Longest lifetime of what people write: as long as the keys it is sealed to."""
RECEIVING_CHAIN_KEEP_MS: Final = CHAIN_LIFE_MS + 9 * _DAY_MS
"""Another author's chain is kept this long: its last message lives no longer."""
KEY_REQUEST_DELAY_MS: Final = 60_000
"""A bundle waits this long for its key before the author is asked."""
KEY_REQUEST_REPEAT_MS: Final = _HOUR_MS
"""The same keys are not asked for, nor given to one device, more often than this."""
CHAIN_SLOTS_MAX: Final = 45
"""Readers of one bundle of chain keys: 1,210 bytes each."""
RECEIPT_DELAY_MS: Final = 300
"""Receipts wait this long, so that one bundle receipts what came together."""
OPEN_BATCH_MAX: Final = 64
"""Bundles opened in one transaction, and receipt pages written in one."""
HOUSEKEEPING_MS_MAX: Final = 300_000
"""Longest time between two looks at what has expired."""
RESTART_MS_MAX: Final = 60_000
"""Longest wait before a part of the node that failed is started again."""
CONTROL_LINE_BYTES_MAX: Final = 16_777_216
"""One answer on the control socket: 1,000 texts of the largest size."""
CONTROL_CLIENTS_MAX: Final = 32
"""Commands that talk to one running node at the same time."""
PREKEY_RENEW_MS: Final = _DAY_MS
"""A node makes a new prekey this long after the last."""
PREKEY_END_MS: Final = 9 * _DAY_MS
"""A prekey may be used by senders until this long after its issue."""
PREKEY_ERASE_MS: Final = 10 * _DAY_MS
"""The private part is erased this long after issue."""

# --- certificates ------------------------------------------------------------------------------
BADGE_LIFE_MS: Final = 90 * _DAY_MS
"""A badge and a link certificate are valid this long: what a stolen device gains at most."""
REGIONAL_LIFE_MS: Final = 730 * _DAY_MS
"""A regional authority is valid for two years."""
ROOT_LIFE_MS: Final = 3_652 * _DAY_MS
"""A root is valid for ten years."""
CERTIFICATE_EARLY_MS: Final = _DAY_MS
"""A certificate is valid from this long before its issue: the device's clock may run a day slow."""


assert BUNDLE_BYTES_MAX < FRAME_BYTES_MAX
assert HEADER_BYTES_MAX + BODY_BYTES_MAX + 64 + 12 <= BUNDLE_BYTES_MAX
assert IDS_PER_FRAME_MAX * 8 + 64 < FRAME_BYTES_MAX
assert (SESSION_PING_MS + SESSION_PING_LATER_MS) * 2 < SESSION_IDLE_MS_MAX
assert PREKEY_RENEW_MS < PREKEY_END_MS < PREKEY_ERASE_MS
assert BACKOFF_FIRST_MS < BACKOFF_MS_MAX
assert STICK_SLOTS_MAX * 1_182 + 23 <= STICK_HEADER_BYTES_MAX
assert STICK_CHUNK_BYTES < STICK_READ_BYTES
assert HANDSHAKES_PER_ADDRESS_MAX < HANDSHAKES_MAX
assert BATCH_URGENT_MAX < BATCH_BUNDLES_MAX
