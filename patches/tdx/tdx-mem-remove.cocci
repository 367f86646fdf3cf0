// SPDX-License-Identifier: GPL-2.0-only
// Description: Private memory of TDX guests moves to tdx_mem.c.
//  This is what it replaces of tdx.c, with the comments.
// Author: gmem maintainers
// Forwarded: no
// Last-Update: 2026-11-21
// Target: arch/x86/kvm/vmx/tdx.c

@@ @@
-static int tdx_mem_page_add(...) { ... }
@@ @@
-static int tdx_mem_page_aug(...) { ... }
@@ @@
-static struct page *tdx_spte_to_sept_pt(...) { ... }
@@ @@
-static int tdx_sept_map_nonleaf_spte(...) { ... }
@@ @@
-static int tdx_sept_map_leaf_spte(...) { ... }
@@ @@
-static void tdx_track(...) { ... }
@@ @@
-static int tdx_sept_remove_leaf_spte(...) { ... }
@@ @@
-static int tdx_sept_set_private_spte(...) { ... }
@@ @@
-static void tdx_sept_free_private_spt(...) { ... }
@@ @@
-struct tdx_gmem_post_populate_arg { ... };
@@ @@
-static int tdx_gmem_post_populate(...) { ... }
@@ @@
-static int tdx_vcpu_init_mem_region(...) { ... }
@@ @@
-int tdx_gmem_max_mapping_level(...) { ... }
@@ @@
-static int tdx_td_finalize(...) { ... }
@@
expression e;
@@
-#define tdh_do_no_vcpus(...) e
@@
symbol local_retry, ret, false;
@@
-bool local_retry = false;
-int ret;
@@
symbol exit_qual, local_retry, true;
@@
-exit_qual = EPT_VIOLATION_ACC_WRITE;
-local_retry = true;
@@
statement S;
symbol ret;
@@
-while (1) S
-return ret;
