"""Faults of hubs: killed, stopped, replaced. Each acts while the work goes on, paced by the answers that come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.killing_hub import POINTS
from tests.chaos.run import Fault, Run

#: Until a hub has begun, joined and passed a step; a hub that has found no work by then gets some.
_REACH_SECONDS = 25.0
_REACH_ATTEMPTS = 4
#: References sent for a hub that finds no work at its step.
_MORE_JOBS = 12
#: The group gives a hub up that was not heard of for so long (see `settings` in tests/chaos/test_chaos.py).
SESSION_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class RandomKills:
    """``kill -9`` of one hub at a time, chosen at random, spread over the work; each is replaced at once."""

    times: int

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        jobs = len(run.recordings)
        for number in range(self.times):
            # The first kill waits for the first answer, the last leaves work for those that are left.
            run.wait_for_answers(1 + number * (jobs - 1) // (self.times + 1))
            run.wait(run.chance.uniform(0.2, 2.0))
            run.chance.choice(run.hubs.working).kill()
            run.hubs.start()
        return self.times


@dataclass(frozen=True, slots=True)
class KillsAt:
    """Hubs join that kill themselves at a named step, ``times`` at each; two at a time, beside those that live."""

    points: Sequence[str] = POINTS
    times: int = 1

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        sentences = [(point, run.chance.randint(1, 2)) for point in self.points for _ in range(self.times)]
        run.chance.shuffle(sentences)
        for first in range(0, len(sentences), 2):
            self._die(run, sentences[first : first + 2])
        return len(sentences)

    def _die(self, run: Run, sentences: Sequence[tuple[str, int]]) -> None:
        doomed = [
            (point, run.hubs.start_doomed(CHAOS_POINT=point, CHAOS_PASS=str(passes))) for point, passes in sentences
        ]
        for _attempt in range(_REACH_ATTEMPTS):
            if run.wait_until(lambda: not any(hub.alive for _point, hub in doomed), _REACH_SECONDS):
                break
            run.sync(_MORE_JOBS)
        for point, hub in doomed:
            said = hub.log.read_text(encoding="utf-8", errors="replace")
            if not hub.killed or f"killed at {point}" not in said:
                run.hubs.misbehaved.append(f"hub {hub.number} was not killed at {point}: {hub.log}")
                hub.kill()


@dataclass(frozen=True, slots=True)
class Zombies:
    """SIGSTOP of a hub for longer than its session lasts, then SIGCONT: it wakes up as a member that was given up."""

    times: int
    #: Seconds beyond the session; with 12 the hub's transactions have timed out, too.
    beyond: tuple[float, float] = (2.0, 12.0)

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        jobs = len(run.recordings)
        for number in range(self.times):
            run.wait_for_answers(1 + number * (jobs - 1) // (self.times + 1))
            run.wait(run.chance.uniform(0.0, 0.5))
            hub = run.chance.choice(run.hubs.working)
            hub.stop()
            run.wait(SESSION_SECONDS + run.chance.uniform(*self.beyond))
            hub.wake()
        return self.times


@dataclass(frozen=True, slots=True)
class Storm:
    """Hubs come and go every ``every`` seconds, by SIGTERM; between one and ``most`` of them work."""

    times: int
    every: float = 2.0
    most: int = 4

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        run.wait_for_answers(1)
        for _ in range(self.times):
            run.wait(self.every)
            working = run.hubs.working
            if len(working) == self.most or (len(working) > 1 and run.chance.random() < 0.5):
                run.chance.choice(working).tell_to_end()
            else:
                run.hubs.start()
        return self.times


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """Each hub in turn is told to end, waited for, and replaced."""

    rounds: int

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        run.wait_for_answers(1)
        times = 0
        for _ in range(self.rounds):
            for hub in run.hubs.working:
                hub.tell_to_end()
                run.wait_until(lambda hub=hub: not hub.alive, 30.0)
                run.hubs.await_end(hub)
                run.hubs.start()
                run.wait(run.chance.uniform(1.0, 3.0))
                times += 1
        return times


@dataclass(frozen=True, slots=True)
class Poison:
    """Nothing but what is in the audio: see ``poisons`` of the row. Hubs that it ends are replaced."""

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        return len(run.recordings.poisons)


@dataclass(frozen=True, slots=True)
class InTurn:
    """Several faults, one after the other."""

    faults: Sequence[Fault]

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        return sum(fault.act(run) for fault in self.faults)
