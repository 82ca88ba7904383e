// SPDX-License-Identifier: GPL-2.0
/*
 * A cache has its directory in debugfs, also if another one of its name has
 * just gone, or is going while it comes.
 */
#include <linux/dcache.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "gs_kunit.h"

#define GS_DIRECTORY_NAME	"gs_directory"
#define GS_DIRECTORY_MS		1500

/* Whether it is there; dput() what is. */
static struct dentry *gs_directory_find(const char *name, struct dentry *where)
{
	struct dentry *found = debugfs_lookup(name, where);

	return IS_ERR(found) ? NULL : found;
}

struct gs_directory_user {
	struct dentry *where;
	unsigned int had;
	unsigned int missed;
	unsigned int wrong;
};

/* Has the cache again and again, and tries to as soon as the other has it. */
static void gs_directory_use(void *data)
{
	struct gs_directory_user *user = data;

	while (!kthread_should_stop()) {
		struct gs_cache *c = gs_cache_create(GS_DIRECTORY_NAME, 64,
						     NULL, 0);
		struct dentry *dir;

		cond_resched();
		if (IS_ERR(c)) {
			user->wrong += c != ERR_PTR(-EEXIST);
			continue;
		}
		/* That of the last one has gone when this is over. */
		fsleep(USEC_PER_MSEC);
		dir = gs_directory_find(GS_DIRECTORY_NAME, user->where);
		user->had++;
		user->missed += !dir;
		dput(dir);
		user->wrong += gs_cache_destroy(c) != 0;
		/* It is the other's turn. */
		fsleep(USEC_PER_MSEC);
	}
}

static void gs_directory_put(void *dir)
{
	dput(dir);
}

static void gs_directory_race(struct kunit *test)
{
	struct gs_directory_user *users;
	struct gs_thread *threads[2];
	struct dentry *where;
	int cpu, i;

	where = gs_directory_find("graceslab", NULL);
	if (!where)
		kunit_skip(test, "no debugfs");
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_directory_put,
						  where));
	users = kunit_kcalloc(test, ARRAY_SIZE(threads), sizeof(*users),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, users);
	cpu = gs_pin_self(test);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		users[i].where = where;
		threads[i] = gs_thread_run(test, cpu, gs_directory_use,
					   &users[i]);
		cpu = gs_other_cpu(cpu);
	}
	fsleep(GS_DIRECTORY_MS * USEC_PER_MSEC);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		gs_thread_stop(test, threads[i]);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		KUNIT_EXPECT_GT(test, users[i].had, 0);
		KUNIT_EXPECT_EQ(test, users[i].missed, 0);
		KUNIT_EXPECT_EQ(test, users[i].wrong, 0);
	}
}

static struct kunit_case gs_directory_cases[] = {
	KUNIT_CASE(gs_directory_race),
	{ /* sentinel */ },
};

static struct kunit_suite gs_directory_suite = {
	.name = "gs_directory",
	.test_cases = gs_directory_cases,
};

kunit_test_suite(gs_directory_suite);
