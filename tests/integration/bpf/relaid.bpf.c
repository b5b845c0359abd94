// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The map of generation.bpf.c with the same sizes and another meaning: layout 2. */
#define LAYOUT __attribute__((btf_decl_tag("layout:2")))
#include "relaid.bpf.h"
