# SPDX-License-Identifier: GPL-2.0
"""The guest runner tells how a command ended, on a kernel that really boots."""

import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
KMSG = 'echo "<4>{}" >/dev/kmsg'


class Guest(unittest.TestCase):
    """Each way in which a run can end."""

    CONFIG = 'uml'

    @classmethod
    def setUpClass(cls):
        subprocess.run([TOOLS / 'kernel', 'build', cls.CONFIG], check=True)
        cls.kernel = subprocess.run([TOOLS / 'kernel', 'dir', cls.CONFIG], check=True,
                                    capture_output=True, text=True).stdout.strip()

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.scratch = Path(holder.name)
        self.log = self.scratch / 'log'

    def guest(self, script, *options):
        """Run a script in a guest."""
        return subprocess.run(
            [TOOLS / 'guest', 'run', '--kernel', self.kernel, '--log', self.log, *options,
             '--', 'sh', '-c', script],
            check=False, capture_output=True, text=True, timeout=120)

    def test_status_and_output(self):
        done = self.guest('echo "I am $(id -u) on $(nproc)"; exit 7', '--cpus', '2')
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn('I am 0 on 2\n', done.stdout)
        self.assertNotIn('Linux version', done.stdout)
        self.assertIn('Linux version', self.log.read_text())

    def test_success(self):
        done = self.guest('true')
        self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_splat_fails_a_command_that_succeeded(self):
        done = self.guest(KMSG.format('WARNING: suspicious RCU usage'))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('kernel splat: WARNING: suspicious RCU usage', done.stderr)

    def test_expected_splat(self):
        lines = ('graceslab-test: expect splat: made up', 'WARNING: made up',
                 'graceslab-test: end expect')
        done = self.guest('; '.join(KMSG.format(line) for line in lines))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_panic(self):
        done = self.guest('echo c >/proc/sysrq-trigger; sleep 60')
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn('kernel splat: Kernel panic', done.stderr)
        self.assertIn('the guest ended before the command did', done.stderr)

    def test_time_limit(self):
        done = self.guest('echo still here; sleep 60', '--timeout', '3')
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn('time ran out', done.stderr)
        self.assertIn('| still here', done.stderr)

    def test_expected_output(self):
        self.assertEqual(self.guest('echo abc', '--expect', '^a.c$').returncode, 0)
        done = self.guest('echo abc', '--expect', '^b')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nothing matches '^b'", done.stderr)

    def test_forbidden_output(self):
        self.assertEqual(self.guest('echo abc', '--forbid', '^b').returncode, 0)
        done = self.guest('echo abc', '--forbid', '^a.c$')
        self.assertEqual(done.returncode, 1)
        self.assertIn('not to be: abc', done.stderr)

    def test_no_such_kernel(self):
        for kernel, said in (('nonsense', 'no configuration nonsense; there are: '),
                             (self.scratch, "not a kernel's build directory")):
            with self.subTest(kernel=kernel):
                done = subprocess.run([TOOLS / 'guest', 'run', '--kernel', kernel, '--', 'true'],
                                      check=False, capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(len(done.stderr.splitlines()), 1)
                self.assertIn(said, done.stderr)

    def test_host_is_out_of_reach(self):
        target = self.scratch / 'written'
        done = self.guest(f'echo mine >{target}; cat {target}; touch {TOOLS}/written; true')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('mine\n', done.stdout)
        self.assertFalse(target.exists())
        self.assertFalse((TOOLS / 'written').exists())


if __name__ == '__main__':
    unittest.main()
