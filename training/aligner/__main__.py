"""The one command: `python -m training.aligner --out models/aligner-en` makes corpus, model and log from a seed.

Needs Debian's libflite1 and libespeak-ng1 and, from Python's index, pocketsphinx beside the hub extra. About 40
minutes with two idle cores (one trains, one prepares batches); a processor with bfloat16 instructions is several times
faster than one without. Stopped and started again with the same arguments it resumes from its checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.aligner.corpus import Recipe, load
from training.aligner.train import Run, Trainer

# The settings of the weights under models/aligner-en; bench/quality leaves the lines of this recipe out of its tests.
DEFAULT_RECIPE = Recipe(lines=6000, seed=20)
DEFAULT_STEPS = 6500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.aligner", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/aligner-en"), help="folder for the model")
    parser.add_argument("--work", type=Path, default=Path(".tmp/aligner"), help="folder for corpus and checkpoint")
    parser.add_argument(
        "--lines", type=int, default=DEFAULT_RECIPE.lines, help="utterances to synthesise (about 3 s each)"
    )
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS, help="training steps of about 20 s of sound")
    parser.add_argument("--seed", type=int, default=DEFAULT_RECIPE.seed)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    corpus = load(arguments.work / "corpus", Recipe(arguments.lines, arguments.seed))
    run = Run(arguments.steps, arguments.seed, arguments.threads)
    log = arguments.out / "training-log.jsonl"
    result = Trainer(corpus, run, arguments.work, arguments.out, log).train()
    print(f"{corpus.hours:.2f} h of speech, {run.steps} steps: held-out loss {result.loss:.3f}, hits {result.hits:.1%}")


if __name__ == "__main__":
    main()
