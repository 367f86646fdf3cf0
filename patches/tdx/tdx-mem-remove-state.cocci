// SPDX-License-Identifier: GPL-2.0-only
// Description: What tdx_mem.c works on is of tdx_mem.h.
//  These are the members of struct kvm_tdx that went there, and their types.
// Author: gmem maintainers
// Forwarded: no
// Last-Update: 2026-11-21
// Target: arch/x86/kvm/vmx/tdx.h

@@ @@
-enum kvm_tdx_state { ... };
@@ @@
struct kvm_tdx {
...
-int hkid;
-enum kvm_tdx_state state;
...
-struct tdx_td td;
-struct page *page_add_src;
-bool wait_for_sept_zap;
...
};
