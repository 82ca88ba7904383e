// SPDX-License-Identifier: GPL-2.0
/* Blocks, and tables of them. */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "table.h"

struct gs_table __rcu *gs_table;

static struct gs_block **blocks;

int gs_blocks_make(unsigned int nr)
{
	unsigned int block, word;

	blocks = kvzalloc_objs(*blocks, nr);
	if (!blocks)
		return -ENOMEM;
	for (block = 0; block < nr; block++) {
		blocks[block] = kmalloc_obj(struct gs_block);
		if (!blocks[block]) {
			gs_blocks_free(nr);
			return -ENOMEM;
		}
		for (word = 0; word < GS_BLOCK_WORDS; word++)
			blocks[block]->words[word] = gs_word(block, word);
	}
	return 0;
}

void gs_blocks_free(unsigned int nr)
{
	while (nr)
		kfree(blocks[--nr]);
	kvfree(blocks);
}

struct gs_block *gs_block(unsigned int block)
{
	return blocks[block];
}

struct gs_table *gs_table_grown(const struct gs_table *old, unsigned int nr)
{
	unsigned int had = old ? old->nr : 0;
	struct gs_table *new;

	new = kvmalloc_flex(*new, blocks, had + nr);
	if (!new)
		return NULL;
	new->nr = had + nr;
	new->check = gs_check(new->nr);
	if (old)
		memcpy(new->blocks, old->blocks,
		       flex_array_size(old, blocks, had));
	for (; had < new->nr; had++)
		new->blocks[had] = blocks[had];
	return new;
}
