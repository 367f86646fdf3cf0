# SPDX-License-Identifier: GPL-2.0-only
# Run in the tree's tools/testing/selftests/kvm: our programs are built as if
# they stood there, with its flags and its library.

include Makefile.kvm

gmem_lib := $(patsubst $(GMEM_TESTS)/%.c,$(OUTPUT)/gmem/%.o,$(wildcard $(GMEM_TESTS)/lib/*.c))
gmem_prog := $(patsubst $(GMEM_TESTS)/%.c,$(OUTPUT)/gmem/%,$(wildcard $(GMEM_TESTS)/*.c))

.PHONY: gmem-tests
gmem-tests: $(gmem_prog)

$(OUTPUT)/gmem/%.o: $(GMEM_TESTS)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I$(GMEM_TESTS)/lib -c $< -o $@

$(gmem_prog): %: %.o $(gmem_lib) $(LIBKVM_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcap -o $@

.SECONDARY:
