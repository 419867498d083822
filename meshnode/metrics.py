"""Counters of one node: how often what happened since it started.

Names are declared here with their meaning, so that the reference page can be checked against
them; counting an undeclared name is a defect of ours.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from protocol.ids import NodeId
from protocol.reports import Reception

__all__ = ["AUDITED", "METRICS", "QUIET_FATES", "Listener", "Metrics"]

Listener: TypeAlias = Callable[[str, int, NodeId | None], None]
"""Hears that a counter rose: its name, by how much, and about which device, if one is known."""

METRICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            f"bundles_{reception.name.lower()}": f"bundles received whose fate was {reception.name}"
            for reception in Reception
        },
        "bundles_dropped_delivered": "bundles dropped because a receipt covers them",
        "bundles_dropped_expired": "bundles dropped because their lifetime ended",
        "documents_refused": "authority documents refused",
        "documents_equivocal": "documents of one version that say different things: an alarm",
        "documents_accepted": "authority documents that came into force",
        "links_refused": "links dialled to us and closed unheard: no certificate, or too many",
        "knocks_refused": "connections closed unanswered: no knock, or a wrong, old or used one",
        "sessions_broken": "sessions ended because the peer broke a rule or fell silent",
        "peers_refused": "links whose badge was refused",
        "peers_restricted": "links whose peer got authority documents only: revoked, or expired",
        "messages_sent": "messages taken from this device's people",
        "messages_opened": "messages opened for this device's people",
        "messages_unopenable": "bundles for this device that nothing will ever open",
        "messages_revoked": "bundles for this device not opened because their author was revoked",
        "messages_expired": "own messages whose lifetime ended before every receipt",
        "receipts_made": "receipts written",
        "read_receipts_made": "read receipts written",
        "read_receipts_taken": "read receipts that told news of own messages",
        "cancels_made": "cancellations of own messages written",
        "cancels_obeyed": "messages withdrawn before anybody here saw them",
        "cancels_too_late": "messages taken back that somebody here had read",
        "cancels_refused": "cancellations cut short: their author takes back too many messages",
        "messages_again": "copies of messages that were known here, and not shown again",
        "messages_withdrawn": "messages that came after their cancellation, and are not shown",
        "receipts_refused": "receipts about own bundles that do not fit what was written",
        "key_requests_refused": "requests for chain keys that were malformed or by no reader",
        "keys_given": "chain keys handed to readers",
        "keys_requested": "requests for missing chain keys written",
        "chain_keys_reused": "messages under the used key of a chain, which are not opened again",
        "attachments_sent": "files taken in to go with a message",
        "attachments_delivered": "own files that everybody they are for has whole",
        "attachments_complete": "files of others that came whole, with the right hash",
        "attachments_damaged": "files of others whose chunks are not the file that was told of",
        "attachments_no_room": "chunks left on their way: this device keeps enough files already",
        "chunks_kept": "chunks of files of others kept here",
        "sheets_published": "reflex sheets that this node published, or published anew",
        "sheets_retracted": "reflex sheets that this node retracted",
        "sheets_catalogues": "catalogues of sheets of others that told something new",
        "sheets_destroyed": "reflex sheets destroyed here: retracted, or replaced by a newer one",
        "sheets_refused": "catalogues and chunks of sheets by authors who may not publish any",
        "sheets_damaged": "reflex sheets that were not what their catalogue told, asked for again",
        "sheets_not_renewed": "catalogues of this node that found no room to go out anew",
        "sheet_chunks_kept": "chunks of reflex sheets of others kept here",
        "logs_refused": "audit logs that were changed or cut, or are for others",
        "answers_refused": "signed answers on what is held: forged, cut or of strangers",
        "files_refused": "sealed files that were damaged or for others, of which nothing was taken",
        "prekeys_refused": "prekeys of others that cannot be sealed to",
        "unlocks_refused": "tries to unlock that were refused: a wrong secret, or no lease",
        "locks": "times that a person, or idleness, locked the agent's keys",
        "leases_ended": "times that the agent's keys locked because no beacon came in time",
        "rows_purged": "rows deleted because the time of their kind of data was over",
        "data_keys_dropped": "keys of whole days that a purge destroyed",
        "purges_put_off": "purges that a clock asked for which had jumped",
        "wipes_executed": "wipe orders about this device that it carried out",
        "wipes_unproven": "wipe orders carried out without a proof: none could be made or kept",
        "wipes_proven": "proofs that came of other devices having destroyed their keys",
        "seals_broken": "sealed rows that were damaged, moved, or without their key",
        "shifts_opened": "shifts opened on this device",
        "shifts_erased": "shifts whose keys and positions were erased here",
        "positions_made": "positions told to a squad",
        "positions_kept": "positions of others that were kept",
        "positions_refused": "opened positions refused: outside a shift, or by no member",
        "states_made": "states of this device told to a squad",
        "states_kept": "states of others that were kept",
        "states_refused": "opened states refused: dated ahead of themselves, or by no member",
        "tracks_made": "segments of this device's track made for the operations centre",
        "tracks_held_back": "segments that had to wait: no room, or the hour's quota used up",
        "tracks_kept": "segments of others that were kept at the centre",
        "tracks_refused": "opened segments refused: outside their shift, or by no member",
        "reports_held_back": "reports that were not made: no room, quota, or the shift just ended",
        "coverage_looks": "looks at the network that this device counted into the coverage map",
        "coverage_made": "times that this device told of the coverage of a shift that was over",
        "coverage_kept": "contributions of others that told the coverage map something new",
        "coverage_held_back": "contributions that had to wait: no room, or the quota used up",
        "coverage_refused": "contributions refused: dated wrongly, one too many, or by strangers",
        "uplink_claims_made": "claims told to the squad: through whom this device sends",
        "alarm_steps_made": "steps of alarms that this device's people signed",
        "alarm_steps_kept": "steps of alarms of others that were kept",
        "alarm_steps_ignored": "kept steps that count for nothing: forged, foreign, out of turn",
        "alarms_raised_shut": "alarms raised by the secret on a device that stayed shut",
        "alarms_repeated": "repeats of own alarms that nobody had taken",
        "network_keys_made": "weekly keys made by this operator's node",
        "network_keys_taken": "weekly keys taken from an operator",
        "network_keys_refused": "weekly keys refused: not from an operator, or of another zone",
        "line_bytes_sent": "bytes sent over serial ports, framing included",
        "line_frames_damaged": "frames of serial ports that came damaged",
        "forms_sent": "positions and alarms sent over serial ports without a session",
        "forms_heard": "frames heard on serial ports that a member sent without a session",
        "forms_repeated": "such frames that were heard lately, bit by bit",
        "forms_dropped": "such frames beyond what the node works off",
        "forms_unknown": "such frames of which too little is known here to restore the bundle",
        "forms_restored": "bundles restored from such frames",
        "forms_too_long": "positions and alarms that no such frame holds",
        "budget_refusals": "links not made, or cut, because the budget of their bearer is used up",
        "ports_failed": "times that a serial port could not be opened, or was unplugged",
        "sensor_readings": "readings of position, battery or coverage that passed every check",
        "sensor_refusals": "readings and sentences of sensors refused: garbled, or impossible",
        "sensor_failures": "times that a sensor was missing or broke, and is tried again",
        "target_sentences_sent": "sentences about mates sent to a plotter",
        "target_sentences_lost": "sentences about mates that the network did not take",
        "tak_connections": "connections made to the TAK server",
        "tak_connections_failed": "times that the TAK server could not be reached, or proven",
        "tak_events_sent": "events sent to the TAK server",
        "tak_events_taken": "events of the TAK server that the mesh or the map took",
        "tak_events_ignored": "events of the TAK server that nobody here asked for",
        "tak_events_refused": "events of the TAK server refused: malformed, too long or too many",
        "wakeups_timer": "times that a timer of the running node woke its sleeping process",
        "wakeups_other": "times that traffic, a command or the disk woke its sleeping process",
        "radio_ms_lan": "milliseconds that Wi-Fi or cable was awake for links: bursts and tails",
        "radio_ms_cellular": "milliseconds that the mobile radio was awake for links",
        "radio_ms_satellite": "milliseconds that the satellite modem was awake for links",
        "radio_ms_serial": "milliseconds that radios at serial ports were awake for links",
        "archive_bundles": "bundles put into the archive that it did not have",
        "archive_contents": "opened contents put into the archive that it did not have",
        "archive_again": "bundles and contents that the archive had from another gateway already",
        "archive_heard": "bundles and contents that other gateways told of on a shared archive",
        "archive_failures": "times that the archive did not answer, and is tried again",
        "archive_shed": "bundles not taken because the archive was too far behind",
        "archive_days_destroyed": "keys of the archive destroyed, each of a data class and day",
        "purge_logs_refused": "times that the purge log was found changed, cut off or forged",
        "archive_rows_purged": "rows of the archive deleted because their time was over",
        "archive_keys_refused": "files with the key of an archive that were refused",
        "archive_files_refused": "exports and answers of archives: forged, changed or of strangers",
        "spool_damaged": "rows that waited for the archive and were damaged",
        "hints": "sightings of possible peers",
        "hints_dropped": "sightings beyond what the node follows up",
        "mdns_failures": "times that multicast discovery broke and was started again",
        "mdns_ignored": "multicast announcements that name no place to dial",
        "mdns_untagged": "multicast announcements that no member made: wrong tag, or none",
        "session_defects": "sessions that a defect of this program ended; please report it",
        "web_signins": "times that a browser signed in to the screens",
        "web_signins_refused": "codes, tokens and secrets that the screens refused",
        "web_orders_refused": "steps towards a revocation or wipe that the screens refused",
        "web_requests_refused": "requests to the screens by nobody known, or from another site",
        "web_requests_shed": "requests to the screens that were too large, too slow, or too many",
        "web_streams_dropped": "event streams ended because their reader took nothing",
        "web_defects": "requests that a defect of this program ended; please report it",
        "rooms_restarted": "parts of the node that failed and were started again",
    }
)
"""Every counter and what it counts."""

QUIET_FATES: Final = frozenset(
    {Reception.STORED, Reception.DUPLICATE, Reception.SUPERSEDED, Reception.DELIVERED}
)
"""What becomes of most bundles every day: none of these is a refusal that anybody must explain."""
AUDITED: Final = frozenset(
    {
        *(
            f"bundles_{reception.name.lower()}"
            for reception in Reception
            if reception not in QUIET_FATES
        ),
        "coverage_refused",
        "documents_refused",
        "documents_equivocal",
        "documents_accepted",
        "links_refused",
        "knocks_refused",
        "peers_restricted",
        "mdns_untagged",
        "sessions_broken",
        "peers_refused",
        "messages_unopenable",
        "receipts_refused",
        "prekeys_refused",
        "key_requests_refused",
        "chain_keys_reused",
        "files_refused",
        "logs_refused",
        "answers_refused",
        "cancels_refused",
        "messages_revoked",
        "attachments_damaged",
        "sheets_refused",
        "sheets_damaged",
        "forms_unknown",
        "unlocks_refused",
        "locks",
        "leases_ended",
        "rows_purged",
        "wipes_executed",
        "wipes_unproven",
        "wipes_proven",
        "data_keys_dropped",
        "archive_shed",
        "archive_days_destroyed",
        "archive_keys_refused",
        "purge_logs_refused",
        "archive_files_refused",
        "spool_damaged",
        "purges_put_off",
        "seals_broken",
        "shifts_erased",
        "positions_refused",
        "states_refused",
        "tracks_refused",
        "alarm_steps_ignored",
        "network_keys_taken",
        "network_keys_refused",
        "tak_events_refused",
        "session_defects",
        "web_signins",
        "web_signins_refused",
        "web_orders_refused",
        "web_requests_refused",
        "web_defects",
    }
)
"""Counters that the audit log hears: each of these is a refusal, or changes what this device does.
"""


class Metrics:
    """The counters of one node."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        """Called after each rise, on the thread that counts; they must be quick and not raise."""
        self._counts: Counter[str] = Counter()
        # Worker threads count too, and adding is a read and a write.
        self._lock = threading.Lock()

    def count(self, name: str, by: int = 1, node: NodeId | None = None) -> None:
        """Add `by` to a declared counter; `node` is the device it is about, where one is known."""
        assert name in METRICS, f"metric {name} is not declared"
        with self._lock:
            self._counts[name] += by
        if by:
            for hear in self.listeners:
                hear(name, by, node)

    def value(self, name: str) -> int:
        """Return one counter."""
        assert name in METRICS, f"metric {name} is not declared"
        return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """Return every declared counter, zeros included, by name."""
        return {name: self._counts[name] for name in sorted(METRICS)}
