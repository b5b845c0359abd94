// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The map of generation.bpf.c with other fields, though nobody raised its layout. */
#define LAYOUT
#include "relaid.bpf.h"
