// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs that go and come back.
 */
#include <linux/cpu.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "gs_torture.h"

int gst_onoff(void *arg)
{
	struct gst_who *who = arg;
	unsigned int cpu, i;

	while (!kthread_should_stop()) {
		schedule_timeout_interruptible(1 + gst_random(who, HZ / 2));
		cpu = cpumask_nth(gst_random(who, num_online_cpus()),
				  cpu_online_mask);
		if (kthread_should_stop() || cpu >= nr_cpu_ids ||
		    num_online_cpus() == 1 || !cpu_is_hotpluggable(cpu) ||
		    remove_cpu(cpu))
			continue;
		schedule_timeout_interruptible(1 + gst_random(who, HZ / 5));
		for (i = 0; i < 10 && add_cpu(cpu); i++)
			schedule_timeout_uninterruptible(HZ / 10);
		if (i == 10)
			gst_error("CPU %u does not come back", cpu);
		gst_timers_restart(cpu);
		gst_count(GST_ONOFF);
	}
	return 0;
}
