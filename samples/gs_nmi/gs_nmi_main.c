// SPDX-License-Identifier: GPL-2.0
/*
 * Frees from a kprobe's handler: a recorder that keeps the latest hits of some
 * functions, and frees the record that a new one replaces right there.
 *
 * A probe's handler is entered by a trap, like an NMI, wherever the function is
 * called: with interrupts off, with locks held, and by default in functions that
 * a deferred free needs itself: call_rcu(), the workqueue, a wake-up. A free that
 * took a lock there, or called any of these, would wait for itself.
 */
#include <linux/hardirq.h>
#include <linux/irqflags.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>

#include "reader.h"
#include "records.h"

#define GS_PROBES	8

static char *symbols[GS_PROBES] = {
	"call_rcu",
	"__queue_work",
	"try_to_wake_up",
};

static int nr_symbols = 3;
module_param_array(symbols, charp, &nr_symbols, 0444);
MODULE_PARM_DESC(symbols, "Functions to probe (call_rcu,__queue_work,try_to_wake_up)");

static struct kprobe probes[GS_PROBES];

static DEFINE_PER_CPU(unsigned long, hits);
static DEFINE_PER_CPU(unsigned long, not_nmi);
static DEFINE_PER_CPU(unsigned long, irqs_on);

static int gs_hit(struct kprobe *kp, struct pt_regs *regs)
{
	this_cpu_inc(hits);
	if (!in_nmi())
		this_cpu_inc(not_nmi);
	if (!irqs_disabled())
		this_cpu_inc(irqs_on);
	gs_record(instruction_pointer(regs));
	return 0;
}

NOKPROBE_SYMBOL(gs_hit);

static unsigned long gs_sum(unsigned long __percpu *of)
{
	unsigned long sum = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		sum += *per_cpu_ptr(of, cpu);
	return sum;
}

static void gs_remove(int nr)
{
	while (nr--)
		unregister_kprobe(&probes[nr]);
}

static int gs_place_all(void)
{
	int i, ret;

	for (i = 0; i < nr_symbols; i++) {
		probes[i].symbol_name = symbols[i];
		probes[i].pre_handler = gs_hit;
		ret = register_kprobe(&probes[i]);
		if (ret) {
			pr_err("gs_nmi: no probe at %s: %d\n", symbols[i], ret);
			gs_remove(i);
			return ret;
		}
	}
	return 0;
}

static int __init gs_nmi_init(void)
{
	int ret = gs_records_init();

	if (ret)
		return ret;
	ret = gs_reader_start();
	if (ret)
		goto destroy;
	ret = gs_place_all();
	if (!ret)
		return 0;
	gs_reader_stop();
destroy:
	gs_records_exit();
	return ret;
}
module_init(gs_nmi_init);

static void __exit gs_nmi_exit(void)
{
	struct gs_reads reads;
	enum gs_kind kind;
	bool wrong;
	int i, ret;

	for (i = 0; i < nr_symbols; i++)
		pr_info("gs_nmi: %s: missed %lu hits within another's handler\n",
			symbols[i], probes[i].nmissed);
	gs_remove(nr_symbols);
	reads = gs_reader_stop();
	ret = gs_records_exit();
	wrong = ret || reads.wrong;

	pr_info("gs_nmi: %lu hits, %lu not like an NMI, %lu with interrupts on\n",
		gs_sum(&hits), gs_sum(&not_nmi), gs_sum(&irqs_on));
	pr_info("gs_nmi: %lu reads, %lu of a record that was freed meanwhile, %lu wrong\n",
		reads.reads, reads.outlived, reads.wrong);
	for (kind = 0; kind < GS_KINDS; kind++) {
		struct gs_counts c = gs_records_counts(kind);

		pr_info("gs_nmi: %s: %lu records made, %lu times no memory, %lu given to a deferred free\n",
			gs_kind_names[kind], c.made, c.none, c.given);
		wrong |= c.made != c.given;
		if (kind == GS_OURS) {
			pr_info("gs_nmi: %s: %lu destructors\n",
				gs_kind_names[kind], c.dropped);
			wrong |= c.dropped != c.given;
		}
	}
	pr_info("gs_nmi: %s; %lu pointers were given to graceslab\n",
		wrong ? "FAIL" : "ok", gs_records_counts(GS_KERNELS).given);
}
module_exit(gs_nmi_exit);

MODULE_DESCRIPTION("Frees from the handler of a kprobe");
MODULE_LICENSE("GPL");
