// SPDX-License-Identifier: GPL-2.0
/*
 * Operations from kprobes, which run like an NMI: in the middle of anything,
 * other operations and the kernel's own locks included. A probe within a probe
 * is stepped over.
 */
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/slab.h>

#include "gs_alone.h"
#include "gs_like_nmi.h"
#include "gs_torture.h"

#define GST_PER_JIFFY	20	/* operations on one CPU */

/* Called with locks held, interrupts off, or by those who are about to. */
static const char * const gst_symbols[] = {
	"call_rcu",
	"__call_rcu_common",
	"rcu_segcblist_enqueue",
	"enqueue_timer",
	"__queue_work",
	"insert_work",
	"try_to_wake_up",
	"get_state_synchronize_rcu_full",
	"_raw_spin_unlock_irqrestore",
	"__free_pages_ok",
	"free_frozen_pages",
};

struct gst_probed {
	struct gst_who who;
	unsigned long jiffy;
	unsigned int left;
};

static DEFINE_PER_CPU(struct gst_probed, gst_probed);
static struct kprobe *gst_probes;
static unsigned int gst_nr_probes;

static int gst_hit(struct kprobe *kp, struct pt_regs *regs)
{
	struct gst_probed *here = this_cpu_ptr(&gst_probed);

	if (!gs_like_nmi())
		return 0;
	if (time_after(jiffies, here->jiffy)) {
		here->jiffy = jiffies;
		here->left = GST_PER_JIFFY;
	}
	if (here->left && gst_one_in(&here->who, 4)) {
		here->left--;
		gst_step(&here->who);
	}
	return 0;
}

NOKPROBE_SYMBOL(gst_hit);

int gst_probes_start(unsigned long entries, unsigned int nr)
{
	const s32 *offset = (const s32 *)entries;
	unsigned int i, cpu, placed = 0;

	for_each_possible_cpu(cpu)
		gst_who_init(&per_cpu(gst_probed, cpu).who,
			     10000 + 10 * cpu + 4, GST_NMI, GST_IN_NMI);
	if (!entries)
		return 0;
	gst_probes = kvcalloc(nr + ARRAY_SIZE(gst_symbols), sizeof(*gst_probes),
			      GFP_KERNEL);
	if (!gst_probes)
		return -ENOMEM;
	gst_nr_probes = nr + ARRAY_SIZE(gst_symbols);
	for (i = 0; i < gst_nr_probes; i++) {
		struct kprobe *kp = &gst_probes[i];

		kp->pre_handler = gst_hit;
		if (i < nr)
			kp->addr = (void *)((unsigned long)&offset[i] +
					    offset[i]);
		else
			kp->symbol_name = gst_symbols[i - nr];
		if (register_kprobe(kp))
			kp->pre_handler = NULL;
		else
			placed++;
	}
	pr_info("gs_torture: %u probes\n", placed);
	return placed ? 0 : -ENOENT;
}

void gst_probes_stop(void)
{
	static struct cpumask gone;
	unsigned int i;

	if (!gst_nr_probes)
		return;
	gs_alone_begin(&gone);
	for (i = 0; i < gst_nr_probes; i++)
		if (gst_probes[i].pre_handler)
			unregister_kprobe(&gst_probes[i]);
	gs_alone_end(&gone);
	kvfree(gst_probes);
}
