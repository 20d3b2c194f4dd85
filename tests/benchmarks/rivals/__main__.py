"""Make the environments of the rivals, under ``build/rivals/``; those that are there are left as they are."""

import subprocess
import sys

from tests.benchmarks.rivals import GRADERS, HERE, NAMES, ROOT, SOURCES, python, source

for name in (*NAMES, *GRADERS, *SOURCES):
    folder = ROOT / "build" / "rivals" / name
    if python(name).is_file():
        print(f"{name}: {folder} is there")
        continue
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [python(name), "-m", "pip", "install", "-q"]
    # torch first and alone, so that nothing brings another build of it.
    subprocess.run([*pip, "-c", HERE / f"{name}.txt", "torch"], check=True)
    without = ["--no-deps"] if name == "canonical" else []
    subprocess.run([*pip, *without, "-r", HERE / f"{name}.txt"], check=True)
    if name in SOURCES:
        repository, commit = SOURCES[name]
        subprocess.run(["git", "clone", "-q", repository, source(name)], check=True)
        subprocess.run(["git", "-C", source(name), "checkout", "-q", commit], check=True)
    print(f"{name}: made {folder}")
