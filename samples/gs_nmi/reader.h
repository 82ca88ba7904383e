/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _GS_NMI_READER_H
#define _GS_NMI_READER_H

/* What the reader has done. */
struct gs_reads {
	unsigned long reads;
	unsigned long outlived; /* the record was replaced, and read once more */
	unsigned long wrong;
};

int gs_reader_start(void);
struct gs_reads gs_reader_stop(void);

#endif /* _GS_NMI_READER_H */
