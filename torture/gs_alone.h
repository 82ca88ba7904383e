/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A while with one CPU, for probes to be removed in.
 *
 * QEMU may keep what one CPU translated of a probe while another one was
 * removing it; whoever comes there later meets a breakpoint that nobody knows.
 */
#ifndef GS_ALONE_H
#define GS_ALONE_H

#include <linux/cpu.h>
#include <linux/cpumask.h>

/* Takes all CPUs but the first one offline; those that went are in @gone. Sleeps. */
static inline void gs_alone_begin(struct cpumask *gone)
{
	unsigned int cpu;

	cpumask_clear(gone);
	for_each_present_cpu(cpu) {
		if (cpu == cpumask_first(cpu_present_mask) || !cpu_online(cpu))
			continue;
		if (!remove_cpu(cpu))
			cpumask_set_cpu(cpu, gone);
	}
}

/* Brings them back. Sleeps. */
static inline void gs_alone_end(const struct cpumask *gone)
{
	unsigned int cpu;

	for_each_cpu(cpu, gone)
		if (add_cpu(cpu))
			pr_err("CPU %u does not come back\n", cpu);
}

#endif
