# SPDX-License-Identifier: GPL-2.0
"""A copy of the checkout to break, build and test things in.

What is the same is left alone when the copy is brought up to date, so that
make builds only what changed.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, Optional

LEFT_OUT = {'build', '.git', '__pycache__', 'Documentation'}


def files(top: Path) -> Iterator[Path]:
    """Every file below top that is part of the sources, relative to it."""
    for where, directories, names in os.walk(top):
        directories[:] = [name for name in directories if name not in LEFT_OUT]
        for name in names:
            yield (Path(where) / name).relative_to(top)


def copy(source: Path, target: Path) -> None:
    """Copy one file, unless the copy is the same already."""
    if target.exists() and target.read_bytes() == source.read_bytes():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without its time: make has to see that it is another one.
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


class Scratch:
    """The copy."""

    def __init__(self, checkout: Path, top: Path) -> None:
        self.checkout = checkout
        self.top = top

    def sync(self) -> None:
        """Bring the copy up to date."""
        wanted = set(files(self.checkout))
        for path in wanted:
            copy(self.checkout / path, self.top / path)
        if self.top.exists():
            for path in set(files(self.top)) - wanted:
                (self.top / path).unlink()

    def read(self, file: str) -> str:
        """The copy's text of a source: the checkout may have changed meanwhile."""
        return (self.top / file).read_text(encoding='utf-8')

    def write(self, file: str, text: str) -> None:
        """Have another text in the copy."""
        (self.top / file).write_text(text, encoding='utf-8')

    def output(self, *argv: str) -> str:
        """What one of the copy's tools prints."""
        done = subprocess.run([self.top / 'tools' / argv[0], *argv[1:]], check=False,
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f'tools/{" ".join(argv)} failed')
        return done.stdout.strip()

    def build(self, config: str, log: Path, left_out: List[str]) -> Optional[Path]:
        """Build the copy's modules for a kernel; None when they do not build."""
        kernel = self.output('kernel', 'dir', config)
        env: Dict[str, str] = {**os.environ, **{name: 'n' for name in left_out}}
        with log.open('w', encoding='utf-8') as file:
            status = subprocess.run([self.top / 'tools' / 'modules', 'build', kernel],
                                    stdout=file, stderr=file, env=env, check=False).returncode
        return None if status else Path(self.output('modules', 'dir', kernel))
