/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tdx_soft

#if !defined(_TRACE_TDX_SOFT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_TDX_SOFT_H

#include <linux/tracepoint.h>

struct tdx_module_args;

/* A SEAMCALL: leaf by name, operands as they came, RAX. */
TRACE_EVENT(seamcall,
	    TP_PROTO(const char *name, const struct tdx_module_args *in, u64 ret),
	    TP_ARGS(name, in, ret),

	    TP_STRUCT__entry(__string(name, name)
			     __field(u64, rcx)
			     __field(u64, rdx)
			     __field(u64, r8)
			     __field(u64, ret)),

	    TP_fast_assign(__assign_str(name);
			   __entry->rcx = in->rcx;
			   __entry->rdx = in->rdx;
			   __entry->r8 = in->r8;
			   __entry->ret = ret;),

	    TP_printk("%s rcx %llx rdx %llx r8 %llx ret %016llx", __get_str(name),
		      __entry->rcx, __entry->rdx, __entry->r8, __entry->ret)
);

#endif /* _TRACE_TDX_SOFT_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
