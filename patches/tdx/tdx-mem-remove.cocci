// SPDX-License-Identifier: GPL-2.0-only
// Description: Private memory of TDX guests moves to tdx_mem.c.
//  These are the functions of tdx.c that it replaces, with their comments.
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
