# SPDX-License-Identifier: GPL-2.0
"""tools/kernel: what a fragment asks for, where sources come from, recovery."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
LIBS = ' '.join(f'. {TOOLS}/lib/{name}.sh;'
                for name in ('common', 'apt', 'toolchain', 'source', 'config', 'build'))


class Scratch(unittest.TestCase):
    """A directory of its own for each test."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = Path(holder.name)

    def write(self, name, text):
        """A file in the test's directory."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def shell(self, script, **env):
        """A script with the tools' functions at hand."""
        return subprocess.run(['bash', '-c', f'set -euo pipefail; {LIBS} {script}'], check=False,
                              capture_output=True, text=True, env={**os.environ, **env})


class Fragments(Scratch):
    """Every symbol that is asked for has to hold."""

    def lost(self, fragment, config):
        """What lost_symbols says about these two texts."""
        return self.shell(f'lost_symbols {self.write("fragment", fragment)} '
                          f'{self.write("config", config)}').stdout

    def test_all_hold(self):
        self.assertEqual(self.lost(
            'CONFIG_A=y\nCONFIG_N=8\nCONFIG_S="x y"\n# CONFIG_B is not set\n# CONFIG_C is not set\n',
            'CONFIG_A=y\nCONFIG_N=8\nCONFIG_S="x y"\n# CONFIG_B is not set\n'), '')

    def test_lost(self):
        for asked, got in (('CONFIG_A=y', ''), ('CONFIG_A=y', 'CONFIG_A=m'),
                           ('CONFIG_A=y', '# CONFIG_A is not set'),
                           ('CONFIG_A=y', 'CONFIG_AB=y'), ('CONFIG_N=8', 'CONFIG_N=64'),
                           ('# CONFIG_A is not set', 'CONFIG_A=y')):
            with self.subTest(asked=asked, got=got):
                self.assertIn(asked, self.lost(asked + '\n', got + '\nCONFIG_Z=y\n'))

    def test_base_is_overridden(self):
        base = self.write('base.config', '# arch: um\nCONFIG_A=y\nCONFIG_B=y\n')
        top = self.write('top.config', f'# base: {base}\n# CONFIG_A is not set\n')
        self.assertEqual(self.shell(f'fragment {top}; header {top} arch').stdout,
                         '# CONFIG_A is not set\nCONFIG_B=y\num')

    def test_edited_fragment_gets_another_directory(self):
        path = self.write('x.config', '# arch: um\nCONFIG_A=y\n')
        before = self.shell(f'build_dir {path}').stdout
        self.assertEqual(before, self.shell(f'build_dir {path}').stdout)
        path.write_text('# arch: um\nCONFIG_A=m\n')
        self.assertNotEqual(before, self.shell(f'build_dir {path}').stdout)

    def test_other_flags_get_another_directory(self):
        path = self.write('x.config', '# arch: um\nCONFIG_A=y\n')
        before = self.shell(f'build_dir {path}').stdout
        path.write_text('# arch: um\n# kcflags: -O1\nCONFIG_A=y\n')
        self.assertEqual(self.shell(f'header {path} kcflags').stdout, '-O1')
        self.assertNotEqual(before, self.shell(f'build_dir {path}').stdout)

    def test_impossible_symbol_is_refused_and_named(self):
        path = self.write('impossible.config', '# arch: um\n# base: uml\nCONFIG_NO_SUCH_THING=y\n')
        directory = self.shell(f'build_dir {path}').stdout.strip()
        try:
            done = subprocess.run([TOOLS / 'kernel', 'build', path], check=False,
                                  capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('CONFIG_NO_SUCH_THING', done.stderr.splitlines()[-1])
            self.assertNotIn('building kernel', done.stderr)
        finally:
            subprocess.run(['rm', '-rf', directory], check=True)


class Source(Scratch):
    """Unpacking is all or nothing, and starts over after an interruption."""

    def setUp(self):
        super().setUp()
        self.cache = self.dir / 'graceslab'
        self.final = self.cache / 'src' / 'linux-source-9.9'

    def package(self):
        """A small linux-source-9.9, as it would have been downloaded."""
        self.write('tree/linux-source-9.9/Makefile', 'all:\n')
        self.write('deb/DEBIAN/control', 'Package: linux-source-9.9\nVersion: 1\n'
                   'Architecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: test\n')
        (self.dir / 'deb/usr/src').mkdir(parents=True)
        download = self.cache / 'src' / 'download'
        download.mkdir(parents=True)
        deb = download / 'linux-source-9.9_1_all.deb'
        subprocess.run(['tar', '-C', self.dir / 'tree', '-cJf',
                        self.dir / 'deb/usr/src/linux-source-9.9.tar.xz', 'linux-source-9.9'],
                       check=True)
        subprocess.run(['dpkg-deb', '--build', self.dir / 'deb', deb], check=True,
                       capture_output=True)
        return deb

    def unpack(self):
        """Run the step that follows a download."""
        return self.shell(f'unpack_source {self.final}', KERNEL='9.9', XDG_CACHE_HOME=str(self.dir))

    def test_left_over_partial_tree(self):
        self.package()
        self.write('graceslab/src/linux-source-9.9.partial/half', '')
        done = self.unpack()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([entry.name for entry in self.final.iterdir()], ['Makefile'])
        self.assertFalse(Path(f'{self.final}.partial').exists())

    def test_broken_package_is_removed(self):
        deb = self.package()
        deb.write_bytes(deb.read_bytes()[:-40])
        done = self.unpack()
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(self.final.exists())
        self.assertFalse(deb.exists())
        self.assertIn('run again', done.stderr.splitlines()[-1])

    def test_own_source_is_checked(self):
        done = subprocess.run([TOOLS / 'kernel', 'source'], check=False, capture_output=True,
                              text=True, env={**os.environ, 'LINUX_SRC': str(self.dir)})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('LINUX_SRC', done.stderr)

    def test_own_source_that_is_not_there(self):
        for command in (['dir', 'uml'], ['build', 'uml'], ['list'], ['source']):
            with self.subTest(command=command):
                done = subprocess.run([TOOLS / 'kernel', *command], check=False,
                                      capture_output=True, text=True,
                                      env={**os.environ, 'LINUX_SRC': str(self.dir / 'nowhere')})
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, '')
                self.assertEqual(done.stderr.count('error: '), 1)


class Mirror(Scratch):
    """The machine's mirror is read from either kind of apt sources."""

    DEB822 = '''# a comment
Types: deb deb-src
# another
URIs: http://mirror.example/debian
Suites: stable stable-updates
Components: main contrib
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: stable-security
Components: main
'''
    CLASSIC = '''# deb http://no.example/debian stable main
deb-src http://mirror.example/debian stable main
deb http://mirror.example/security stable-security main
deb [ arch=amd64 signed-by=/k.gpg ] http://mirror.example/debian stable main contrib
'''

    def derived(self):
        """The source for suite next."""
        return self.shell('own_sources next', GS_APT_DIR=str(self.dir)).stdout.splitlines()

    def test_deb822(self):
        self.write('sources.list.d/debian.sources', self.DEB822)
        lines = self.derived()
        self.assertIn('URIs: http://mirror.example/debian', lines)
        self.assertIn('Suites: next', lines)
        self.assertIn('Types: deb', lines)
        self.assertIn('Signed-By: /usr/share/keyrings/k.gpg', lines)
        self.assertEqual(sum(line.startswith('URIs:') for line in lines), 1)

    def test_classic(self):
        self.write('sources.list', self.CLASSIC)
        lines = self.derived()
        self.assertIn('URIs: http://mirror.example/debian', lines)
        self.assertIn('Suites: next', lines)
        self.assertIn('Components: main contrib', lines)
        self.assertIn('Signed-By: /k.gpg', lines)

    def test_foreign_repositories_are_left_alone(self):
        self.write('sources.list.d/a.sources', self.DEB822.replace('main contrib', 'nightly'))
        self.write('sources.list', 'deb http://other.example stable-pgdg main\n')
        self.assertEqual(self.derived(), [])


if __name__ == '__main__':
    unittest.main()
