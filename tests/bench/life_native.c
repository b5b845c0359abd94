// SPDX-License-Identifier: Apache-2.0
/* The datapath's own rule, compiled for this machine. */
#include "tests/bench/life_native.h"

#include "datapath/lib/life_rule.h"

uint64_t life_native_generation(const struct life_row *from, struct life_row *to, uint32_t width,
				uint32_t height)
{
	const uint32_t words = (width + 63) / 64, bits = (width - 1) % 64 + 1;
	uint64_t population = 0;

	for (uint32_t y = 0; y < height; y++) {
		const struct life_row *above = &from[y ? y - 1 : height - 1];
		const struct life_row *below = &from[y + 1 < height ? y + 1 : 0];

		population += life_row_next(above->words, from[y].words, below->words, to[y].words,
					    words, bits);
	}
	return population;
}
