// SPDX-License-Identifier: GPL-2.0
/*
 * A list of words that readers walk while words are taken off it: the least
 * that a module does with graceslab.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <graceslab.h>

struct word {
	struct list_head list;
	char text[16];
	/* No rcu_head. */
};

static struct gs_cache *words;
static LIST_HEAD(all);
static DEFINE_SPINLOCK(lock); /* of writers */

static int add(const char *text)
{
	struct word *w = gs_cache_alloc(words, GFP_KERNEL);

	if (!w)
		return -ENOMEM;
	strscpy(w->text, text);
	spin_lock(&lock);
	list_add_tail_rcu(&w->list, &all);
	spin_unlock(&lock);
	return 0;
}

static void remove_all(void)
{
	struct word *w, *next;

	spin_lock(&lock);
	list_for_each_entry_safe(w, next, &all, list) {
		list_del_rcu(&w->list);
		/* Readers may have it still. Fine under a lock, and anywhere. */
		gs_cache_free_rcu(words, w);
	}
	spin_unlock(&lock);
}

static unsigned int count(void)
{
	unsigned int nr = 0;
	struct word *w;

	rcu_read_lock();
	list_for_each_entry_rcu(w, &all, list)
		nr++;
	rcu_read_unlock();
	return nr;
}

static int __init gs_hello_init(void)
{
	int err;

	words = gs_cache_create("gs_hello_words", sizeof(struct word), NULL, 0);
	if (IS_ERR(words))
		return PTR_ERR(words);
	err = add("hello");
	if (!err)
		err = add("world");
	if (err) {
		remove_all();
		gs_cache_destroy(words);
		return err;
	}
	pr_info("gs_hello: %u words\n", count());
	return 0;
}

static void __exit gs_hello_exit(void)
{
	remove_all();
	/* Waits for the frees above, and for nobody else's. */
	if (!gs_cache_destroy(words))
		pr_info("gs_hello: all words are back\n");
}

module_init(gs_hello_init);
module_exit(gs_hello_exit);
MODULE_DESCRIPTION("The least that a module does with graceslab");
MODULE_LICENSE("GPL");
