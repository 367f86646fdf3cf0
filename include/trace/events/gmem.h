/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens to guest memory. ino is the file's inode number, 0 if the file is
 * gone; index, start and end are in pages of 4 KiB, end is behind the last one.
 *
 * See Documentation/mm/gmem.rst.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gmem

#if !defined(_TRACE_GMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_GMEM_H

#include <linux/tracepoint.h>
#include <linux/types.h>

DECLARE_EVENT_CLASS(gmem_block,

	TP_PROTO(u64 ino, pgoff_t index, unsigned int order),

	TP_ARGS(ino, index, order),

	TP_STRUCT__entry(
		__field(u64,		ino)
		__field(u64,		index)
		__field(unsigned int,	order)
	),

	TP_fast_assign(
		__entry->ino	= ino;
		__entry->index	= index;
		__entry->order	= order;
	),

	TP_printk("ino=%llu index=%llu order=%u",
		  __entry->ino, __entry->index, __entry->order)
);

DEFINE_EVENT(gmem_block, gmem_alloc,
	TP_PROTO(u64 ino, pgoff_t index, unsigned int order),
	TP_ARGS(ino, index, order)
);

DEFINE_EVENT(gmem_block, gmem_free,
	TP_PROTO(u64 ino, pgoff_t index, unsigned int order),
	TP_ARGS(ino, index, order)
);

TRACE_EVENT(gmem_convert_begin,

	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, bool private),

	TP_ARGS(ino, start, end, private),

	TP_STRUCT__entry(
		__field(u64,	ino)
		__field(u64,	start)
		__field(u64,	end)
		__field(bool,	private)
	),

	TP_fast_assign(
		__entry->ino		= ino;
		__entry->start		= start;
		__entry->end		= end;
		__entry->private	= private;
	),

	TP_printk("ino=%llu start=%llu end=%llu private=%d",
		  __entry->ino, __entry->start, __entry->end, __entry->private)
);

/* at: the index that an error is about */
TRACE_EVENT(gmem_convert_end,

	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, bool private, int err,
		 pgoff_t at),

	TP_ARGS(ino, start, end, private, err, at),

	TP_STRUCT__entry(
		__field(u64,	ino)
		__field(u64,	start)
		__field(u64,	end)
		__field(bool,	private)
		__field(int,	err)
		__field(u64,	at)
	),

	TP_fast_assign(
		__entry->ino		= ino;
		__entry->start		= start;
		__entry->end		= end;
		__entry->private	= private;
		__entry->err		= err;
		__entry->at		= at;
	),

	TP_printk("ino=%llu start=%llu end=%llu private=%d err=%d at=%llu",
		  __entry->ino, __entry->start, __entry->end,
		  __entry->private, __entry->err, __entry->at)
);

/* nr: pages of the range that were not so before */
DECLARE_EVENT_CLASS(gmem_live,

	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, unsigned long nr),

	TP_ARGS(ino, start, end, nr),

	TP_STRUCT__entry(
		__field(u64,	ino)
		__field(u64,	start)
		__field(u64,	end)
		__field(u64,	nr)
	),

	TP_fast_assign(
		__entry->ino	= ino;
		__entry->start	= start;
		__entry->end	= end;
		__entry->nr	= nr;
	),

	TP_printk("ino=%llu start=%llu end=%llu nr=%llu",
		  __entry->ino, __entry->start, __entry->end, __entry->nr)
);

DEFINE_EVENT(gmem_live, gmem_publish,
	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, unsigned long nr),
	TP_ARGS(ino, start, end, nr)
);

DEFINE_EVENT(gmem_live, gmem_withdraw,
	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, unsigned long nr),
	TP_ARGS(ino, start, end, nr)
);

/* filter: enum gmem_state */
DECLARE_EVENT_CLASS(gmem_invalidate,

	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, unsigned int filter),

	TP_ARGS(ino, start, end, filter),

	TP_STRUCT__entry(
		__field(u64,		ino)
		__field(u64,		start)
		__field(u64,		end)
		__field(unsigned int,	filter)
	),

	TP_fast_assign(
		__entry->ino	= ino;
		__entry->start	= start;
		__entry->end	= end;
		__entry->filter	= filter;
	),

	TP_printk("ino=%llu start=%llu end=%llu filter=%s",
		  __entry->ino, __entry->start, __entry->end,
		  __print_flags(__entry->filter, "|",
				{ 1, "shared" },
				{ 2, "private" }))
);

DEFINE_EVENT(gmem_invalidate, gmem_invalidate_begin,
	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, unsigned int filter),
	TP_ARGS(ino, start, end, filter)
);

DEFINE_EVENT(gmem_invalidate, gmem_invalidate_end,
	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end, unsigned int filter),
	TP_ARGS(ino, start, end, filter)
);

TRACE_EVENT(gmem_vmemmap_restore,

	TP_PROTO(u64 ino, pgoff_t start, pgoff_t end),

	TP_ARGS(ino, start, end),

	TP_STRUCT__entry(
		__field(u64,	ino)
		__field(u64,	start)
		__field(u64,	end)
	),

	TP_fast_assign(
		__entry->ino	= ino;
		__entry->start	= start;
		__entry->end	= end;
	),

	TP_printk("ino=%llu start=%llu end=%llu",
		  __entry->ino, __entry->start, __entry->end)
);

TRACE_EVENT(gmem_poison,

	TP_PROTO(u64 ino, pgoff_t index),

	TP_ARGS(ino, index),

	TP_STRUCT__entry(
		__field(u64,	ino)
		__field(u64,	index)
	),

	TP_fast_assign(
		__entry->ino	= ino;
		__entry->index	= index;
	),

	TP_printk("ino=%llu index=%llu",
		  __entry->ino, __entry->index)
);

#endif /* _TRACE_GMEM_H */

#include <trace/define_trace.h>
