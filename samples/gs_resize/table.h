/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table: an array of pointers to blocks, which is replaced by a longer one
 * for each block that is added. Blocks stay where they are.
 *
 * What is in a block follows from its number, and what a table says of itself
 * from its length, so that a reader can tell.
 */
#ifndef _GS_RESIZE_TABLE_H
#define _GS_RESIZE_TABLE_H

#include <linux/hash.h>
#include <linux/types.h>

#include <graceslab.h>

#define GS_BLOCK_WORDS	64

struct gs_block {
	u64 words[GS_BLOCK_WORDS];
};

struct gs_table {
	struct gs_rcu_head head; /* one of the ways needs it, and no other */
	unsigned int nr;
	u32 check;
	struct gs_block *blocks[] __counted_by(nr);
};

/* The table that readers find. */
extern struct gs_table __rcu *gs_table;

static inline u64 gs_word(unsigned int block, unsigned int word)
{
	return (block * GS_BLOCK_WORDS + word + 1) * GOLDEN_RATIO_64;
}

static inline u32 gs_check(unsigned int nr)
{
	return hash_32(nr, 32) ^ GOLDEN_RATIO_32;
}

int gs_blocks_make(unsigned int nr);
void gs_blocks_free(unsigned int nr);
/* Where a block is: what the table ought to say. */
struct gs_block *gs_block(unsigned int block);

/* A table with @nr more blocks than @old, which may be NULL. */
struct gs_table *gs_table_grown(const struct gs_table *old, unsigned int nr);

#endif /* _GS_RESIZE_TABLE_H */
