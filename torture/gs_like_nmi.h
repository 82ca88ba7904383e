/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a probe's handler has to be in the middle of to prove anything.
 */
#ifndef GS_LIKE_NMI_H
#define GS_LIKE_NMI_H

#include <linux/hardirq.h>
#include <linux/irqflags.h>

/*
 * Whether a probe was entered by a trap, wherever its CPU was: an NMI to x86_64,
 * where what is no trap has interrupts off, too. To arm64, which has traps
 * alone, it is none, and the kernel only knows that interrupts are off.
 */
static inline bool gs_like_nmi(void)
{
	return IS_ENABLED(CONFIG_ARM64) ? irqs_disabled() : in_nmi();
}

#endif
