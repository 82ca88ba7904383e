# SPDX-License-Identifier: GPL-2.0
"""The guest runner again, with an x86_64 kernel: not found by discovery, as it takes time."""

import unittest

import test_guest


class GuestX86(test_guest.Guest):
    """What has to be the same on another machine."""

    CONFIG = 'x86'

    def test_time_limit(self):
        # However slowly it boots.
        done = self.guest('sleep 1000', '--timeout', '10')
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn('time ran out', done.stderr)


def load_tests(_loader, _tests, _pattern):
    """Only what depends on how the kernel is booted."""
    return unittest.TestSuite(GuestX86(f'test_{name}') for name in (
        'status_and_output', 'splat_fails_a_command_that_succeeded', 'panic', 'time_limit',
        'host_is_out_of_reach'))


if __name__ == '__main__':
    unittest.main()
