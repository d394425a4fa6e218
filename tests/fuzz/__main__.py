"""``python -m tests.fuzz [TARGET…]``: each target for FUZZ_SECONDS (60), guided by coverage (atheris).

``python -m tests.fuzz TARGET --replay FILE`` runs what a crash has left. A process for each target: libFuzzer ends
the one that it runs in.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import structlog

VAR = Path("var/fuzz")


def fuzz(name: str, arguments: list[str]) -> None:
    """Never returns."""
    import atheris  # type: ignore[import-untyped, unused-ignore]

    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz.targets import MUTATORS, TARGETS, seeds
    structlog.configure(processors=[_unheard])
    TARGETS[name](seeds(name)[0])  # what is made once, such as a gateway, takes longer than an input may

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        return MUTATORS[name](data, chance)[:max_size]

    own = {"custom_mutator": mutated} if name in MUTATORS else {}
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name], **own)
    atheris.Fuzz()


def _unheard(_logger: object, _method: str, _event: object) -> str:
    raise structlog.DropEvent


def run(name: str) -> bool:
    """One target in its process; whether nothing was found."""
    from tests.fuzz.targets import seeds

    corpus, crashes = VAR / name / "corpus", VAR / name / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds(name)):
        (corpus / f"seed-{index:03}").write_bytes(seed)
    limits = [
        f"-max_total_time={os.environ.get('FUZZ_SECONDS', '60')}",
        "-timeout=10",
        "-max_len=20000",
        "-verbosity=1",
    ]
    before = set(crashes.iterdir())
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        name,
        "--child",
        *limits,
        f"-artifact_prefix={crashes}/",
        str(corpus),
    ]
    print(f"{name} …", flush=True)
    code = subprocess.run(command, check=False).returncode
    for file in sorted(set(crashes.iterdir()) - before):
        print(f"{name}: python -m tests.fuzz {name} --replay {file}", flush=True)
    return code == 0


def main(arguments: list[str]) -> int:
    """0: nothing was found."""
    match arguments:
        case [name, "--child", *rest]:
            fuzz(name, rest)
        case [name, "--replay", file]:
            from tests.fuzz.targets import TARGETS

            TARGETS[name](Path(file).read_bytes())
            return 0
    from tests.fuzz.targets import TARGETS

    clean = [run(name) for name in arguments or TARGETS]
    return 0 if all(clean) else 1


sys.exit(main(sys.argv[1:]))
