// SPDX-License-Identifier: GPL-2.0
/*
 * Where no free is pending, destroy and barrier wait for no grace period: they
 * return while a reader that was there before is still inside its section.
 *
 * Without a second CPU and without preemptible RCU no reader can be held. There
 * synchronize_rcu() itself ends a grace period, so that a cookie taken before
 * the call is still good after it, unless something else ended one: one such
 * call in many is enough.
 */
#include <linux/rcupdate.h>

#include "gs_kunit.h"

#define GS_IDLE_TRIES	100

static void gs_idle_call_nothing(struct gs_cache *c)
{
}

static void gs_idle_call_barrier(struct gs_cache *c)
{
	gs_cache_barrier(c);
}

static void gs_idle_call_barrier_all(struct gs_cache *c)
{
	gs_barrier();
}

static const struct gs_idle_param {
	const char *name;
	void (*call)(struct gs_cache *c);
	unsigned int nr_free;
	unsigned int nr_free_rcu;
	unsigned long flags;
} gs_idle_params[] = {
	{ "destroy_unused", gs_idle_call_nothing, 0, 0, 0 },
	{ "destroy_freed", gs_idle_call_nothing, 1000, 0, 0 },
	{ "destroy_freed_consistency", gs_idle_call_nothing, 1000, 0,
	  GS_CONSISTENCY },
	{ "destroy_reclaimed", gs_idle_call_nothing, 100, 1000, 0 },
	{ "destroy_reclaimed_consistency", gs_idle_call_nothing, 100, 1000,
	  GS_CONSISTENCY },
	{ "barrier_unused", gs_idle_call_barrier, 0, 0, 0 },
	{ "barrier_freed", gs_idle_call_barrier, 1000, 0, 0 },
	{ "barrier_reclaimed", gs_idle_call_barrier, 100, 1000, 0 },
	{ "barrier_reclaimed_consistency", gs_idle_call_barrier, 100, 1000,
	  GS_CONSISTENCY },
	{ "barrier_of_all", gs_idle_call_barrier_all, 100, 1000, 0 },
};

KUNIT_ARRAY_PARAM_DESC(gs_idle, gs_idle_params, name);

/* A cache with the parameter's history and nothing pending. */
static struct gs_cache *gs_idle_cache(struct kunit *test)
{
	const struct gs_idle_param *param = test->param_value;
	struct gs_node *list;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_idle", 64, NULL, param->flags);
	list = gs_test_list(test, c, param->nr_free, NULL);
	gs_list_free_rcu(c, gs_test_list(test, c, param->nr_free_rcu, NULL));
	gs_list_free(c, list);
	/* Of all: also what the tests before this one left behind. */
	gs_barrier();
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	return c;
}

static void gs_idle_no_grace_period(struct kunit *test)
{
	const struct gs_idle_param *param = test->param_value;
	struct gs_reader *reader;
	struct gs_cache *c;
	int i;

	if (gs_can_hold_reader()) {
		c = gs_idle_cache(test);
		reader = gs_reader_hold(test, NULL, NULL);
		param->call(c);
		KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
		KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
		gs_reader_release(test, reader);
		return;
	}

	for (i = 0; i < GS_IDLE_TRIES; i++) {
		unsigned long cookie;

		c = gs_idle_cache(test);
		cookie = get_state_synchronize_rcu();
		param->call(c);
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
		if (!poll_state_synchronize_rcu(cookie))
			break;
	}
	KUNIT_EXPECT_LT(test, i, GS_IDLE_TRIES);
}

/* A history on the other CPU: what that CPU holds is collected all the same. */
struct gs_idle_remote {
	struct gs_cache *c;
	struct gs_node *list;
	struct gs_node *list_rcu;
};

static void gs_idle_remote_free(void *data)
{
	struct gs_idle_remote *remote = data;

	gs_list_free(remote->c, remote->list);
	gs_list_free_rcu(remote->c, remote->list_rcu);
}

static void gs_idle_two_cpus(struct kunit *test)
{
	struct gs_idle_remote remote = {};
	struct gs_reader *reader;
	struct gs_thread *thread;

	gs_need_reader(test);
	remote.c = gs_test_cache(test, "gs_idle", 64, NULL,
				 gs_param_flags(test));
	remote.list = gs_test_list(test, remote.c, 500, NULL);
	remote.list_rcu = gs_test_list(test, remote.c, 500, NULL);
	thread = gs_thread_run(test, gs_other_cpu(gs_pin_self(test)),
			       gs_idle_remote_free, &remote);
	gs_thread_join(test, thread);
	gs_cache_barrier(remote.c);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, remote.c), 0);

	reader = gs_reader_hold(test, NULL, NULL);
	gs_cache_barrier(remote.c);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, remote.c), 0);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_release(test, reader);
}

static struct kunit_case gs_idle_cases[] = {
	KUNIT_CASE_PARAM(gs_idle_no_grace_period, gs_idle_gen_params),
	KUNIT_CASE_PARAM(gs_idle_two_cpus, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_idle_suite = {
	.name = "gs_idle",
	.test_cases = gs_idle_cases,
};

kunit_test_suite(gs_idle_suite);
