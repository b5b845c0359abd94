/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Conway's rule on whole words: 64 cells at once, by adding in columns of bits. Plain C that also
 * compiles outside BPF, for which alone the benchmark compares.
 *
 *   life_row_next()	one row of the next generation from three of this one
 *   life_row_close()	the ends of a row whose cells are set: cut at the width, joined to a torus
 */
#pragma once

#include "../include/contract.h"

/* Three cells above each other, as a number of two bits in each column. */
struct life_column {
	__u64 ones;
	__u64 twos;
};

static inline __attribute__((always_inline)) struct life_column
life_column(__u64 above, __u64 here, __u64 below)
{
	const __u64 two = above ^ here;
	const struct life_column sum = { two ^ below, (above & here) | (two & below) };

	return sum;
}

/* The sum of nine cells, the one in the middle included, is 3: alive; 4: as it was; else dead. */
static inline __attribute__((always_inline)) __u64
life_rule(__u64 cells, struct life_column left, struct life_column here, struct life_column right)
{
	const struct life_column ones = life_column(left.ones, here.ones, right.ones);
	const __u64 a = left.twos ^ here.twos, ab = left.twos & here.twos;
	const __u64 c = right.twos ^ ones.twos, cd = right.twos & ones.twos;
	const __u64 odd = a ^ c;	/* twos in the sum: 1 or 3 */
	const __u64 three = ones.ones & odd & ~(ab | cd);
	const __u64 four = ~ones.ones & ((a & c) | (~odd & (ab ^ cd)));

	return three | (cells & four);
}

static inline __attribute__((always_inline)) __u32 life_count(__u64 bits)
{
	return __builtin_popcountll(bits);
}

/* `bits`: cells in the last word, 1..64; `last` is that word. */
static inline __attribute__((always_inline)) void
life_row_close(__u64 *row, const __u32 words, const __u32 bits, __u64 last)
{
	const __u64 first = words == 1 ? last : row[1];

	row[0] = last << (64 - bits);
	row[words + 1] = first;
	row[words] = bits < 64 ? last | (first & 1) << bits : last;
}

/* Returns the live cells of the row it made. `words` is at most LIFE_MAX_SIDE / 64. */
static inline __attribute__((always_inline)) __u32
life_row_next(const __u64 *above, const __u64 *here, const __u64 *below, __u64 *next,
	      const __u32 words, const __u32 bits)
{
	struct life_column before = life_column(above[0], here[0], below[0]);
	struct life_column at = life_column(above[1], here[1], below[1]);
	__u64 made = 0;
	__u32 count = 0;

	for (__u32 w = 1; w <= words; w++) {
		const struct life_column after =
			life_column(above[w + 1], here[w + 1], below[w + 1]);
		const struct life_column left = { at.ones << 1 | before.ones >> 63,
						  at.twos << 1 | before.twos >> 63 };
		const struct life_column right = { at.ones >> 1 | after.ones << 63,
						   at.twos >> 1 | after.twos << 63 };

		made = life_rule(here[w], left, at, right);
		next[w] = made;
		count += life_count(made);
		before = at;
		at = after;
	}
	if (bits < 64) {
		count -= life_count(made >> bits);
		made &= (1ULL << bits) - 1;
	}
	life_row_close(next, words, bits, made);
	return count;
}
