// SPDX-License-Identifier: GPL-2.0
/*
 * The module's numbers: parameters with bounds, which can be written while it
 * runs. Documentation/tuning.rst says what they are good for; the letters of
 * debugging are in shim_debug.c.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "shim.h"

struct gs_param {
	unsigned int value, min, max;
	void (*changed)(void); /* called after it was, while the module runs */
};

static struct gs_param gs_params[] = {
	[GS_PARAM_SEAL_MS] = { 10, 1, 10000, gs_rs_seal_all },
	[GS_PARAM_RESERVE_PAGES] = { 4, 0, 256, gs_rs_reserve_fit },
	[GS_PARAM_RESERVE_WRAPPERS] = { 32, 0, 4096, gs_rs_reserve_fit },
	[GS_PARAM_EXPEDITE_MS] = { 100, 1, 60000 },
	[GS_PARAM_EXPEDITE_BATCHES] = { 320, 0, 1000000 },
};

/* The module runs; under the module's parameter lock. */
static bool gs_params_live;

/* A parameter was written: @changed sees to it, if the module runs. */
void gs_sys_param_changed(void (*changed)(void))
{
	if (gs_params_live)
		changed();
}

static int gs_param_set(const char *val, const struct kernel_param *kp)
{
	struct gs_param *param = kp->arg;
	unsigned int value;

	if (kstrtouint(val, 0, &value) || value < param->min ||
	    value > param->max) {
		pr_err("graceslab: %s=%*pE: not a number from %u to %u\n",
		       kp->name, (int)min(strcspn(val, "\n"), 32), val,
		       param->min, param->max);
		return -EINVAL;
	}
	WRITE_ONCE(param->value, value);
	if (param->changed)
		gs_sys_param_changed(param->changed);
	return 0;
}

static int gs_param_get(char *buffer, const struct kernel_param *kp)
{
	const struct gs_param *param = kp->arg;

	return sysfs_emit(buffer, "%u\n", READ_ONCE(param->value));
}

static const struct kernel_param_ops gs_param_ops = {
	.set = gs_param_set,
	.get = gs_param_get,
};

module_param_cb(seal_ms, &gs_param_ops, &gs_params[GS_PARAM_SEAL_MS], 0644);
MODULE_PARM_DESC(seal_ms,
		 "Longest time that an object waits in an open batch, in ms: 1 to 10000, default 10; at least a tick");

module_param_cb(reserve_pages, &gs_param_ops,
		&gs_params[GS_PARAM_RESERVE_PAGES], 0644);
MODULE_PARM_DESC(reserve_pages,
		 "Pages for others' pointers that each CPU keeps: 0 to 256, default 4");

module_param_cb(reserve_wrappers, &gs_param_ops,
		&gs_params[GS_PARAM_RESERVE_WRAPPERS], 0644);
MODULE_PARM_DESC(reserve_wrappers,
		 "Room for single pointers of others that each CPU keeps: 0 to 4096, default 32");

module_param_cb(expedite_ms, &gs_param_ops, &gs_params[GS_PARAM_EXPEDITE_MS],
		0644);
MODULE_PARM_DESC(expedite_ms,
		 "Shortest time between two expedited grace periods, in ms: 1 to 60000, default 100");

module_param_cb(expedite_batches, &gs_param_ops,
		&gs_params[GS_PARAM_EXPEDITE_BATCHES], 0644);
MODULE_PARM_DESC(expedite_batches,
		 "Sealed batches of one CPU from which on a grace period is expedited: 1 to 1000000, default 320; 0: never");

unsigned int gs_sys_param(unsigned int which);
unsigned int gs_sys_param(unsigned int which)
{
	return READ_ONCE(gs_params[which].value);
}

/* From here on, or no longer, a parameter that is written takes effect at once. */
void gs_sys_params_live(bool live);
void gs_sys_params_live(bool live)
{
	kernel_param_lock(THIS_MODULE);
	gs_params_live = live;
	if (live)
		gs_rs_debug_changed();
	kernel_param_unlock(THIS_MODULE);
}
