/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What fuzzers of parsers share, those of gmem(1) as well. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Takes [ROUNDS [SEED]], says what they are, and returns the rounds. */
unsigned long fuzz_start(int argc, char **argv, unsigned long rounds);
/* Below n. */
uint32_t rnd(uint32_t n);
/* Changes a text at one place, *at; returns its size, which is at most max. */
size_t mutate(char *text, size_t size, size_t max, size_t *at);

#endif /* FUZZ_H */
