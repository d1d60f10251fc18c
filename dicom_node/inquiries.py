"""Asks the peers that send studies how much of them they hold: whom and when, in threads of its own.

Asking keeps nobody waiting. A peer is asked one question at a time, about one study less and less often, and not at
all for a while when it did not answer; what it does not say is decided by quiet time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dicom_node.domain.delivery import Destination, doubled_s
from dicom_node.domain.errors import NodeError
from dicom_node.domain.study import Sender, StudyActivity
from dicom_node.intake import Holding

_LOGGER = logging.getLogger(__name__)

#: Between two questions about one study, when there is news of it.
LEAST_PAUSE_S = 0.5
#: The same without news; doubled with each question.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
#: Before a peer that did not answer is asked again about any study; doubled as long as it does not.
FIRST_SILENCE_S = 5.0
LONGEST_SILENCE_S = 300.0
#: What was said of a study is known so long, so that a count that grows is recognised when late images come.
_REMEMBERED_S = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The latest question about a study to one peer."""

    #: By the clock of `Inquiries`.
    at: float
    #: Its place among those since the last news, from 1 on.
    number: int
    received_count: int
    #: An association that sent images of the study was open.
    while_open: bool


def is_news(asked: Asked, holding: Holding | None, received_count: int, *, is_open: bool) -> bool:
    """Whether an answer may be another one now: the last association has closed, or images came and none is open,
    or as much is there as the peer was known to hold."""
    has_closed = asked.while_open and not is_open
    has_more = received_count != asked.received_count
    is_all = holding is not None and received_count == holding.instance_count
    return has_closed or (has_more and (is_all or not is_open))


@dataclass(slots=True)
class _Peer:
    """A peer as one that answers, or does not."""

    destination: Destination
    is_busy: bool = False
    failures: int = 0
    silent_until: float = 0.0


@dataclass(slots=True)
class _Memory:
    """One study at one peer that was asked about it."""

    asked: Asked
    holding: Holding | None = None


class Inquiries:
    """Knows what peers hold of studies, and asks them. Safe for many threads.

    `peers` may be asked, by the AE title they call with. `count` asks one of them about a Study Instance UID, and takes
    as long as it takes; it raises NodeError when there is no answer. `on_answer` runs after each answer, in its thread.
    """

    def __init__(
        self,
        peers: Mapping[str, Destination],
        count: Callable[[Destination, str], int],
        on_answer: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = {ae_title: _Peer(destination) for ae_title, destination in peers.items()}
        self._count = count
        self._on_answer = on_answer
        self._clock = clock
        self._changed = threading.Condition()
        self._memories: dict[tuple[str, str], _Memory] = {}

    def about(self, activity: StudyActivity, *, is_open: bool, quiet_s: float) -> tuple[Holding, ...]:
        """What the senders of a study have answered so far. Asks those that are due and free, and waits for none."""
        now = self._clock()
        answers = []
        with self._changed:
            self._forget(now)
            for sender in activity.senders:
                peer = self._peers.get(sender.calling_ae_title)
                if peer is None:
                    continue
                key = (activity.study_instance_uid, sender.calling_ae_title)
                memory = self._memories.get(key)
                if memory is not None and memory.holding is not None:
                    answers.append(memory.holding)
                asked = _next_question(memory, sender.instance_count, is_open=is_open, quiet_s=quiet_s, now=now)
                if asked is not None and not peer.is_busy and now >= peer.silent_until:
                    memory = self._memories.setdefault(key, _Memory(asked))
                    peer.is_busy, memory.asked = True, asked
                    self._begin(peer, memory, activity.study_instance_uid, sender)
        return tuple(answers)

    def stop(self, grace_s: float) -> None:
        """Let questions under way be answered within `grace_s`; nothing depends on it. Ask `about` nothing any more."""
        with self._changed:
            self._changed.wait_for(lambda: not any(peer.is_busy for peer in self._peers.values()), grace_s)

    def _forget(self, now: float) -> None:
        old = [key for key, known in self._memories.items() if now - known.asked.at > _REMEMBERED_S]
        for key in old:
            del self._memories[key]

    def _begin(self, peer: _Peer, memory: _Memory, study_instance_uid: str, sender: Sender) -> None:
        # a daemon, since the node must be able to stop while a peer is silent
        name = f"ask {peer.destination.name}"
        threading.Thread(
            target=self._ask, args=(peer, memory, study_instance_uid, sender), name=name, daemon=True
        ).start()

    def _ask(self, peer: _Peer, memory: _Memory, study_instance_uid: str, sender: Sender) -> None:
        try:
            count = self._count(peer.destination, study_instance_uid)
        except NodeError as error:
            self._note_silence(peer, error)
        else:
            with self._changed:
                earlier = None if memory.holding is None else memory.holding.instance_count
                ours = (sender.calling_ae_title, count, sender.instance_count, earlier)
                memory.holding = Holding(peer.destination.name, *ours)
                memory.asked = replace(memory.asked, at=self._clock())  # a slow peer has its pauses, too
                peer.failures = 0
        finally:
            with self._changed:
                peer.is_busy = False
                self._changed.notify_all()
        if not peer.failures:
            self._on_answer()

    def _note_silence(self, peer: _Peer, error: NodeError) -> None:
        with self._changed:
            peer.failures += 1
            silence_s = doubled_s(peer.failures, FIRST_SILENCE_S, LONGEST_SILENCE_S)
            peer.silent_until = self._clock() + silence_s
        _LOGGER.warning(
            "Studies from %s settle by quiet time for the next %.0f s: %s",
            peer.destination.name,
            silence_s,
            error,
            extra={"action": "peer_not_counted"},
        )


def _next_question(
    memory: _Memory | None, received_count: int, *, is_open: bool, quiet_s: float, now: float
) -> Asked | None:
    """The question that is due now: the first when images have stopped coming, others after a pause that grows."""
    pause, number = LEAST_PAUSE_S, 1
    if memory is None:
        return Asked(now, number, received_count, is_open) if not is_open or quiet_s >= FIRST_PAUSE_S else None
    asked = memory.asked
    if not is_news(asked, memory.holding, received_count, is_open=is_open):
        pause, number = doubled_s(asked.number, FIRST_PAUSE_S, LONGEST_PAUSE_S), asked.number + 1
    return Asked(now, number, received_count, is_open) if now - asked.at >= pause else None
