// SPDX-License-Identifier: Apache-2.0
/* The datapath's own rule, compiled for this machine: in the datapath's loop, and in one that a compiler
 * finds fit for vector registers, which BPF has none of. */
#include "tests/bench/life_native.h"

#include "datapath/lib/life_rule.h"

typedef uint32_t (*row_maker)(const uint64_t *above, const uint64_t *here, const uint64_t *below,
			      uint64_t *next, uint32_t words, uint32_t bits);

static inline __attribute__((always_inline)) uint64_t
generation(const struct life_row *from, struct life_row *to, uint32_t width, uint32_t height,
	   row_maker make)
{
	const uint32_t words = (width + 63) / 64, bits = (width - 1) % 64 + 1;
	uint64_t population = 0;

	for (uint32_t y = 0; y < height; y++) {
		const struct life_row *above = &from[y ? y - 1 : height - 1];
		const struct life_row *below = &from[y + 1 < height ? y + 1 : 0];

		population += make((const uint64_t *)above->words, (const uint64_t *)from[y].words,
				   (const uint64_t *)below->words, (uint64_t *)to[y].words, words,
				   bits);
	}
	return population;
}

static inline __attribute__((always_inline)) uint32_t
datapath_row(const uint64_t *above, const uint64_t *here, const uint64_t *below, uint64_t *next,
	     uint32_t words, uint32_t bits)
{
	return life_row_next((const __u64 *)above, (const __u64 *)here, (const __u64 *)below,
			     (__u64 *)next, words, bits);
}

static inline __attribute__((always_inline)) uint32_t
vector_row(const uint64_t *above, const uint64_t *here, const uint64_t *below, uint64_t *next,
	   uint32_t words, uint32_t bits)
{
	struct life_place place = { life_column(above[0], here[0], below[0]),
				    life_column(above[1], here[1], below[1]) };
	uint32_t count = 0;

	for (uint32_t w = 1; w <= words; w++) {
		next[w] = life_word(&place, here[w],
				    life_column(above[w + 1], here[w + 1], below[w + 1]));
		count += __builtin_popcountll(next[w]);
	}
	count -= __builtin_popcountll(next[words] & ~(~0ULL >> (64 - bits)));
	life_row_close((__u64 *)next, words, bits);
	return count;
}

uint64_t life_native_generation(const struct life_row *from, struct life_row *to, uint32_t width,
				uint32_t height)
{
	return generation(from, to, width, height, datapath_row);
}

uint64_t life_vector_generation(const struct life_row *from, struct life_row *to, uint32_t width,
				uint32_t height)
{
	return generation(from, to, width, height, vector_row);
}
