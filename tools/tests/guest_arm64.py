# SPDX-License-Identifier: GPL-2.0
"""The guest runner again, with an arm64 kernel: not found by discovery, as it takes time."""

import unittest

import guest_x86


class GuestArm64(guest_x86.GuestX86):
    """What has to be the same on another machine, none of whose programs are the host's."""

    CONFIG = 'arm64'


def load_tests(_loader, _tests, _pattern):
    """Only what depends on how the kernel is booted."""
    return unittest.TestSuite(GuestArm64(f'test_{name}') for name in (
        'status_and_output', 'splat_fails_a_command_that_succeeded', 'panic', 'time_limit',
        'host_is_out_of_reach'))


if __name__ == '__main__':
    unittest.main()
