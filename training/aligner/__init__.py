"""Trains the offline English aligner (models/aligner-en) from nothing: text from a grammar, speech from two
synthesisers that report exact times, a wav2vec2 CTC model small enough for two CPU cores.

`python -m training.aligner` runs everything with a fixed seed. No recording of a human voice and no text of a third
party goes in; the pronunciation dictionary (CMUdict, BSD) only lends its word list.
"""
