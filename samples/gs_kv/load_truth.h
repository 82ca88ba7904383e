/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a reader knows that a value is right.
 *
 * Each key has one writer, a process that goes through numbered writes
 * of the key.  A write is a number with a bit that says whether it deleted:
 * a word.  In shared memory the writer stores the word to 'begin' before the
 * ioctl and to 'done' after it.  The value that is written is made from the
 * symbol's address and the number, and can be taken apart again.  A reader
 * loads 'done', asks the table, loads 'begin': what it got must be one of the
 * writes between these two, both included, else the read was wrong.  If it got
 * nothing, one of them must be a deletion; where two or more writes began in
 * between this is taken for granted, since their bits are gone.
 */
#ifndef GS_KV_LOAD_TRUTH_H
#define GS_KV_LOAD_TRUTH_H

#include <stdatomic.h>

#include "load_common.h"

/* A write's number, and whether it deleted the key. Write 0 did: no key yet. */
#define WORD(number, deleted)	((u64)(number) << 1 | (deleted))
#define NUMBER(word)		((word) >> 1)
#define DELETED(word)		((word) & 1)

struct truth {
	_Atomic u64 begin;
	_Atomic u64 done;
};

/* Values: the address for the first write, spread by an odd factor from then on. */
#define FACTOR	0x9e3779b97f4a7c15ull

static u64 inverse(u64 odd)
{
	u64 x = odd;

	for (int i = 0; i < 6; i++)
		x *= 2 - odd * x;
	return x;
}

static u64 value_of(u64 addr, u64 number)
{
	return addr + (number - 1) * FACTOR;
}

static u64 number_of(u64 addr, u64 value)
{
	static u64 back;

	if (!back)
		back = inverse(FACTOR);
	return (value - addr) * back + 1;
}

/* Returns what is wrong with a read, NULL if nothing. */
static const char *judge(u64 addr, u64 done, u64 begin, bool found, u64 value)
{
	u64 number;

	/* No key is right if a deletion was among the writes. */
	if (!found) {
		if (DELETED(done) || DELETED(begin) ||
		    NUMBER(begin) - NUMBER(done) >= 2)
			return NULL;
		return "no such key, but nobody deleted it";
	}
	number = number_of(addr, value);
	if (number < NUMBER(done))
		return "a value that was overwritten before";
	if (number > NUMBER(begin))
		return "a value that nobody wrote to this key";
	if ((number == NUMBER(done) && DELETED(done)) ||
	    (number == NUMBER(begin) && DELETED(begin)))
		return "a value where the key was deleted";
	return NULL;
}

#endif /* GS_KV_LOAD_TRUTH_H */
