"""The loops of the oracle, compiled. They know arrays alone; `sims.oracle` says what they mean.

Source: temporal reachability, for example B. Bui Xuan, A. Ferreira and A. Jarry, "Computing
shortest, fastest, and foremost journeys in dynamic networks", IJFCS 14(2), 2003.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sims.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrivals_at_once", "arrivals_at_rate"]

Floats: TypeAlias = "NDArray[np.float64]"
Numbers: TypeAlias = "NDArray[np.int32]"
Places: TypeAlias = "NDArray[np.int64]"
Bits: TypeAlias = "NDArray[np.uint64]"
Tables: TypeAlias = "tuple[Bits, Bits, Bits, Bits]"
Links: TypeAlias = "tuple[Places, Places, Places, Numbers, Numbers]"
Room: TypeAlias = "tuple[Places, Places, NDArray[np.bool_]]"
Ways: TypeAlias = "tuple[Places, Floats, Floats, Floats, Numbers]"
Messages: TypeAlias = "tuple[Floats, Floats, Numbers, Numbers]"


# --- transfers that take no time: one sweep over the contacts, for all messages at once ---------
#
# A message is a bit; a node has a row of words. Between two events all nodes that are connected
# with each other hold the same bits, so only what an event brings is passed on.


@compiled
def arrivals_at_once(
    contacts: tuple[Floats, Floats, Numbers, Numbers],
    end_order: Places,
    messages: Messages,
    nodes: int,
) -> Floats:
    """Return the earliest arrival of each message, NaN where there is none in time.

    `contacts` are (start_s, end_s, a, b), ordered by start; `end_order` their places in the order
    of their ends; `messages` (created_s, deadline_s, source, destination), ordered by creation.
    Cost: O(contacts · words) and for each node that a message reaches the contacts it has then.
    """
    start_s, end_s, a, b = contacts
    created_s, deadline_s, source, destination = messages
    count = len(created_s)
    arrival_s = np.full(count, np.nan)
    bits = _bits(destination, nodes)
    alive = bits[3]
    links = _links(a, b, nodes)
    room = _room(nodes, len(alive))
    expiry = np.argsort(deadline_s)
    next_start, next_end, next_message, next_expiry, low = 0, 0, 0, 0, 0
    while next_start < len(a) or next_message < count:
        start = start_s[next_start] if next_start < len(a) else np.inf
        created = created_s[next_message] if next_message < count else np.inf
        now = min(start, created)
        # What ends now cannot be used now; what expires now can still arrive now.
        while next_end < len(a) and end_s[end_order[next_end]] <= now:
            _close(end_order[next_end], links)
            next_end += 1
        while next_expiry < count and deadline_s[expiry[next_expiry]] < now:
            _forget(expiry[next_expiry], alive)
            next_expiry += 1
        if next_expiry == count:
            break
        while low < next_message // 64 and alive[low] == 0:
            low += 1
        if created <= start:
            found, waiting = _write(next_message, source[next_message], bits, room), 1
            next_message += 1
        else:
            _open(next_start, links)
            one, other = a[next_start], b[next_start]
            found, waiting = _exchange(one, other, low, (next_message + 63) // 64, bits, room), 2
            _mark_arrived(one, found, now, bits, room, arrival_s)
            _mark_arrived(other, found, now, bits, room, arrival_s)
            next_start += 1
        if found:
            _spread(found, waiting, now, bits, links, room, arrival_s)
    return arrival_s


@compiled
def _bits(destination: Numbers, nodes: int) -> Tables:
    """Return what each node has, what of it is not passed on yet, what it waits for; and, for all
    nodes, what is written and neither delivered nor expired.
    """
    words = (len(destination) + 63) // 64
    have = np.zeros((nodes, words), np.uint64)
    fresh = np.zeros((nodes, words), np.uint64)
    wanted = np.zeros((nodes, words), np.uint64)
    for message in range(len(destination)):
        wanted[destination[message], message // 64] |= np.uint64(1) << np.uint64(message % 64)
    return have, fresh, wanted, np.zeros(words, np.uint64)


@compiled
def _room(nodes: int, words: int) -> Room:
    """Return room for the words with news, for the nodes that wait, and for whether they do."""
    return np.zeros(words, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.bool_)


@compiled
def _links(a: Numbers, b: Numbers, nodes: int) -> Links:
    """Return the lists of the contacts that are open, doubly linked, one for each node.

    Contact c is in the list of its a as 2c and in that of its b as 2c + 1.
    """
    head = np.full(nodes, -1, np.int64)
    following = np.full(2 * len(a), -1, np.int64)
    previous = np.full(2 * len(a), -1, np.int64)
    return head, following, previous, a, b


@compiled
def _open(contact: int, links: Links) -> None:
    head, following, previous, a, b = links
    for half in (2 * contact, 2 * contact + 1):
        node = a[contact] if half % 2 == 0 else b[contact]
        following[half] = head[node]
        previous[half] = -1
        if head[node] >= 0:
            previous[head[node]] = half
        head[node] = half


@compiled
def _close(contact: int, links: Links) -> None:
    head, following, previous, a, b = links
    for half in (2 * contact, 2 * contact + 1):
        node = a[contact] if half % 2 == 0 else b[contact]
        if previous[half] >= 0:
            following[previous[half]] = following[half]
        else:
            head[node] = following[half]
        if following[half] >= 0:
            previous[following[half]] = previous[half]


@compiled
def _forget(message: int, alive: Bits) -> None:
    alive[message // 64] &= ~(np.uint64(1) << np.uint64(message % 64))


@compiled
def _write(message: int, source: int, bits: Tables, room: Room) -> int:
    """Give a message to its source; return how many words hold news."""
    have, fresh, _, alive = bits
    news, waiting, is_waiting = room
    word, bit = message // 64, np.uint64(1) << np.uint64(message % 64)
    alive[word] |= bit
    have[source, word] |= bit
    fresh[source, word] |= bit
    news[0], waiting[0] = word, source
    is_waiting[source] = True
    return 1


@compiled
def _exchange(one: int, other: int, low: int, high: int, bits: Tables, room: Room) -> int:
    """Give each of two nodes what the other has; return how many words hold news."""
    have, fresh, _, alive = bits
    news, waiting, is_waiting = room
    found = 0
    for word in range(low, high):
        differing = (have[one, word] ^ have[other, word]) & alive[word]
        if differing:
            news[found] = word
            found += 1
            fresh[one, word] = differing & have[other, word]
            fresh[other, word] = differing & have[one, word]
            have[one, word] |= differing
            have[other, word] |= differing
    if found:
        waiting[0], waiting[1] = one, other
        is_waiting[one] = True
        is_waiting[other] = True
    return found


@compiled
def _mark_arrived(
    node: int, found: int, now: float, bits: Tables, room: Room, arrival_s: Floats
) -> None:
    """Note what among the news of a node is for it, and let it live no longer."""
    _, fresh, wanted, alive = bits
    for place in range(found):
        word = room[0][place]
        here = fresh[node, word] & wanted[node, word] & alive[word]
        if here:
            alive[word] &= ~here
            for bit in range(64):
                if (here >> np.uint64(bit)) & np.uint64(1):
                    arrival_s[64 * word + bit] = now


@compiled
def _spread(
    found: int,
    count: int,
    now: float,
    bits: Tables,
    links: Links,
    room: Room,
    arrival_s: Floats,
) -> None:
    """Pass on the news of `count` waiting nodes, over all contacts that are open."""
    fresh = bits[1]
    head, following, _, a, b = links
    news, waiting, is_waiting = room
    while count:
        count -= 1
        node = waiting[count]
        is_waiting[node] = False
        half = head[node]
        while half >= 0:
            peer = b[half // 2] if half % 2 == 0 else a[half // 2]
            half = following[half]
            if _pass_on(node, peer, found, bits, news):
                _mark_arrived(peer, found, now, bits, room, arrival_s)
                if not is_waiting[peer]:
                    waiting[count] = peer
                    is_waiting[peer] = True
                    count += 1
        for place in range(found):
            fresh[node, news[place]] = 0


@compiled
def _pass_on(node: int, peer: int, found: int, bits: Tables, news: Places) -> bool:
    """Give the news of a node to a peer; return whether anything was new there."""
    have, fresh, _, alive = bits
    is_new = False
    for place in range(found):
        word = news[place]
        missing = fresh[node, word] & alive[word] & ~have[peer, word]
        if missing:
            have[peer, word] |= missing
            fresh[peer, word] |= missing
            is_new = True
    return is_new


# --- transfers that take time: one search for each message --------------------------------------


@compiled
def arrivals_at_rate(
    ways: Ways,
    messages: Messages,
    hop_s: Floats,
    earliest_s: Floats,
    nodes: int,
) -> Floats:
    """Return the earliest arrival of each message when a hop takes `hop_s`, NaN where none.

    `ways` are (first, start_s, end_s, reach_s, peer): the contacts of node n are those from
    first[n] to first[n + 1], ordered by start, and reach_s is the latest end up to each of them.
    `earliest_s` is a lower bound of each arrival, NaN where it is known that there is none.
    Cost: for each message the contacts, within its time, of the nodes that it reaches.
    """
    created_s, deadline_s, source, destination = messages
    arrival_s = np.full(len(created_s), np.nan)
    best_s = np.full(nodes, np.inf)
    for message in range(len(created_s)):
        if np.isnan(earliest_s[message]):
            continue
        # Most arrive soon after the lower bound; the wide search is for those that do not.
        slack_s = 2.0 * hop_s[message]
        found_s, limit_s = np.inf, -np.inf
        while found_s == np.inf and limit_s < deadline_s[message]:
            limit_s = min(deadline_s[message], earliest_s[message] + slack_s)
            slack_s = 8.0 * slack_s + 1.0
            found_s = _search(
                ways,
                source[message],
                destination[message],
                created_s[message],
                limit_s,
                hop_s[message],
                best_s,
            )
        if found_s < np.inf:
            arrival_s[message] = found_s
    return arrival_s


@compiled
def _search(
    ways: Ways,
    source: int,
    destination: int,
    created_s: float,
    limit_s: float,
    hop_s: float,
    best_s: Floats,
) -> float:
    """Return when a message can be at its destination by `limit_s`; infinity where it cannot.

    `best_s` holds infinity for all nodes, before and after. Source: Dijkstra over intervals; a
    copy that arrives earlier is never worse, because it can wait.
    """
    first, start_s, end_s, reach_s, peer = ways
    best_s[source] = created_s
    touched = [source]
    heap = [(created_s, source)]
    while heap:
        now, node = heappop(heap)
        if node == destination:
            break
        # Older entries of a node that was reached sooner since are passed over.
        last = first[node + 1] if now == best_s[node] else first[node]
        way = first[node] + np.searchsorted(reach_s[first[node] : last], now + hop_s)
        while way < last and start_s[way] + hop_s <= limit_s:
            begin, other = max(now, start_s[way]), peer[way]
            there = begin + hop_s
            is_open = begin < end_s[way] and there <= end_s[way]
            if is_open and there <= limit_s and there < best_s[other]:
                best_s[other] = there
                touched.append(other)
                heappush(heap, (there, other))
                if other == destination:
                    limit_s = there
            way += 1
    found_s = float(best_s[destination])
    for node in touched:
        best_s[node] = np.inf
    return found_s
