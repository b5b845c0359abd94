// SPDX-License-Identifier: Apache-2.0
// What life_bench holds the kernel against.
#pragma once

#include <stdint.h>

#include "datapath/include/contract.h"

#ifdef __cplusplus
extern "C" {
#endif

// One generation of `height` rows, from one board to the other. Returns its live cells. By the loop
// that the datapath has; and by one that is made for vector registers.
uint64_t life_native_generation(const struct life_row* from, struct life_row* to, uint32_t width,
                                uint32_t height);
uint64_t life_vector_generation(const struct life_row* from, struct life_row* to, uint32_t width,
                                uint32_t height);

#ifdef __cplusplus
}
#endif
