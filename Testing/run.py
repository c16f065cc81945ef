"""Set up and run AttentionSeg from a clone: `python3 Testing/run.py demo [SCAN]`, `test`, `coverage`, `check`, `docs` or `lowest`.

Needs Python 3.10 to 3.13 with pip, nothing else. Makes a virtual environment in `.venv` beside the README and keeps it for the next run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / ".venv"
STAMP = ENVIRONMENT / "installed.txt"
REQUIREMENTS = [REPOSITORY / "Testing" / "requirements.txt", REPOSITORY / "docs" / "requirements.txt"]
SUPPORTED = ((3, 10), (3, 13))
COVERAGE = 90
# The oldest that slicer-core has a wheel for; that the library keeps to the syntax of 3.9 is a test of its own.
OLDEST = "3.10"
LOWEST = REPOSITORY / "Testing" / "requirements-lowest.txt"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "command",
        choices=("demo", "test", "coverage", "check", "docs", "lowest"),
        help="demo: segment the brain and both hippocampi of a head; test: run the tests; coverage: and measure how much of the code they run "
        "(half as slow again); check: linter and types; "
        "docs: make the pages in docs/_build; lowest: the tests with the lowest promised versions (needs uv)",
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on: options of the demo, of pytest, or of Sphinx")
    options = parser.parse_args()

    if options.command == "lowest":
        return test_lowest(options.arguments)
    python = prepare_environment()
    if options.command == "demo":
        return run(python, str(REPOSITORY / "Testing" / "demo.py"), *options.arguments)
    if options.command == "check":
        return max(run(python, "-m", *words) for words in (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)))
    if options.command == "docs":
        return run(python, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", *options.arguments, "docs", "docs/_build")
    measured = options.command == "coverage"
    if options.arguments and not measured:
        return run(python, "-m", "pytest", "-q", *options.arguments)
    return test_all(python, measured)


def test_all(python: str, measured: bool) -> int:
    """All tests, in up to four processes; their coverage if `measured`."""
    print("Running the tests (some minutes) ...", flush=True)
    # Each file stays in one process, because its tests share what takes long to make. A process takes up to 2 GB.
    # Where one dies, its test is named and the others go on: with a new process in its place pytest-xdist would wait for ever.
    spread = ("-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile", "--max-worker-restart=0")
    coverage = ("--cov=AttentionSegLib", "--cov-report=term:skip-covered", f"--cov-fail-under={COVERAGE}")
    return run(python, "-m", "pytest", "-q", *spread, *(coverage if measured else ()))


def test_lowest(arguments: list[str]) -> int:
    """The tests with the lowest versions that `pyproject.toml` promises, in an environment of their own that uv makes."""
    wanted = ("--resolution", "lowest-direct", "--with-editable", f"{REPOSITORY}[training,cpu,cluster,dicom]", "--with-requirements", str(LOWEST))
    return run("uv", "run", "--no-project", "--python", OLDEST, *wanted, "python", "-m", "pytest", "-q", *arguments)


def prepare_environment() -> str:
    """The Python of the environment, made or brought up to date where needed."""
    low, high = SUPPORTED
    if not low <= sys.version_info[:2] <= high:
        sys.exit(f"Python {sys.version.split()[0]} is not supported here; run this with Python {low[0]}.{low[1]} to {high[0]}.{high[1]}.")
    python = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in (*REQUIREMENTS, REPOSITORY / "pyproject.toml")) + sys.version.encode()).hexdigest()
    if python.is_file() and STAMP.is_file() and STAMP.read_text() == wanted:
        return str(python)
    print(f"Installing into {ENVIRONMENT} (some minutes, about 3 GB; only this once) ...", flush=True)
    venv.create(ENVIRONMENT, with_pip=True, clear=not python.is_file())
    # torch comes first and pinned, so that no other package asks pip for a newer and larger build.
    # --no-compile: of the many thousand files only those that are imported get compiled, when they are.
    for arguments in ([part for path in REQUIREMENTS for part in ("-r", str(path))], ["-e", f"{REPOSITORY}[training]"]):
        code = run(str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *arguments)
        if code:
            sys.exit(f"pip failed with exit code {code}; its last lines above say why. Mend that and run the same command again.")
    STAMP.write_text(wanted)
    return str(python)


def run(*command: str) -> int:
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
