// SPDX-License-Identifier: GPL-2.0
/*
 * Several nodes: what was freed far from home goes back there, and a CPU gets
 * memory of its own node as long as that has any.
 */
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/rcupdate.h>
#include <linux/topology.h>

#include "gs_kunit.h"

/* Objects that a CPU may have in sheaves of its own: main and spare. */
#define GS_SHEAF	16
#define GS_OWN		(2 * GS_SHEAF)

/* A CPU of each of two nodes. */
struct gs_ends {
	int here, there;
};

static struct gs_ends gs_need_nodes(struct kunit *test)
{
	struct gs_ends ends = { .here = cpumask_first(cpu_online_mask) };

	for_each_online_cpu(ends.there)
		if (cpu_to_mem(ends.there) != cpu_to_mem(ends.here))
			return ends;
	kunit_skip(test, "all CPUs have one node's memory");
	return ends;
}

static void gs_be_on(struct kunit *test, int cpu)
{
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
}

/* Of the objects in @list, those of the node that this CPU is on. */
static unsigned int gs_local(struct gs_node *list)
{
	unsigned int nr = 0;

	for (; list; list = list->next)
		nr += page_to_nid(virt_to_page(list)) == numa_mem_id();
	return nr;
}

/*
 * @nr objects of this CPU's node, from slabs that have at least one more in use: they
 * stay when these are freed. That one, and what is of other nodes, goes to @kept.
 */
static struct gs_node *gs_make_local(struct kunit *test, struct gs_cache *c,
				     unsigned int nr, struct gs_node **kept)
{
	struct gs_node *list = NULL, **to, *node;
	bool keep = false;

	while (nr) {
		node = gs_test_list(test, c, 1, NULL);
		keep = gs_local(node) ? !keep : keep;
		to = gs_local(node) && !keep ? &list : kept;
		nr -= to == &list;
		node->next = *to;
		*to = node;
	}
	return list;
}

/*
 * @nr objects of the node 'here' in the hands of the test, which goes 'there', where
 * there are twice as many that are free: nobody there need take any of 'here'.
 */
static struct gs_node *gs_two_nodes(struct kunit *test, struct gs_cache *c,
				    struct gs_ends ends, unsigned int nr,
				    struct gs_node **kept)
{
	struct gs_node *here;

	*kept = NULL;
	gs_be_on(test, ends.here);
	here = gs_make_local(test, c, nr, kept);
	gs_be_on(test, ends.there);
	gs_list_free(c, gs_make_local(test, c, 2 * nr, kept));
	/* All of them are in slabs: a barn that is full would take no more. */
	gs_cache_shrink(c);
	return here;
}

/* Deferred frees on another node, and a barrier: all of them have come home. */
static void gs_numa_home(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = GS_SHEAF };
	struct gs_ends ends = gs_need_nodes(test);
	struct gs_node *far, *near, *kept;
	const unsigned int nr = 8 * GS_SHEAF;
	struct gs_reader *reader;
	struct gs_cache *c;

	gs_need_reader(test);
	c = gs_test_cache(test, "gs_numa", 64, &args, gs_param_flags(test));
	far = gs_two_nodes(test, c, ends, nr, &kept);

	reader = gs_reader_hold(test, NULL, NULL);
	/* Who holds a reader is on the first CPU. */
	gs_be_on(test, ends.there);
	gs_list_free_rcu(c, far);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), nr);
	gs_reader_release(test, reader);
	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	near = gs_test_list(test, c, nr, NULL);
	KUNIT_EXPECT_EQ(test, gs_local(near), nr);

	gs_be_on(test, ends.here);
	far = gs_test_list(test, c, nr, NULL);
	KUNIT_EXPECT_EQ(test, gs_local(far), nr);

	gs_list_free(c, near);
	gs_list_free(c, far);
	gs_list_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A batch of two nodes' objects: each part goes to its own. */
static void gs_numa_mixed(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = GS_SHEAF };
	struct gs_ends ends = gs_need_nodes(test);
	struct gs_node *far, *near, *next, *kept;
	const unsigned int nr = 8 * GS_SHEAF;
	struct gs_cache *c;
	unsigned int i;

	c = gs_test_cache(test, "gs_numa", 64, &args, gs_param_flags(test));
	far = gs_two_nodes(test, c, ends, nr, &kept);
	near = gs_test_list(test, c, 2 * nr, NULL);
	KUNIT_EXPECT_EQ(test, gs_local(near), 2 * nr);

	/* One of one node, two of the other, and so on. */
	while (far) {
		next = far->next;
		gs_cache_free_rcu(c, far);
		far = next;
		for (i = 0; i < 2 && near; i++) {
			next = near->next;
			gs_cache_free_rcu(c, near);
			near = next;
		}
	}
	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	near = gs_test_list(test, c, 2 * nr, NULL);
	KUNIT_EXPECT_EQ(test, gs_local(near), 2 * nr);
	gs_be_on(test, ends.here);
	far = gs_test_list(test, c, nr, NULL);
	KUNIT_EXPECT_EQ(test, gs_local(far), nr);

	gs_list_free(c, near);
	gs_list_free(c, far);
	gs_list_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Frees that wait for nothing: this CPU's own sheaves may have them, its barn has not. */
static void gs_numa_frees(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = GS_SHEAF };
	struct gs_ends ends = gs_need_nodes(test);
	struct gs_node *far, *near, *kept;
	const unsigned int nr = 8 * GS_SHEAF;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_numa", 64, &args, gs_param_flags(test));
	far = gs_two_nodes(test, c, ends, nr, &kept);

	gs_list_free(c, far);
	near = gs_test_list(test, c, nr + GS_OWN, NULL);
	KUNIT_EXPECT_GE(test, gs_local(near), nr);

	gs_be_on(test, ends.here);
	far = gs_test_list(test, c, nr - GS_OWN, NULL);
	KUNIT_EXPECT_EQ(test, gs_local(far), nr - GS_OWN);

	gs_list_free(c, near);
	gs_list_free(c, far);
	gs_list_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * A batch that an allocation takes itself, as soon as its grace period is over,
 * has been looked at too. A worker may have been faster: until one was not.
 */
static void gs_numa_swapped(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = GS_SHEAF };
	struct gs_ends ends = gs_need_nodes(test);
	const unsigned int nr = 4 * GS_SHEAF;
	struct gs_node *far, *kept;
	unsigned long cookie, end;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_numa", 64, &args, 0);
	far = gs_two_nodes(test, c, ends, nr, &kept);
	end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	for (;;) {
		/* Nothing is left in the sheaves, so that the next one looks further. */
		gs_cache_shrink(c);
		gs_list_free_rcu(c, far);
		cookie = start_poll_synchronize_rcu();
		while (!poll_state_synchronize_rcu(cookie))
			cond_resched();
		far = gs_test_list(test, c, nr, NULL);
		KUNIT_EXPECT_EQ(test, gs_local(far), nr);
		gs_list_free(c, far);
		if (gs_test_stats(test, c).swapped || time_after(jiffies, end))
			break;

		gs_cache_barrier(c);
		gs_be_on(test, ends.here);
		far = gs_test_list(test, c, nr, NULL);
		KUNIT_EXPECT_EQ(test, gs_local(far), nr);
		gs_be_on(test, ends.there);
	}
	KUNIT_EXPECT_GT(test, gs_test_stats(test, c).swapped, 0);
	gs_list_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * Sheaves go from the node that frees to the one that allocates, full, and are
 * not collected there when they are empty.
 */
static void gs_numa_sheaves(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = 1020 };
	/* Of 8 KiB each, and the kernel's own ups and downs are less than half of it. */
	const unsigned int rounds = 60, sheaves = 8;
	struct gs_ends ends = gs_need_nodes(test);
	unsigned long before = 0;
	struct gs_cache *c;
	struct gs_node *list;
	unsigned int round;

	c = gs_test_cache(test, "gs_numa", sizeof(*list), &args, 0);
	for (round = 0; round < rounds + 5; round++) {
		if (round == 5)
			before = gs_free_pages();
		gs_be_on(test, ends.here);
		list = gs_test_list(test, c, sheaves * args.sheaf_capacity,
				    NULL);
		gs_be_on(test, ends.there);
		gs_list_free_rcu(c, list);
		gs_cache_barrier(c);
		cond_resched();
	}
	KUNIT_EXPECT_GT(test,
			gs_free_pages() +
				rounds * sheaves * 8192 / 2 / PAGE_SIZE,
			before);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_numa_cases[] = {
	KUNIT_CASE_PARAM(gs_numa_home, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_numa_mixed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_numa_frees, gs_flags_gen_params),
	KUNIT_CASE(gs_numa_swapped),
	KUNIT_CASE(gs_numa_sheaves),
	{ /* sentinel */ },
};

static struct kunit_suite gs_numa_suite = {
	.name = "gs_numa",
	.test_cases = gs_numa_cases,
};

kunit_test_suite(gs_numa_suite);
