"""Bounds of the security rules: knocks, standing, documents, quotas, keys at rest, shifts, audit.

Each constant has its unit in its name and its reason beside it, as in `protocol.limits`; nothing
here is negotiable on the wire. Source: security 2.1-2.14.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_ITERATIONS",
    "AGENT_ITERATIONS_MAX",
    "AGENT_LANES",
    "AGENT_LANES_MAX",
    "AGENT_MEMORY_KIB",
    "AGENT_MEMORY_KIB_MAX",
    "ALARM_AUTHOR_STEPS_MAX",
    "ALARM_KEEP_MS",
    "ALARM_LIST_MAX",
    "ALARM_MOVED_M",
    "ALARM_REPEAT_EVERY_MS",
    "ALARM_REPEAT_MS",
    "ALARM_SEEN_MAX",
    "ALARM_SPARE",
    "ATTACHMENTS_KEEP_BYTES_MAX",
    "ATTACHMENT_BYTES_MAX",
    "ATTACHMENT_NAME_BYTES_MAX",
    "ATTACHMENT_PIECES_PER_WRITE",
    "AUDIT_FLUSH_MS",
    "AUDIT_HEAD_MS",
    "AUDIT_KEEP_MS",
    "AUDIT_NODES_MAX",
    "AUDIT_ROWS_MAX",
    "AUDIT_STEP_MS",
    "BACKUP_BYTES_MAX",
    "BACKUP_CHUNK_BYTES",
    "BACKUP_DEPTH_MAX",
    "BACKUP_FILES_MAX",
    "BACKUP_NAME_BYTES_MAX",
    "BEACON_AMBER_MS",
    "BEACON_JUMP_MS_MAX",
    "CANCELS_OF_AUTHOR_MAX",
    "CHUNKS_MAX",
    "CHUNK_BYTES",
    "CHUNK_BYTES_MAX",
    "CHUNK_BYTES_MIN",
    "CLOCK_AGREE_MS",
    "CLOCK_JUMP_MS_MAX",
    "CLOCK_LAG_MS_MAX",
    "CLOCK_MARKS_MAX",
    "CLOCK_MARK_MS",
    "CONTACT_KEEP_MS",
    "CONTROL_GRACE_MS",
    "COPIES_OF_MESSAGE_MAX",
    "DATA_KEYS_CACHED_MAX",
    "ERASURES_HELD_MAX",
    "EVIDENCE_KEEP_MS",
    "KNOCKED_PER_ADDRESS_MAX",
    "KNOCKS_KEPT_MAX",
    "KNOCK_KEYS_MAX",
    "KNOCK_MS_MAX",
    "KNOCK_OLD_EPOCHS_MAX",
    "LEASE_BOX_MS",
    "LEASE_MS",
    "MANIFEST_BYTES_MAX",
    "NETWORK_EPOCH_MS",
    "NETWORK_KEYS_LEAD_MS",
    "NETWORK_KEYS_PER_EPOCH_MAX",
    "NETWORK_KEYS_RANK_MS",
    "OUT_OF_REACH_MS",
    "PASSES_HELD_MAX",
    "PASSES_OF_UNIT_MAX",
    "PASS_MS_MAX",
    "PHOTO_HEAD_BYTES_MAX",
    "PHOTO_PIXELS_MAX",
    "POSITION_KEEP_MS",
    "PQ_KEY_BYTES",
    "PURGE_PERIOD_MS",
    "QUOTA_AHEAD_MAX",
    "QUOTA_BULK_SHARE_BYTES",
    "QUOTA_CENTRE_BULK_FACTOR",
    "QUOTA_CENTRE_FACTOR",
    "QUOTA_CENTRE_SHARE_BYTES",
    "QUOTA_HOURS_KEPT",
    "QUOTA_HOUR_BULK",
    "QUOTA_HOUR_BULK_BYTES",
    "QUOTA_HOUR_BUNDLES",
    "QUOTA_HOUR_BYTES",
    "QUOTA_HOUR_POSITIONS",
    "QUOTA_HOUR_SOS",
    "QUOTA_HOUR_STATES",
    "QUOTA_HOUR_TEXTS",
    "QUOTA_SHARE_BYTES",
    "QUOTA_SOS_BYTES",
    "READ_DELAY_MS",
    "READ_MESSAGES_MAX",
    "READ_TELL_MS",
    "REMNANT_BYTES_MAX",
    "REMNANT_CONTACT_MS",
    "REMNANT_ORDERS_MAX",
    "REMNANT_PLACES_MAX",
    "RESEND_BUDGET_PCT",
    "REVOCATIONS_MAX",
    "REVOKED_LISTED_MS",
    "SECRET_CHARACTERS_MAX",
    "SECRET_CHARACTERS_MIN",
    "SECRET_DELAY_MS",
    "SECRET_DELAY_MS_MAX",
    "SECRET_TRIES_FREE",
    "SESSIONS_OF_CENTRE_MAX",
    "SHIFT_MS_MAX",
    "SOS_OLD_EPOCHS_MAX",
    "STRANGERS_BYTES_MAX",
    "STRANGERS_LINKS_MAX",
    "STRANGERS_PER_LINK_MAX",
    "TEXT_KEEP_MS",
    "THUMBNAIL_BYTES_MAX",
    "THUMBNAIL_SIDE_MAX",
    "UNIT_LIFE_MS",
    "WIPES_HELD_MAX",
    "WIPE_CARRY_MS",
    "WIPE_DEVICES_MAX",
    "ZONE_CARDS_MAX",
]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

# --- knocks ------------------------------------------------------------------------------------
KNOCK_KEYS_MAX: Final = 4
"""Keys of one week that are tried: one per centre that made some while they were out of touch."""
KNOCK_MS_MAX: Final = 2_000
"""From the connection to the last byte of its knock: one round trip and a slow radio."""
KNOCKED_PER_ADDRESS_MAX: Final = 16
"""Unfinished handshakes of one IP address after a good knock: half of all (decision 65)."""
KNOCKS_KEPT_MAX: Final = 131_072
"""Knocks remembered against replay, 16 bytes each: 13 a minute through a whole week."""

# --- standing ----------------------------------------------------------------------------------
CONTROL_GRACE_MS: Final = 14 * _DAY_MS
"""A badge that ended so long ago still gets authority documents, and nothing else."""
LEASE_MS: Final = 7 * _DAY_MS
"""Without a new beacon the agent's keys lock after this time; on boats `LEASE_BOX_MS`."""
LEASE_BOX_MS: Final = 30 * _DAY_MS
"""The same for boxes and servers, which may be at sea for weeks."""
BEACON_AMBER_MS: Final = _DAY_MS
"""A beacon older than this is shown in amber: what the centre decided since is not known here."""
BEACON_JUMP_MS_MAX: Final = 48 * _HOUR_MS
"""Beyond this lead over the local clock a time needs a second signer: one key ages no fleet."""

# --- authority documents -----------------------------------------------------------------------
REVOCATIONS_MAX: Final = 1_000
"""Entries of one signer's list: twenty times what a fleet of 18,000 loses in 104 days."""
WIPE_DEVICES_MAX: Final = 10
"""Devices of one wipe order: nobody erases a fleet with one document."""
ZONE_CARDS_MAX: Final = 3
"""Operators' cards of a further zone: each takes 4 kB of its request, and of the root."""
REVOKED_LISTED_MS: Final = 104 * _DAY_MS
"""So long rosters go on naming a revoked device, by whose key its good bundles are checked: until
its badge has ended with its grace, which is longer than any bundle lives."""
WIPE_CARRY_MS: Final = 90 * _DAY_MS
"""A wipe order and its proofs are carried this long: as long as a badge lives."""
PQ_KEY_BYTES: Final = 1_952
"""Raw ML-DSA-65 public key (FIPS 204)."""
REMNANT_ORDERS_MAX: Final = 10
"""Orders about one device whose proofs it still delivers once it is wiped; one is usual."""
REMNANT_BYTES_MAX: Final = 2_097_152
"""What a wiped device keeps: those orders, as many proofs, the root, all of the largest size."""
REMNANT_PLACES_MAX: Final = 64
"""Places at which a wiped device tries to deliver its proof: those met last, and those sighted."""
REMNANT_CONTACT_MS: Final = 30_000
"""A contact of a wiped device ends after this time: it has three documents to give."""
WIPES_HELD_MAX: Final = 100
"""Wipe orders that a node holds: a thousand devices in 90 days, far more than are ever lost."""
ERASURES_HELD_MAX: Final = 1_000
"""Proofs of erasure that a node holds: one for each device of all those orders."""
PASSES_HELD_MAX: Final = 500
"""Passes that a node holds: newcomers of half a day in six zones."""
PASSES_OF_UNIT_MAX: Final = 100
"""Of them, passes of one unit authority: whoever stole its key must not keep all others out."""
PASS_MS_MAX: Final = 12 * _HOUR_MS
"""A pass makes a device a member for one shift; after it the roster must name it."""
UNIT_LIFE_MS: Final = 30 * _DAY_MS
"""A unit authority, which a leader holds in the field, is valid this long."""

# --- shifts ------------------------------------------------------------------------------------
SHIFT_MS_MAX: Final = 12 * _HOUR_MS
"""A shift ends at the latest after this time, closed or not."""
POSITION_KEEP_MS: Final = 60 * _DAY_MS
"""The centre keeps positions this long: two months is the usual limit for places of work."""

# --- keys that many share ----------------------------------------------------------------------
NETWORK_EPOCH_MS: Final = 7 * _DAY_MS
"""Knock and SOS keys are for one week: a key that leaked tells nothing for longer."""
NETWORK_KEYS_LEAD_MS: Final = 2 * _DAY_MS
"""The keys of a week are made so long before it, to reach devices that are met rarely."""
NETWORK_KEYS_RANK_MS: Final = _DAY_MS
"""Each further operator of a zone waits so much longer: mostly one alone makes the keys."""
NETWORK_KEYS_PER_EPOCH_MAX: Final = 4
"""Keys of one purpose and week that are kept: as many operators may have missed each other."""
KNOCK_OLD_EPOCHS_MAX: Final = 3
"""Knock keys of so many past weeks are accepted: a device may be away for a month."""
SOS_OLD_EPOCHS_MAX: Final = 3
"""SOS keys of so many past weeks are kept: whoever is let in by an old knock key is heard too."""

# --- quotas ------------------------------------------------------------------------------------
QUOTA_HOUR_BUNDLES: Final = 520
"""Bundles of one author stamped within one hour, SOS and bulk apart: the three kinds below."""
QUOTA_HOUR_POSITIONS: Final = 150
"""Positions among them: one every 30 s are 120."""
QUOTA_HOUR_STATES: Final = 270
"""States (one every 30 s are 120), receipts, keys, key requests and the like among them."""
QUOTA_HOUR_TEXTS: Final = 100
"""Texts and notes among them: nobody types more than one in 36 s for an hour."""
QUOTA_HOUR_BYTES: Final = 1_048_576
"""Containers of one author stamped within one hour, SOS and bulk apart."""
QUOTA_HOUR_BULK: Final = 1_024
"""Chunks and pieces of tracks of one author stamped within one hour: beside all others."""
QUOTA_HOUR_BULK_BYTES: Final = 25_165_824
"""Containers of these: five photos of 4 MB at once, the largest file of 50 MB in three hours."""
QUOTA_BULK_SHARE_BYTES: Final = 67_108_864
"""Bulk of one author that a store holds, and takes in within one hour: one file of 50 MB and its
rows fit; of the default store it is a thirtieth."""
QUOTA_CENTRE_BULK_FACTOR: Final = 4
"""Gateways and operators send so many times as much bulk: a procedure to each of a few squads."""
QUOTA_HOUR_SOS: Final = 24
"""SOS of one author stamped within one hour, alarms and steps, charged to nothing else.

Somebody who answers five alarms of an hour signs three or four steps of each.

The author's device keeps what is beyond, says so, and seals it in the next hour.
"""
ALARM_AUTHOR_STEPS_MAX: Final = 64
"""Steps of one author that are kept of one alarm; nobody needs more than a dozen."""
ALARM_SEEN_MAX: Final = 8
"""A device signs by itself that it saw an alarm only while so few did; mates always do.

A whole zone of 3,000 screens would else answer each alarm with 3,000 bundles.
"""
ALARM_LIST_MAX: Final = 500
"""Alarms shown at most, the latest touched first."""
ALARM_REPEAT_MS: Final = (60_000, 120_000, 300_000)
"""An alarm that nobody takes is looked at anew so long after it was raised."""
ALARM_REPEAT_EVERY_MS: Final = 600_000
"""And then every ten minutes."""
ALARM_MOVED_M: Final = 100
"""A repeat tells a place that is so far from the one told before, metres."""
ALARM_SPARE: Final = 12
"""Of an hour's SOS so many are left to people: what a device signs by itself takes none of them."""
QUOTA_SHARE_BYTES: Final = 10_485_760
"""Of one author, SOS and bulk apart, a store holds at most so much, and takes in no more an hour.

Stamps can be set back as far as a lifetime, so this and not the hour bounds a liar in all.
"""
QUOTA_SOS_BYTES: Final = 262_144
"""SOS of one author that a store holds: 16 of the longest, 500 usual ones; none is evicted."""
QUOTA_CENTRE_FACTOR: Final = 40
"""Gateways and operators write so many times as much: two receipts an hour for 3,000 devices."""
QUOTA_CENTRE_SHARE_BYTES: Final = 104_857_600
"""Of one gateway or operator a store holds at most so much: a twentieth of the default store."""
QUOTA_HOURS_KEPT: Final = 48
"""Hours of stamps that are counted; what is older is bounded by the share alone."""
QUOTA_AHEAD_MAX: Final = 256
"""Bundles of one author dated more than 10 min ahead that are held until they are due."""
STRANGERS_PER_LINK_MAX: Final = 64
"""Bundles of unknown authors that one link may leave here until a roster tells who they are."""
STRANGERS_BYTES_MAX: Final = 524_288
"""Containers of such bundles of one link: what one batch may have."""
STRANGERS_LINKS_MAX: Final = 64
"""Links that are remembered so: as many as there are sessions; 32 MB in all."""

# --- attachments -------------------------------------------------------------------------------
ATTACHMENT_BYTES_MAX: Final = 52_428_800
"""One attached file: 50 MB in the words of people, be they of a thousand or of 1,024."""
CHUNK_BYTES: Final = 32_768
"""Piece of a file in one bundle. A contact that breaks wastes at most one and what the link holds,
under 100 kB, 3 % of 20 MB in six breaks; a header and a row of 500 bytes cost 1.5 %."""
CHUNK_BYTES_MIN: Final = 16_384
"""Smaller pieces cost more in headers, rows and reconciliation than breaks can save."""
CHUNK_BYTES_MAX: Final = 61_440
"""The largest piece whose bundle fits."""
CHUNKS_MAX: Final = 2_048
"""Chunks of one file: the index of suite 1 ends here."""
ATTACHMENT_NAME_BYTES_MAX: Final = 120
"""UTF-8 bytes of the name of an attached file; file systems take 255."""
THUMBNAIL_BYTES_MAX: Final = 6_000
"""A thumbnail rides in the message: 5 s on a line of 9.6 kbit/s."""
THUMBNAIL_SIDE_MAX: Final = 256
"""Pixels of its longer side: what unpacks it needs 200 kB, whatever its bytes claim."""
MANIFEST_BYTES_MAX: Final = 6_400
"""What a message with a file has more than one without: thumbnail, name, key, hash, numbers."""
ATTACHMENT_PIECES_PER_WRITE: Final = 16
"""Pieces kept, or made into bundles, in one transaction: 0.5 MB, so that a text waits 50 ms."""
ATTACHMENTS_KEEP_BYTES_MAX: Final = 1_000_000_000
"""Pieces that a device keeps of all files together; beyond, further ones are left on their way."""
RESEND_BUDGET_PCT: Final = 150
"""Of its size one file may cost towards one device over links that cost money, %."""
PHOTO_PIXELS_MAX: Final = 50_000_000
"""Pixels of a photo that a thumbnail is made of: as many as phones take, 150 MB unpacked."""
PHOTO_HEAD_BYTES_MAX: Final = 1_048_576
"""One segment or chunk of a photo that is looked at for a position; those of JPEG end at 64 kB."""

# --- clocks ------------------------------------------------------------------------------------
CLOCK_JUMP_MS_MAX: Final = 48 * _HOUR_MS
"""A local clock that leads its own uptime by more than this is doubted: nothing is destroyed."""
CLOCK_AGREE_MS: Final = _DAY_MS
"""After this much uptime without another jump a doubted clock is believed."""
CLOCK_LAG_MS_MAX: Final = 600_000
"""A wall clock that lost more than this against uptime was set back: residence counts then."""
CLOCK_MARK_MS: Final = _HOUR_MS
"""How exactly the residence of bundles is known: one mark is made in this time of uptime."""
CLOCK_MARKS_MAX: Final = 2_160
"""Marks kept: one per hour of the longest lifetime."""

# --- audit -------------------------------------------------------------------------------------
AUDIT_STEP_MS: Final = 60_000
"""The same event about the same node is one entry, with its count, for this long."""
AUDIT_NODES_MAX: Final = 64
"""Nodes named apart for one event in that time; more are counted together, unnamed."""
AUDIT_FLUSH_MS: Final = 1_000
"""Entries are on the disk after this time at the latest: so much a pulled battery loses."""
AUDIT_ROWS_MAX: Final = 20_000
"""Entries kept, about 3 MB; the hash of the last one that went keeps the chain checkable."""
AUDIT_HEAD_MS: Final = _DAY_MS
"""The head of the log goes to the centre this often, so that a cut log is noticed there."""

assert QUOTA_HOUR_POSITIONS + QUOTA_HOUR_STATES + QUOTA_HOUR_TEXTS == QUOTA_HOUR_BUNDLES
assert QUOTA_HOUR_BYTES < QUOTA_SHARE_BYTES < QUOTA_CENTRE_SHARE_BYTES
assert QUOTA_SOS_BYTES < QUOTA_SHARE_BYTES
assert QUOTA_HOUR_BULK_BYTES < QUOTA_BULK_SHARE_BYTES
assert CHUNK_BYTES_MIN <= CHUNK_BYTES <= CHUNK_BYTES_MAX
assert ATTACHMENT_BYTES_MAX <= CHUNK_BYTES * CHUNKS_MAX
assert QUOTA_BULK_SHARE_BYTES > ATTACHMENT_BYTES_MAX + CHUNKS_MAX * 500
assert CLOCK_AGREE_MS < CLOCK_JUMP_MS_MAX
# --- keys at rest ------------------------------------------------------------------------------
SECRET_CHARACTERS_MIN: Final = 12
"""Five short words. Without a hardware value the length of the secret is the only wall."""
SECRET_CHARACTERS_MAX: Final = 1_024
"""Longer is no secret that a person types."""
AGENT_MEMORY_KIB: Final = 65_536
"""Memory of one guess at the secret: 64 MiB is what a cheap phone can spare."""
AGENT_ITERATIONS: Final = 3
"""Passes over that memory: about 0.2 s of one core for each guess."""
AGENT_LANES: Final = 4
"""Lanes of one guess; phones have four cores."""
BACKUP_CHUNK_BYTES: Final = 262_144
"""Sealed at a time: the memory that a backup takes, and what one damaged byte can hide at most."""
BACKUP_BYTES_MAX: Final = 1 << 40
"""A backup that claims a larger file is refused before any disk is filled."""
BACKUP_FILES_MAX: Final = 20_000
"""Files of one home; a home has some dozens, and with its files of photos some thousands."""
BACKUP_NAME_BYTES_MAX: Final = 1_024
"""Of a file's place below the home."""
BACKUP_DEPTH_MAX: Final = 8
"""Folders inside each other; a home has three."""
AGENT_MEMORY_KIB_MAX: Final = 1_048_576
"""A file of keys that asks for more than 1 GiB is refused: it would end the process."""
AGENT_ITERATIONS_MAX: Final = 16
"""A file of keys that asks for more passes is refused: nobody waits so long."""
AGENT_LANES_MAX: Final = 16
"""A file of keys that asks for more lanes is refused."""
SECRET_TRIES_FREE: Final = 5
"""Wrong secrets in a row before the next one has to wait."""
SECRET_DELAY_MS: Final = 1_000
"""First wait; it doubles with each further wrong secret."""
SECRET_DELAY_MS_MAX: Final = _HOUR_MS
"""Longest wait: an agent who comes back after a shift can always try."""
DATA_KEYS_CACHED_MAX: Final = 512
"""Data keys kept ready in memory: fifty days of every kind."""

# --- what became of messages --------------------------------------------------------------------
READ_DELAY_MS: Final = 10_000
"""Read receipts wait this long: one bundle tells what is read in one go, and no exact moment."""
READ_MESSAGES_MAX: Final = 500
"""Messages that one read receipt names, the newest: 2.5 kB at most, where no two are in a row."""
READ_TELL_MS: Final = 9 * _DAY_MS
"""Reading is told until so long after a message's life: people read late, and answers travel."""
CANCELS_OF_AUTHOR_MAX: Final = 2_048
"""Texts of one author remembered as taken back: a day's quota; its cancellations name no more."""
COPIES_OF_MESSAGE_MAX: Final = 8
"""Times that one message can be sent again."""
OUT_OF_REACH_MS: Final = 15 * 60_000
"""Silence of a mate after which it counts as out of reach: thirty of its states are missing."""

# --- contacts -----------------------------------------------------------------------------------
SESSIONS_OF_CENTRE_MAX: Final = 512
"""Sessions of a gateway at the same time: coverage brings the 500 devices of a region at once."""

# --- how long things are kept ------------------------------------------------------------------
TEXT_KEEP_MS: Final = 30 * _DAY_MS
"""A message stays readable this long after the day on which its life ended: one month's work."""
ALARM_KEEP_MS: Final = 180 * _DAY_MS
"""An SOS stays longer: what happened is asked about for months."""
CONTACT_KEEP_MS: Final = 60 * _DAY_MS
"""Who was met where tells where the agent was: as long as a position, and no longer."""
EVIDENCE_KEEP_MS: Final = 365 * _DAY_MS
"""Proof of a double signature is needed by an inquiry, which begins within a year."""
AUDIT_KEEP_MS: Final = 365 * _DAY_MS
"""The audit log answers the same inquiries."""
PURGE_PERIOD_MS: Final = _HOUR_MS
"""Time between two purges of a running node: a day's key goes within the hour after its time."""

assert KNOCK_OLD_EPOCHS_MAX * NETWORK_EPOCH_MS < LEASE_BOX_MS
assert LEASE_MS < LEASE_BOX_MS < WIPE_CARRY_MS
assert BEACON_AMBER_MS < LEASE_MS
assert SECRET_DELAY_MS < SECRET_DELAY_MS_MAX
assert AGENT_MEMORY_KIB <= AGENT_MEMORY_KIB_MAX
assert TEXT_KEEP_MS < POSITION_KEEP_MS < ALARM_KEEP_MS
assert NETWORK_KEYS_LEAD_MS + NETWORK_KEYS_RANK_MS < NETWORK_EPOCH_MS
