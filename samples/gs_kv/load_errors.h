/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls that must fail, each with its own errno and nothing done.
 */
#ifndef GS_KV_LOAD_ERRORS_H
#define GS_KV_LOAD_ERRORS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "load_common.h"

static void must_fail(int fd, unsigned long call, void *arg, int with,
		      const char *what)
{
	int got = ioctl(fd, call, arg) ? errno : 0;

	if (got != with)
		die("FAIL: %s: expected '%s', got '%s'", what, strerror(with),
		    strerror(got));
}

static void check_errors(int fd)
{
	static char longest[GS_KV_KEY_MAX + 1];
	static const unsigned long calls[] = { GS_KV_SET, GS_KV_DEL, GS_KV_GET };
	void *nowhere = (void *)16;

	memset(longest, 'k', sizeof(longest));
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct gs_kv_op op = { .key = (uintptr_t)longest, .key_len = 0 };

		must_fail(fd, calls[i], &op, EINVAL, "an empty key");
		op.key_len = GS_KV_KEY_MAX + 1;
		must_fail(fd, calls[i], &op, EINVAL, "a key that is too long");
		op.key_len = ~0u;
		must_fail(fd, calls[i], &op, EINVAL,
			  "a key that is far too long");
		op.key_len = 1;
		op.linger = GS_KV_LINGER_MAX + 1;
		must_fail(fd, calls[i], &op, EINVAL,
			  "a linger that is too long");
		op.linger = 0;
		op.wait = GS_KV_LINGER_MAX + 1;
		must_fail(fd, calls[i], &op, EINVAL, "a wait that is too long");
		op.wait = 0;
		op.key = (uintptr_t)nowhere;
		must_fail(fd, calls[i], &op, EFAULT, "a key at a bad address");
		op.key = ~0ull;
		must_fail(fd, calls[i], &op, EFAULT, "a key beyond all memory");
		must_fail(fd, calls[i], nowhere, EFAULT,
			  "an argument at a bad address");
		op.key = (uintptr_t)"a\0b";
		op.key_len = 3;
		must_fail(fd, calls[i], &op, EINVAL, "a key with a NUL");
		op.key = (uintptr_t)"no such key";
		op.key_len = 11;
		if (calls[i] != GS_KV_SET)
			must_fail(fd, calls[i], &op, ENOENT,
				  "a key that is not there");
	}
	must_fail(fd, GS_KV_STATS, nowhere, EFAULT,
		  "an argument at a bad address");
	must_fail(fd, _IO(GS_KV_IOC, 99), nowhere, ENOTTY, "an unknown call");
}

#endif /* GS_KV_LOAD_ERRORS_H */
