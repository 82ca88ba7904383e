// SPDX-License-Identifier: GPL-2.0
/* The ways to get rid of a table that readers may be looking at. */
#include <linux/array_size.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "ways.h"

/* With graceslab: no head, no wrapper, no wait. */

static void gs_give_headless(struct gs_table *old)
{
	gs_kvfree_rcu(old);
}

/* With a head of one word, for callers that cannot sleep. */
static void gs_give_head(struct gs_table *old)
{
	gs_kvfree_rcu_head(old, head);
}

/* Nothing needed, but the time of a grace period for each. */

static void gs_give_synchronize(struct gs_table *old)
{
	synchronize_rcu();
	kvfree(old);
}

static void gs_wait_nothing(void)
{
}

/* A wrapper for each, which has to be allocated, and may not be. */

struct gs_wrapper {
	struct rcu_head rcu;
	struct gs_table *table;
};

static void gs_wrapper_free(struct rcu_head *rcu)
{
	struct gs_wrapper *wrapper = container_of(rcu, struct gs_wrapper, rcu);

	kvfree(wrapper->table);
	kfree(wrapper);
}

static void gs_give_call_rcu(struct gs_table *old)
{
	struct gs_wrapper *wrapper = kmalloc_obj(*wrapper);

	if (!wrapper) {
		gs_give_synchronize(old);
		return;
	}
	wrapper->table = old;
	call_rcu(&wrapper->rcu, gs_wrapper_free);
}

/* What the kernel has had since, for memory of its own allocators. */
static void gs_give_mightsleep(struct gs_table *old)
{
	kvfree_rcu_mightsleep(old);
}

const struct gs_way gs_ways[] = {
	{ "gs_kvfree_rcu", gs_give_headless, gs_barrier, .ours = true },
	{ "gs_kvfree_rcu_head", gs_give_head, gs_barrier, .ours = true },
	{ "synchronize_rcu", gs_give_synchronize, gs_wait_nothing,
	  .sleeps = true },
	{ "call_rcu + wrapper", gs_give_call_rcu, rcu_barrier },
	{ "kvfree_rcu_mightsleep", gs_give_mightsleep, NULL },
};

const unsigned int gs_nr_ways = ARRAY_SIZE(gs_ways);

/* As if the memory had been freed at once and were somebody else's by now. */
static void gs_give_too_early(struct gs_table *old)
{
	WRITE_ONCE(old->nr, 0x6b6b6b6b);
	WRITE_ONCE(old->check, 0x6b6b6b6b);
	gs_kvfree_rcu(old);
}

const struct gs_way gs_wrong_way = {
	"too early",
	gs_give_too_early,
	gs_barrier,
	.ours = true,
};
