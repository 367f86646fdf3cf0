// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tdx_mem.c must not do, for tests of who would notice
 *
 * Each is tried before the right thing is done. A module that is any good refuses
 * it, or tdx_mem_rules.c does, so that the guest does not notice.
 */
#include <linux/kvm_host.h>
#include <linux/moduleparam.h>
#include <linux/page_ref.h>
#include <asm/tdx.h>

#include "mmu.h"
#include "mmu/tdp_mmu.h"
#include "tdx_mem.h"

/* BIT(enum tdx_mem_wrong), until it is taken back. */
static uint tdx_mem_wrong;
module_param(tdx_mem_wrong, uint, 0600);

/* Who is in tdx_mem_do_wrong(); tests do one thing at a time. */
static struct task_struct *wrongdoer;

bool tdx_mem_does_wrong(void)
{
	return READ_ONCE(wrongdoer) == current;
}

/* Where the guest has accepted nothing yet, so that nothing is lost. */
static void tdx_mem_host_write(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_gmem_window win;

	if (kvm_gmem_open(kvm, gfn_to_memslot(kvm, gfn), gfn, KVM_GMEM_MMU_LOCKED, &win))
		return;
	memset(win.addr, 0xa5, PAGE_SIZE);
	kvm_gmem_close(&win);
}

void tdx_mem_do_wrong(struct kvm *kvm, enum tdx_mem_wrong what, gfn_t gfn,
		      enum pg_level level, kvm_pfn_t pfn)
{
	struct tdx_td *td = &to_tdx_mem(kvm)->td;
	gfn_t frame = gfn & ~(KVM_PAGES_PER_HPAGE(PG_LEVEL_2M) - 1);
	enum tdx_mem_wrong asked = what;
	u64 entry, state;

	if (what == TDX_WRONG_UNPIN)
		asked = TDX_WRONG_PIN;
	if (!(READ_ONCE(tdx_mem_wrong) & BIT(asked)))
		return;

	WRITE_ONCE(wrongdoer, current);
	switch (what) {
	case TDX_WRONG_NO_BLOCK:
	case TDX_WRONG_NO_TRACK:
		tdh_mem_page_remove(td, gfn_to_gpa(gfn), level, &entry, &state);
		break;
	case TDX_WRONG_STILL_MAPPED:
		tdh_phymem_page_wbinvd_hkid(to_tdx_mem(kvm)->hkid, pfn);
		break;
	case TDX_WRONG_PROMOTE:
		if (level == PG_LEVEL_4K)
			tdh_mem_page_aug(td, gfn_to_gpa(frame), PG_LEVEL_2M,
					 pfn & ~(KVM_PAGES_PER_HPAGE(PG_LEVEL_2M) - 1),
					 &entry, &state);
		break;
	case TDX_WRONG_PIN:
		page_ref_inc(pfn_to_page(pfn));
		break;
	case TDX_WRONG_UNPIN:
		page_ref_dec(pfn_to_page(pfn));
		break;
	case TDX_WRONG_WIDE_ZAP:
		kvm_tdp_mmu_zap_leafs(kvm, gfn, gfn + 1, false);
		break;
	case TDX_WRONG_SHARED_SPLIT:
		if (level == PG_LEVEL_2M)
			tdx_mem_may_split(kvm, gfn);
		break;
	case TDX_WRONG_OPEN_SPLIT:
		tdx_mem_may_split(kvm, frame);
		break;
	case TDX_WRONG_GIVE_BACK:
		kvm_arch_gmem_reclaim(pfn, 1);
		break;
	case TDX_WRONG_HOST_WRITE:
		tdx_mem_host_write(kvm, gfn);
		break;
	}
	WRITE_ONCE(wrongdoer, NULL);
}
