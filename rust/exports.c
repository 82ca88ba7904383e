// SPDX-License-Identifier: GPL-2.0
/*
 * What other modules link to. The functions are in capi.rs; generic Rust
 * code is instantiated in the module that uses it and comes down to these.
 */
#include <linux/export.h>
#include <graceslab.h>

EXPORT_SYMBOL_GPL(gs_cache_create);
EXPORT_SYMBOL_GPL(gs_cache_destroy);
EXPORT_SYMBOL_GPL(gs_cache_alloc);
EXPORT_SYMBOL_GPL(gs_cache_free);
EXPORT_SYMBOL_GPL(__gs_cache_alloc);
EXPORT_SYMBOL_GPL(__gs_cache_free);
EXPORT_SYMBOL_GPL(__gs_cache_free_rcu);
EXPORT_SYMBOL_GPL(gs_cache_alloc_bulk);
EXPORT_SYMBOL_GPL(gs_cache_free_bulk);
EXPORT_SYMBOL_GPL(gs_cache_free_rcu);
EXPORT_SYMBOL_GPL(gs_sheaf_prefill);
EXPORT_SYMBOL_GPL(gs_sheaf_refill);
EXPORT_SYMBOL_GPL(gs_sheaf_alloc);
EXPORT_SYMBOL_GPL(gs_sheaf_return);
EXPORT_SYMBOL_GPL(gs_cache_barrier);
EXPORT_SYMBOL_GPL(gs_cache_shrink);
EXPORT_SYMBOL_GPL(gs_cache_set_sheaf_capacity);
EXPORT_SYMBOL_GPL(gs_cache_stats);
EXPORT_SYMBOL_GPL(gs_cache_zombies);
EXPORT_SYMBOL_GPL(gs_cache_child);
EXPORT_SYMBOL_GPL(gs_cache_child_gone);
EXPORT_SYMBOL_GPL(gs_cache_tryget);
EXPORT_SYMBOL_GPL(gs_cache_put);
EXPORT_SYMBOL_GPL(gs_kvfree_rcu);
EXPORT_SYMBOL_GPL(gs_barrier);
EXPORT_SYMBOL_GPL(gs_try_kvfree_rcu);
EXPORT_SYMBOL_GPL(gs_kvfree_rcu_at);
EXPORT_SYMBOL_GPL(gs_kfree_rcu_nolock_at);
EXPORT_SYMBOL_GPL(gs_kvfree_rcu_defer);
EXPORT_SYMBOL_GPL(gs_steps);
EXPORT_SYMBOL_GPL(gs_inject);
EXPORT_SYMBOL_GPL(gs_reclaim);

/* For CBox, which is one pointer wide and does not know its cache. */
void gs_object_free(void *obj);
void gs_object_free_rcu(void *obj);
EXPORT_SYMBOL_GPL(gs_object_free);
EXPORT_SYMBOL_GPL(gs_object_free_rcu);
void gs_object_drop_rcu(void *obj, void (*dtor)(void *obj));
EXPORT_SYMBOL_GPL(gs_object_drop_rcu);

/* For Rcu of a vector, whose pointer and length are replaced at once. */
struct gs_latch;
void gs_latch_replace(const struct gs_latch *latch, unsigned long words[2]);
EXPORT_SYMBOL_GPL(gs_latch_replace);
