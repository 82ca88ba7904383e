# SPDX-License-Identifier: GPL-2.0
"""The guest runner again, with an x86_64 kernel: not found by discovery, as it takes a minute."""

import unittest

import test_guest


class GuestX86(test_guest.Guest):
    """What has to be the same on another machine."""

    CONFIG = 'x86'
    LIMIT = '45'


def load_tests(loader, _tests, _pattern):
    """Only this kernel."""
    return loader.loadTestsFromTestCase(GuestX86)


if __name__ == '__main__':
    unittest.main()
