"""lfk: recordings in a bucket become transcripts beside them, by reference over Kafka."""

__version__ = "0.1.0"
