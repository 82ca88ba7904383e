/* SPDX-License-Identifier: GPL-2.0 */
/* What all of gs_kv_load uses. */
#ifndef GS_KV_LOAD_COMMON_H
#define GS_KV_LOAD_COMMON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "gs_kv.h"

typedef __u64 u64;
typedef __u32 u32;

static void complain(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static void die(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

static void vcomplain(const char *fmt, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(stderr, "gs_kv_load: %s\n", line);
}

static void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcomplain(fmt, ap);
	va_end(ap);
}

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcomplain(fmt, ap);
	va_end(ap);
	_exit(1);
}

#endif /* GS_KV_LOAD_COMMON_H */
