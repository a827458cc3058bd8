"""The arithmetic of docs/SCALING.md: what a day's audio takes of Kafka, S3, processors and money.

    python docs/scaling.py            # prints the tables
    python docs/scaling.py --write    # puts them into docs/SCALING.md, between its marks

Inputs are measured figures, each with its source, and prices that a reader replaces. A queue is simulated where
arithmetic would not tell: how long fresh audio waits when it does not come evenly over the day.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("SCALING.md")
BEGIN, END = "<!-- tables of docs/scaling.py: from here -->", "<!-- to here -->"
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Load:
    """A day's audio."""

    hours: float
    #: Of one recording.
    minutes: float = 30.0
    #: Bytes of one second of audio as it is uploaded (64 kbit/s).
    bytes_a_second: float = 8_000.0

    @property
    def jobs(self) -> float:
        """Recordings a day."""
        return self.hours * 60 / self.minutes


@dataclass(frozen=True)
class Machine:
    """What transcribes, and what it costs."""

    name: str
    #: Hours of audio an hour.
    speed: float
    source: str
    price_hour: float


@dataclass(frozen=True)
class Costs:
    """Measured, and prices; all of them to be replaced by a reader's own."""

    #: Requests of one job (bench/RESULTS.md): six looks and the fetch; owner, recognition, result, four renderings,
    #: manifest, and the upload itself.
    reads_a_job: float = 7
    writes_a_job: float = 9
    #: Objects that stay of one job.
    keys_a_job: float = 9
    #: Bytes of all renderings and the result of one hour of audio.
    text_bytes_an_hour: float = 600_000
    #: Kafka: a reference with its key and headers, and an announcement.
    reference_bytes: float = 700
    announcement_bytes: float = 2_000
    #: Processor seconds of a hub's own process for one job (bench/RESULTS.md).
    hub_seconds_a_job: float = 0.03
    #: Prices of a large cloud, in its own money: 1,000 writes, 1,000 reads, and a GB kept for a month.
    writes_1000: float = 0.005
    reads_1000: float = 0.0004
    gb_month: float = 0.023
    #: How much of the day's mean the busiest hour asks for.
    peak: float = 3.0
    #: As `lfk init` makes them: enough that every hub gets an even share.
    partitions_a_worker: float = 4
    #: Keys a listing returns a second, and in one request.
    keys_a_second: float = 10_000
    keys_a_request: float = 1_000


COSTS = Costs()
#: One thread does 319 s of speech in 11.0 s, aligned and diarised in 23.7 s; a second engine brings 1.6 ×.
_ONE_THREAD, _ALL_STAGES, _SECOND_ENGINE = 319 / 11.0, 319 / 23.7, 1.6
_MEASURED = "bench/RESULTS.md, one thread times 1.6 for the second engine"
MACHINES = (
    Machine("2 cores, tiny.en", round(_ONE_THREAD * _SECOND_ENGINE), _MEASURED, 0.09),
    Machine("2 cores, tiny.en, diarised", round(_ALL_STAGES * _SECOND_ENGINE), _MEASURED, 0.09),
    Machine("one GPU, large-v3", 60, "assumed: no GPU was measured", 1.2),
)
LOADS = (Load(10), Load(1_000), Load(10_000), Load(1_000_000))


def demand(load: Load) -> str:
    """One row: jobs, bytes and requests a second at the peak."""
    at_peak = load.jobs / SECONDS_A_DAY * COSTS.peak
    upload = load.hours * 3_600 * load.bytes_a_second
    kafka = at_peak * (COSTS.reference_bytes + COSTS.announcement_bytes)
    return (
        f"| {load.hours:,.0f} | {load.jobs:,.0f} | {at_peak:,.2f} | {at_peak * COSTS.reads_a_job:,.1f} "
        f"| {at_peak * COSTS.writes_a_job:,.1f} | {upload / 1e9:,.1f} GB "
        f"| {upload / SECONDS_A_DAY * COSTS.peak / 1e6:,.1f} MB/s "
        f"| {kafka / 1e3:,.1f} kB/s | {at_peak * COSTS.hub_seconds_a_job:,.2f} |"
    )


def engines(load: Load, machine: Machine) -> str:
    """One row: how many machines at the mean and at the peak, partitions, and what they cost a day."""
    mean = load.hours / 24 / machine.speed
    at_peak = math.ceil(mean * COSTS.peak)
    workers = at_peak * (2 if machine.name.startswith("2 cores") else 1)
    partitions = max(6, math.ceil(workers * COSTS.partitions_a_worker))
    price = load.hours / machine.speed * machine.price_hour
    return (
        f"| {load.hours:,.0f} | {machine.name} | {mean:,.1f} | {at_peak:,} | {partitions:,} "
        f"| {price:,.2f} | {price / load.hours:.4f} |"
    )


def storage(load: Load) -> str:
    """One row: requests and space a month, and listing everything once."""
    month = load.jobs * 30
    requests = month * (COSTS.writes_a_job * COSTS.writes_1000 + COSTS.reads_a_job * COSTS.reads_1000) / 1_000
    audio = load.hours * 30 * 3_600 * load.bytes_a_second / 1e9
    text = load.hours * 30 * COSTS.text_bytes_an_hour / 1e9
    keys = month * COSTS.keys_a_job
    listing = keys / COSTS.keys_a_second
    money = keys / COSTS.keys_a_request * COSTS.writes_1000 / 1_000
    return (
        f"| {load.hours:,.0f} | {requests:,.2f} | {audio:,.0f} GB | {text:,.1f} GB "
        f"| {(audio + text) * COSTS.gb_month:,.2f} "
        f"| {keys / 1e6:,.2f} M | {_time(listing)} | {money:,.3f} |"
    )


def waiting(load: Load, machine: Machine, spare: float, seed: int = 1) -> str:
    """One row of a simulation: a day of recordings that come in bursts, machines for ``spare`` times the mean."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    jobs = min(int(load.jobs), 40_000)
    scale = jobs / load.jobs
    seconds = load.minutes * 60 / machine.speed
    servers = max(1, math.ceil(jobs * seconds / SECONDS_A_DAY * spare))
    arrivals = sorted(_moment(chance) for _ in range(jobs))
    free = [0.0] * servers
    waits = []
    for at in arrivals:
        begun = max(at, heapq.heappop(free))
        waits.append(begun - at)
        heapq.heappush(free, begun + seconds * chance.uniform(0.5, 1.5))
    cuts = statistics.quantiles(waits, n=100)
    return (
        f"| {load.hours:,.0f} | {machine.name} | {spare:g}× | {servers / scale:,.0f} "
        f"| {_time(cuts[49])} | {_time(cuts[94])} "
        f"| {_time(max(waits))} |"
    )


def _moment(chance: random.Random) -> float:
    """When a recording comes: two thirds within eight working hours, the rest evenly."""
    if chance.random() < 2 / 3:
        return chance.uniform(8, 16) * 3_600
    return chance.uniform(0, 24) * 3_600


def _time(seconds: float) -> str:
    if seconds >= 5_400:
        return f"{seconds / 3_600:,.1f} h"
    return f"{seconds / 60:,.1f} min" if seconds >= 90 else f"{seconds:,.1f} s"


def tables() -> str:
    """All of them."""
    large = LOADS[-2:]
    parts = [
        "### What a day asks for\n\nRequests, bytes and processor seconds a second are those of the busiest hour, "
        f"{COSTS.peak:g} × the day's mean.\n\n"
        "| hours a day | jobs | jobs/s | S3 reads/s | S3 writes/s | audio a day | fetched | Kafka | cores of hubs |\n"
        "|---|---|---|---|---|---|---|---|---|\n" + "\n".join(demand(load) for load in LOADS),
        "### Machines\n\n"
        "| hours a day | machine | at the mean | at the peak | partitions | money a day | an hour of audio |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(engines(load, machine) for load in LOADS for machine in MACHINES),
        "### The bucket, after a month\n\n"
        "| hours a day | requests, money | audio | text | keeping it, money | keys | listing all once | money |\n"
        "|---|---|---|---|---|---|---|---|\n" + "\n".join(storage(load) for load in LOADS),
        "### How long fresh audio waits (simulated)\n\nTwo thirds of the day's recordings come within eight hours. "
        "At most 40,000 recordings are simulated, and the number of machines scaled.\n\n"
        "| hours a day | machine | for so much of the mean | machines | median | 95 % | longest |\n"
        "|---|---|---|---|---|---|---|\n"
        + "\n".join(waiting(load, MACHINES[2], spare) for load in large for spare in (1.1, 1.5, 2.0, 2.5)),
    ]
    sources = "\n".join(
        f"- {machine.name}: {machine.speed:g} hours an hour ({machine.source}), {machine.price_hour:g} an hour"
        for machine in MACHINES
    )
    return "\n\n".join(parts) + "\n\nSpeeds and prices:\n\n" + sources


def main() -> None:
    """Print, or write into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true")
    made = tables()
    if not parser.parse_args().write:
        print(made)
        return
    before, _begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
