// SPDX-License-Identifier: GPL-2.0
/* What gs_lender calls. */
#include <linux/export.h>
#include <linux/types.h>

void gs_heir_take(size_t n, void *object, void *witness);
EXPORT_SYMBOL_GPL(gs_heir_take);
