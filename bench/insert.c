// SPDX-License-Identifier: GPL-2.0
/*
 * A table that is overwritten while readers look things up: what a user's
 * whole operation gains. It is that of samples/gs_kv, a list for each bucket
 * with a lock for its writers, on either side's objects.
 */
#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

#include "gs_bench.h"

#define GS_BUCKET_BITS	10
#define GS_BUCKETS	(1 << GS_BUCKET_BITS)
#define GS_KEYS		8192
#define GS_RUN_MS	1000
#define GS_LOOP		1000

struct gs_entry {
	struct hlist_node link;
	struct rcu_head rcu;
	u64 key;
	u64 value[8];
};

struct gs_bucket {
	spinlock_t lock; /* of writers */
	struct hlist_head list;
} ____cacheline_aligned;

struct gs_user {
	struct task_struct *task;
	u64 state;
	u64 done;
	u64 wrong;
};

static struct gs_bench_caches caches;
static struct gs_bucket *table;
static enum gs_bench_side side_used;

static u64 gs_random(struct gs_user *u)
{
	u->state ^= u->state << 13;
	u->state ^= u->state >> 7;
	u->state ^= u->state << 17;
	return u->state;
}

static struct gs_bucket *gs_bucket_of(u64 key)
{
	return &table[hash_64(key, GS_BUCKET_BITS)];
}

static struct gs_entry *gs_find(struct gs_bucket *b, u64 key)
{
	struct gs_entry *e;

	hlist_for_each_entry_rcu(e, &b->list, link, lockdep_is_held(&b->lock))
		if (e->key == key)
			return e;
	return NULL;
}

static bool gs_insert(u64 key, u64 value)
{
	struct gs_bucket *b = gs_bucket_of(key);
	struct gs_entry *new, *old;

	new = side_used == OURS ? gs_cache_alloc(caches.ours, GFP_KERNEL) :
				  kmem_cache_alloc(caches.peer, GFP_KERNEL);
	if (!new)
		return false;
	new->key = key;
	memset64(new->value, value, ARRAY_SIZE(new->value));

	spin_lock(&b->lock);
	old = gs_find(b, key);
	if (old)
		hlist_replace_rcu(&old->link, &new->link);
	else
		hlist_add_head_rcu(&new->link, &b->list);
	spin_unlock(&b->lock);

	if (!old)
		return true;
	if (side_used == OURS)
		gs_cache_free_rcu(caches.ours, old);
	else
		kfree_rcu(old, rcu);
	return true;
}

static int gs_writer(void *arg)
{
	struct gs_user *u = arg;
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < GS_LOOP; i++) {
			if (gs_insert(gs_random(u) % GS_KEYS, u->state))
				u->done++;
			else
				u->wrong++;
		}
		cond_resched();
	}
	return 0;
}

/* All words of a value were written at once, by one writer. */
static int gs_reader(void *arg)
{
	struct gs_user *u = arg;
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < GS_LOOP; i++) {
			u64 key = gs_random(u) % GS_KEYS;
			struct gs_entry *e;

			rcu_read_lock();
			e = gs_find(gs_bucket_of(key), key);
			if (e) {
				u64 value = READ_ONCE(e->value[0]);

				if (READ_ONCE(e->value[7]) != value)
					u->wrong++;
				u->done++;
			}
			rcu_read_unlock();
		}
		cond_resched();
	}
	return 0;
}

static void gs_empty(void)
{
	struct gs_entry *e;
	struct hlist_node *next;
	int i;

	for (i = 0; i < GS_BUCKETS; i++) {
		hlist_for_each_entry_safe(e, next, &table[i].list, link) {
			hlist_del(&e->link);
			gs_bench_free_all(&caches, side_used, (void **)&e, 1);
		}
	}
}

/* A writer on one CPU, readers on all others. */
static int gs_insert_once(enum gs_bench_side side)
{
	struct gs_user *users;
	u64 begin, took, done = 0, wrong = 0;
	int cpu, key, ret;

	ret = gs_bench_again(&caches);
	if (ret)
		return ret;
	users = vzalloc(array_size(nr_cpu_ids, sizeof(*users)));
	if (!users)
		return -ENOMEM;
	side_used = side;
	for (key = 0; key < GS_KEYS && !ret; key++)
		ret = gs_insert(key, key) ? 0 : -ENOMEM;

	begin = ktime_get_ns();
	for_each_online_cpu(cpu) {
		bool writer = cpu == cpumask_first(cpu_online_mask);
		struct gs_user *u = &users[cpu];

		if (ret)
			break;
		u->state = 88172645463325252ULL + cpu;
		u->task = kthread_create(writer ? gs_writer : gs_reader, u,
					 "gs_bench/%d", cpu);
		if (IS_ERR(u->task)) {
			ret = PTR_ERR(u->task);
			u->task = NULL;
			break;
		}
		kthread_bind(u->task, cpu);
		wake_up_process(u->task);
	}
	if (!ret)
		msleep(GS_RUN_MS);
	for_each_online_cpu(cpu) {
		if (!users[cpu].task)
			continue;
		kthread_stop(users[cpu].task);
		wrong += users[cpu].wrong;
		if (cpu == cpumask_first(cpu_online_mask)) {
			done = users[cpu].done;
			took = ktime_get_ns() - begin;
		}
	}
	vfree(users);
	gs_empty();
	gs_bench_wait(&caches, side);
	if (!ret && wrong) {
		pr_err("gs_bench: insert: %llu failed, or were seen half written\n",
		       wrong);
		ret = -EIO;
	}
	if (!ret)
		gs_bench_sample("insert", "inserts/ms", side,
				mul_u64_u64_div_u64(done, 1000 * NSEC_PER_MSEC,
						    took));
	return ret;
}

static int gs_insert_run(unsigned int repeats)
{
	int i, ret;

	table = vzalloc(array_size(GS_BUCKETS, sizeof(*table)));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < GS_BUCKETS; i++)
		spin_lock_init(&table[i].lock);
	ret = gs_bench_open(&caches, "gs_bench", sizeof(struct gs_entry), NULL);
	if (!ret) {
		ret = gs_bench_repeat(repeats, gs_insert_once);
		gs_bench_close(&caches);
	}
	vfree(table);
	return ret;
}

const struct gs_bench_row gs_bench_insert_rows[] = {
	{ "insert", gs_insert_run },
	{ /* sentinel */ },
};
