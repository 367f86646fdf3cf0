// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDX VMs of kvm_amd: how they are made and taken apart
 *
 * The VM type has the ioctls of TDX VMs: KVM_TDX_INIT_VM, _INIT_VCPU,
 * _INIT_MEM_REGION and _FINALIZE_VM, in this order. Until INIT_VM it has no
 * S-EPT, and until FINALIZE_VM no vCPU runs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/idr.h>
#include <linux/kvm_gmem.h>
#include <linux/kvm_host.h>
#include <asm/shared/tdx.h>
#include <asm/tdx.h>
#include <asm/tdx_mem_errno.h>

#include "mmu.h"
#include "soft_td.h"
#include "vmx/tdx_arch.h"
#include "x86.h"

struct kvm_x86_ops soft_td_svm_ops __ro_after_init;

static DEFINE_IDA(soft_td_hkids);

static bool is_soft_td(struct kvm *kvm)
{
	return kvm->arch.vm_type == KVM_X86_SOFT_TDX_VM;
}

/* Nothing that user space can do makes these leaves fail. */
static int soft_td_check(struct kvm *kvm, const char *leaf, u64 err)
{
	if (!err)
		return 0;

	pr_err_ratelimited("%s: 0x%llx\n", leaf, err);
	KVM_BUG_ON(true, kvm);
	return -EIO;
}

static int soft_td_vm_init(struct kvm *kvm)
{
	int r = soft_td_svm_ops.vm_init(kvm);

	if (r || !is_soft_td(kvm))
		return r;

	r = -ENOMEM;
	kvm->arch.tdx_mem = kzalloc_obj(*kvm->arch.tdx_mem, GFP_KERNEL_ACCOUNT);
	if (!kvm->arch.tdx_mem)
		goto err;

	r = soft_tdx_get();
	if (r)
		goto err;

	to_tdx_mem(kvm)->huge = true;
	kvm->max_vcpus = min(kvm->max_vcpus, SOFT_TDX_MAX_VPS);
	kvm->arch.has_private_mem = true;
	/* Before there is a slot, so that none lies where it is. */
	kvm->arch.gfn_direct_bits = gpa_to_gfn(BIT_ULL(SOFT_TDX_SHARED_BIT));
	/* Mappings are split and promoted by nobody but the guest's memory. */
	kvm->arch.disable_nx_huge_pages = true;
	/* As in a TDX VM: KVM does not zap private memory for its own reasons. */
	kvm->arch.disabled_quirks |= KVM_X86_QUIRK_IGNORE_GUEST_PAT;
	return 0;

err:
	kfree(kvm->arch.tdx_mem);
	kvm->arch.tdx_mem = NULL;
	soft_td_svm_ops.vm_destroy(kvm);
	return r;
}

/* A page of the module; NULL and 0 if there is none. */
static void soft_td_reclaim(struct kvm *kvm, struct page *page)
{
	u64 err, type, owner, size;

	if (!page)
		return;

	err = tdh_phymem_page_reclaim(page, &type, &owner, &size);
	/* What the module does not give back is nobody else's. */
	if (!soft_td_check(kvm, "TDH.PHYMEM.PAGE.RECLAIM", err))
		__free_page(page);
}

static void soft_td_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

	if (td) {
		if (td->vp.tdcx_pages)
			soft_td_reclaim(vcpu->kvm, td->vp.tdcx_pages[0]);
		soft_td_reclaim(vcpu->kvm, td->vp.tdvpr_page);
		kfree(td->vp.tdcx_pages);
		kfree(td);
		to_svm(vcpu)->soft_td = NULL;
	}
	soft_td_svm_ops.vcpu_free(vcpu);
}

static int soft_td_vcpu_create(struct kvm_vcpu *vcpu)
{
	int r = soft_td_svm_ops.vcpu_create(vcpu);
	struct soft_td_vcpu *td;

	if (r || !is_soft_td(vcpu->kvm))
		return r;

	/* As in a TDX VM: the TD says what the vCPU is like. */
	if (to_tdx_mem(vcpu->kvm)->state != TD_STATE_INITIALIZED) {
		r = -EIO;
		goto err;
	}

	td = kzalloc_obj(*td, GFP_KERNEL_ACCOUNT);
	if (!td) {
		r = -ENOMEM;
		goto err;
	}
	to_svm(vcpu)->soft_td = td;
	return 0;

err:
	soft_td_svm_ops.vcpu_free(vcpu);
	return r;
}

static bool soft_td_vcpu_needs_init(struct kvm_vcpu *vcpu)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

	if (!td)
		return soft_td_svm_ops.vcpu_needs_initialization &&
		       soft_td_svm_ops.vcpu_needs_initialization(vcpu);

	return !td->initialized ||
	       to_tdx_mem(vcpu->kvm)->state != TD_STATE_RUNNABLE;
}

/* Give the key back. From here on the module only gives pages back. */
static void soft_td_release_hkid(struct kvm *kvm)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 err;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

		if (!td || !td->initialized)
			continue;
		err = tdh_vp_flush(&td->vp);
		if ((err & TDX_SEAMCALL_STATUS_MASK) != TDX_VCPU_NOT_ASSOCIATED)
			soft_td_check(kvm, "TDH.VP.FLUSH", err);
	}

	if (soft_td_check(kvm, "TDH.MNG.VPFLUSHDONE", tdh_mng_vpflushdone(&mem->td)))
		return;

	for (err = tdh_phymem_cache_wb(false);
	     (err & TDX_SEAMCALL_STATUS_MASK) == TDX_INTERRUPTED_RESUMABLE;
	     err = tdh_phymem_cache_wb(true))
		cond_resched();
	/* Another TD that goes may have done it. */
	if ((err & TDX_SEAMCALL_STATUS_MASK) != TDX_NO_HKID_READY_TO_WBCACHE)
		soft_td_check(kvm, "TDH.PHYMEM.CACHE.WB", err);

	if (soft_td_check(kvm, "TDH.MNG.KEY.FREEID", tdh_mng_key_freeid(&mem->td)))
		return;
	ida_free(&soft_td_hkids, mem->hkid);
	mem->hkid = 0;
}

static void soft_td_vm_pre_destroy(struct kvm *kvm)
{
	if (soft_td_svm_ops.vm_pre_destroy)
		soft_td_svm_ops.vm_pre_destroy(kvm);

	if (is_soft_td(kvm) && to_tdx_mem(kvm)->hkid > 0)
		soft_td_release_hkid(kvm);
}

/* Control pages of the TD, of which some may be missing; not the key. */
static void soft_td_free(struct kvm *kvm)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	int i;

	for (i = 0; mem->td.tdcs_pages && i < mem->td.tdcs_nr_pages; i++)
		soft_td_reclaim(kvm, mem->td.tdcs_pages[i]);
	kfree(mem->td.tdcs_pages);
	mem->td.tdcs_pages = NULL;

	soft_td_reclaim(kvm, mem->td.tdr_page);
	mem->td.tdr_page = NULL;
}

static void soft_td_vm_destroy(struct kvm *kvm)
{
	if (is_soft_td(kvm) && to_tdx_mem(kvm)) {
		soft_td_free(kvm);
		kfree(kvm->arch.tdx_mem);
		kvm->arch.tdx_mem = NULL;
		soft_tdx_put();
	}
	soft_td_svm_ops.vm_destroy(kvm);
}

/* A page that becomes the module's by a leaf, or is freed again. */
static struct page *soft_td_give_page(struct kvm *kvm, const char *leaf,
				      u64 (*fn)(struct kvm_tdx_mem *mem,
						struct page *page))
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);

	if (!page)
		return ERR_PTR(-ENOMEM);

	if (soft_td_check(kvm, leaf, fn(to_tdx_mem(kvm), page))) {
		__free_page(page);
		return ERR_PTR(-EIO);
	}
	return page;
}

static u64 soft_td_create_tdr(struct kvm_tdx_mem *mem, struct page *page)
{
	u64 err;

	mem->td.tdr_page = page;
	err = tdh_mng_create(&mem->td, mem->hkid);
	if (err)
		mem->td.tdr_page = NULL;
	return err;
}

static u64 soft_td_add_tdcx(struct kvm_tdx_mem *mem, struct page *page)
{
	return tdh_mng_addcx(&mem->td, page);
}

/* All that takes the TD apart copes with what there is of it. */
static int soft_td_create(struct kvm *kvm, struct td_params *params, u64 *hw_error)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	struct page *page;
	u64 rcx;
	int r;

	page = soft_td_give_page(kvm, "TDH.MNG.CREATE", soft_td_create_tdr);
	if (IS_ERR(page))
		return PTR_ERR(page);

	if (soft_td_check(kvm, "TDH.MNG.KEY.CONFIG", tdh_mng_key_config(&mem->td)))
		return -EIO;

	mem->td.tdcx_nr_pages = SOFT_TDX_TDCX_PAGES;
	mem->td.tdcs_pages = kzalloc_objs(*mem->td.tdcs_pages, SOFT_TDX_TDCS_PAGES,
					  GFP_KERNEL_ACCOUNT);
	if (!mem->td.tdcs_pages)
		return -ENOMEM;

	while (mem->td.tdcs_nr_pages < SOFT_TDX_TDCS_PAGES) {
		page = soft_td_give_page(kvm, "TDH.MNG.ADDCX", soft_td_add_tdcx);
		if (IS_ERR(page))
			return PTR_ERR(page);
		mem->td.tdcs_pages[mem->td.tdcs_nr_pages++] = page;
	}

	*hw_error = tdh_mng_init(&mem->td, __pa(params), &rcx);
	if ((*hw_error & TDX_SEAMCALL_STATUS_MASK) == TDX_OPERAND_INVALID)
		return -EINVAL;
	r = soft_td_check(kvm, "TDH.MNG.INIT", *hw_error);
	return r;
}

static int soft_td_init(struct kvm *kvm, struct kvm_tdx_cmd *cmd)
{
	struct kvm_tdx_init_vm __user *uinit = u64_to_user_ptr(cmd->data);
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	struct td_params *params;
	u64 attributes;
	int r;

	if (mem->state != TD_STATE_UNINITIALIZED || cmd->flags)
		return -EINVAL;
	if (get_user(attributes, &uinit->attributes))
		return -EFAULT;

	params = kzalloc_obj(*params);
	if (!params)
		return -ENOMEM;
	params->attributes = attributes;
	params->max_vcpus = kvm->max_vcpus;

	r = ida_alloc_range(&soft_td_hkids, 1, SOFT_TDX_HKIDS, GFP_KERNEL_ACCOUNT);
	if (r < 0)
		goto out;
	mem->hkid = r;

	r = soft_td_create(kvm, params, &cmd->hw_error);
	if (!r) {
		mem->state = TD_STATE_INITIALIZED;
		goto out;
	}

	if (mem->td.tdr_page) {
		soft_td_release_hkid(kvm);
		soft_td_free(kvm);
	} else {
		ida_free(&soft_td_hkids, mem->hkid);
		mem->hkid = 0;
	}
	mem->td = (struct tdx_td) {};
out:
	kfree(params);
	return r;
}

/*
 * Takes the page in @vp, and @tdcx. The module locks the TD in these, which no zap
 * is to find locked, nor they a zap.
 */
static int soft_td_add_vp(struct kvm_vcpu *vcpu, u64 rcx, struct page *tdcx)
{
	struct tdx_vp *vp = &to_soft_td_vcpu(vcpu)->vp;
	struct kvm *kvm = vcpu->kvm;

	guard(write_lock)(&kvm->mmu_lock);

	if (soft_td_check(kvm, "TDH.VP.CREATE", tdh_vp_create(&to_tdx_mem(kvm)->td, vp))) {
		vp->tdvpr_page = NULL;
		return -EIO;
	}
	if (soft_td_check(kvm, "TDH.VP.ADDCX", tdh_vp_addcx(vp, tdcx)))
		return -EIO;
	vp->tdcx_pages[0] = tdcx;

	return soft_td_check(kvm, "TDH.VP.INIT", tdh_vp_init(vp, rcx, vcpu->vcpu_id));
}

static int soft_td_vcpu_init(struct kvm_vcpu *vcpu, u64 rcx)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);
	struct tdx_vp *vp = &td->vp;
	struct page *tdvpr, *tdcx;
	int r = -ENOMEM;

	/* A vCPU of which a part is missing stays so. */
	if (td->initialized || vp->tdcx_pages)
		return -EINVAL;

	tdvpr = alloc_page(GFP_KERNEL_ACCOUNT);
	tdcx = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!tdvpr || !tdcx)
		goto out;
	vp->tdcx_pages = kzalloc_objs(*vp->tdcx_pages, SOFT_TDX_TDCX_PAGES,
				      GFP_KERNEL_ACCOUNT);
	if (!vp->tdcx_pages)
		goto out;

	vp->tdvpr_page = tdvpr;
	vp->tdvpr_pa = page_to_phys(tdvpr);
	r = soft_td_add_vp(vcpu, rcx, tdcx);
	if (r)
		goto out;

	td->initialized = true;
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
out:
	/* What the module did not take. */
	if (tdvpr && !vp->tdvpr_page)
		__free_page(tdvpr);
	if (tdcx && !(vp->tdcx_pages && vp->tdcx_pages[0]))
		__free_page(tdcx);
	return r;
}

static int soft_td_get_cmd(void __user *argp, struct kvm_tdx_cmd *cmd)
{
	if (copy_from_user(cmd, argp, sizeof(*cmd)))
		return -EFAULT;
	return cmd->hw_error ? -EINVAL : 0;
}

/* No vCPU runs or is created, and no memslot changes. */
static int soft_td_lock(struct kvm *kvm)
{
	int r;

	mutex_lock(&kvm->lock);
	r = kvm_lock_all_vcpus(kvm);
	if (r)
		mutex_unlock(&kvm->lock);
	else
		mutex_lock(&kvm->slots_lock);
	return r;
}

static void soft_td_unlock(struct kvm *kvm)
{
	mutex_unlock(&kvm->slots_lock);
	kvm_unlock_all_vcpus(kvm);
	mutex_unlock(&kvm->lock);
}

static int soft_td_vm_ioctl(struct kvm *kvm, void __user *argp)
{
	struct kvm_tdx_cmd cmd;
	int r;

	if (!is_soft_td(kvm))
		return soft_td_svm_ops.mem_enc_ioctl ?
		       soft_td_svm_ops.mem_enc_ioctl(kvm, argp) : -ENOTTY;

	r = soft_td_get_cmd(argp, &cmd);
	if (r)
		return r;

	r = soft_td_lock(kvm);
	if (r)
		return r;
	switch (cmd.id) {
	case KVM_TDX_INIT_VM:
		r = soft_td_init(kvm, &cmd);
		break;
	case KVM_TDX_FINALIZE_VM:
		r = tdx_mem_finalize(kvm, &cmd.hw_error);
		break;
	default:
		r = -EINVAL;
		break;
	}
	soft_td_unlock(kvm);

	return copy_to_user(argp, &cmd, sizeof(cmd)) ? -EFAULT : r;
}

static int soft_td_vcpu_ioctl(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);
	struct kvm *kvm = vcpu->kvm;
	struct kvm_tdx_cmd cmd;
	int r;

	if (!td)
		return soft_td_svm_ops.vcpu_mem_enc_unlocked_ioctl ?
		       soft_td_svm_ops.vcpu_mem_enc_unlocked_ioctl(vcpu, argp) :
		       -ENOIOCTLCMD;

	r = soft_td_get_cmd(argp, &cmd);
	if (r)
		return r;

	r = soft_td_lock(kvm);
	if (r)
		return r;
	vcpu_load(vcpu);
	if (to_tdx_mem(kvm)->state != TD_STATE_INITIALIZED)
		r = -EINVAL;
	else if (cmd.id == KVM_TDX_INIT_VCPU)
		r = cmd.flags ? -EINVAL : soft_td_vcpu_init(vcpu, cmd.data);
	else if (cmd.id == KVM_TDX_INIT_MEM_REGION && td->initialized)
		r = tdx_mem_init_region(vcpu, &cmd);
	else
		r = -EINVAL;
	vcpu_put(vcpu);
	soft_td_unlock(kvm);

	return r;
}

static int soft_td_max_mapping_level(struct kvm *kvm, kvm_pfn_t pfn, bool is_private)
{
	if (is_soft_td(kvm))
		return tdx_mem_max_mapping_level(kvm, pfn, is_private);

	return soft_td_svm_ops.gmem_max_mapping_level ?
	       soft_td_svm_ops.gmem_max_mapping_level(kvm, pfn, is_private) : 0;
}

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_RECLAIM
static void soft_td_gmem_make_shared(kvm_pfn_t pfn, kvm_pfn_t nr_pages)
{
	soft_tdx_given_back(pfn, nr_pages);
	if (soft_td_svm_ops.gmem_make_shared)
		soft_td_svm_ops.gmem_make_shared(pfn, nr_pages);
}
#endif

/* Nested guests would walk tables that KVM shadows, and not the S-EPT. */
static int soft_td_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	if (to_soft_td_vcpu(vcpu) && efer & EFER_SVME)
		return -EINVAL;
	return soft_td_svm_ops.set_efer(vcpu, efer);
}

static void soft_td_after_set_cpuid(struct kvm_vcpu *vcpu)
{
	if (is_soft_td(vcpu->kvm))
		guest_cpu_cap_clear(vcpu, X86_FEATURE_SVM);
	soft_td_svm_ops.vcpu_after_set_cpuid(vcpu);
}

/**
 * soft_td_hardware_setup - offer TDX VMs
 * @ops: the operations of kvm_amd, complete
 *
 * Guests with four levels of nested tables and a shared bit that the host's
 * address width leaves room for. Not with AVIC, for which KVM zaps the page of the
 * local APIC, whatever is there.
 */
void __init soft_td_hardware_setup(struct kvm_x86_ops *ops)
{
	if (!tdp_mmu_enabled || enable_apicv || pgtable_l5_enabled() ||
	    kvm_host.maxphyaddr <= SOFT_TDX_SHARED_BIT)
		return;

	memcpy(&soft_td_svm_ops, ops, sizeof(*ops));

	ops->vm_init = soft_td_vm_init;
	ops->vm_pre_destroy = soft_td_vm_pre_destroy;
	ops->vm_destroy = soft_td_vm_destroy;
	ops->mem_enc_ioctl = soft_td_vm_ioctl;
	ops->gmem_max_mapping_level = soft_td_max_mapping_level;
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_RECLAIM
	ops->gmem_make_shared = soft_td_gmem_make_shared;
#endif
	ops->set_external_spte = tdx_mem_set_external_spte;
	ops->free_external_spt = tdx_mem_free_external_spt;

	ops->vcpu_create = soft_td_vcpu_create;
	ops->vcpu_free = soft_td_vcpu_free;
	ops->vcpu_needs_initialization = soft_td_vcpu_needs_init;
	ops->vcpu_after_set_cpuid = soft_td_after_set_cpuid;
	ops->set_efer = soft_td_set_efer;
	ops->vcpu_mem_enc_unlocked_ioctl = soft_td_vcpu_ioctl;
	ops->vcpu_run = soft_td_vcpu_run;
	ops->handle_exit = soft_td_handle_exit;
	ops->skip_emulated_instruction = soft_td_skip_instruction;
	ops->check_emulate_instruction = soft_td_check_emulation;
	ops->load_mmu_pgd = soft_td_load_mmu_pgd;

	kvm_caps.supported_vm_types |= BIT(KVM_X86_SOFT_TDX_VM);
}
