"""One harness for speed: every case runs lfk and what people would run instead side by side, in one run.

    python -m bench.harness                       # all cases of the target table: `make bench`
    python -m bench.harness --case clips          # one of them
    python -m bench.harness --list                # what there is, and about how long each takes
    python -m bench.harness --growth              # how cost grows: jobs, length of audio, hubs
    python -m bench.harness --smoke               # small sizes, held against the recorded ratios: `make bench-smoke`
    python -m bench.harness --report              # RESULTS.md and its pictures again from what is recorded

Sides of a case take turns, in turned order every other round, so that a machine that gets slower slows all of them.
Processor time of whole process trees is kept beside wall time: a busy machine hardly changes it. Each case is written
to ``bench/results/harness/<case>.json`` as soon as it is there. Servers are those of the tests; rivals are looked for
on PATH, and one that is not there is named in the result.
"""
