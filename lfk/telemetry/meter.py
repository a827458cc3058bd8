"""Readings into Prometheus' own forms: the only module that knows its client library.

Imported when a process serves metrics, and not before. The registry is this meter's own, so nothing that another
library counts gets in, and several meters may live in one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from lfk.core.readings import Look, Metric, Reading

#: Of the text format that every Prometheus reads.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Each counter would bring a second series with the time it was made, which nothing here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Meter:
    """Safe for use by several threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._told: dict[Metric, Counter | Histogram] = {}
        # Memory, processor time, open files and start of this process, by the names that everybody uses.
        ProcessCollector(registry=self._registry)

    def declare(self, metrics: Iterable[Metric], look: Look) -> None:
        """Export these from now on; ``look`` is asked for those that are not told, whenever a page is made."""
        looked = []
        for metric in metrics:
            if metric.told:
                self._told[metric] = self._instrument(metric)
            else:
                looked.append(metric)
        self._registry.register(_Looked(looked, look))

    def tell(self, readings: Iterable[Reading]) -> None:
        """Count what has happened; the metrics have been declared."""
        for reading in readings:
            instrument = self._told[reading.metric]
            child = instrument.labels(*reading.labels) if reading.labels else instrument
            if isinstance(child, Counter):
                child.inc(reading.value)
            else:
                child.observe(reading.value)

    def page(self) -> bytes:
        """All of it in the text format."""
        return generate_latest(self._registry)

    def _instrument(self, metric: Metric) -> Counter | Histogram:
        if metric.kind == "histogram":
            return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self._registry)
        return Counter(metric.name, metric.help, metric.labels, registry=self._registry)


class _Looked(Collector):
    """What is looked up while a page is made."""

    def __init__(self, metrics: Iterable[Metric], look: Look) -> None:
        self._metrics = tuple(metrics)
        self._look = look

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        families = {
            metric: (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                metric.name, metric.help, labels=metric.labels
            )
            for metric in self._metrics
        }
        for reading in self._look():
            families[reading.metric].add_metric(reading.labels, reading.value)
        yield from families.values()
