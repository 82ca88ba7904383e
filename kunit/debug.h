/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites about debugging share: writes to where nobody may write, and
 * the one warning that each has to cause.
 */
#ifndef _GS_KUNIT_DEBUG_H
#define _GS_KUNIT_DEBUG_H

#include <linux/kasan.h>

#include "gs_kunit.h"

#define GS_DEBUG_ALL \
	(GS_RED_ZONE | GS_POISON | GS_CONSISTENCY | GS_STORE_USER)

#define GS_GUARD	0xcc	/* in red zones */
#define GS_POISONED	0x6b	/* in free objects */
#define GS_POISON_END	0xa5	/* in their last byte */

#define GS_ADDRESS	"0x[0-9a-f]+"

typedef void (*gs_free_fn)(struct gs_cache *c, void *obj);

/* Write where nobody may, past whoever watches the test. */
void gs_poke(void *obj, long offset, u8 value);
u8 gs_peek(const void *obj, long offset);
/* As gs_filled(), of an object that may have been freed. */
bool gs_left_filled(const void *obj, size_t size, u32 key);

/* An object of @c; the test ends without one. */
void *gs_test_obj(struct kunit *test, struct gs_cache *c);

/* Free it, in one way or another, so that it can be allocated again. */
void gs_now_free(struct gs_cache *c, void *obj);
void gs_now_free_bulk(struct gs_cache *c, void *obj);
void gs_now_free_rcu(struct gs_cache *c, void *obj);

/* Allocate @obj, which is free, and nothing else. */
void gs_take_back(struct kunit *test, struct gs_cache *c, void *obj);

/*
 * Between these two there has to be one warning that has "<name>: <what>", and
 * then the address of @obj and @rest; and no other one.
 */
struct gs_fault {
	struct gs_log log;
	char before[96];
	char line[256];
};

void gs_fault_begin(struct gs_fault *fault, const char *name, const char *what,
		    const void *obj, const char *rest);
void gs_fault_end(struct kunit *test, struct gs_fault *fault);

/* The first line since @log was marked that has @needle. */
bool gs_log_line(const struct gs_log *log, const char *needle, char *line,
		 size_t size);

/* No warning, and no word from us, since @log was marked. */
void gs_expect_silence(struct kunit *test, const struct gs_log *log);

/*
 * All is well with a cache again: it can be used and destroyed, and nothing is
 * said about it.
 */
void gs_expect_repaired(struct kunit *test, struct gs_cache *c,
			unsigned int size);

#endif /* _GS_KUNIT_DEBUG_H */
