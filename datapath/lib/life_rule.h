/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Conway's rule on whole words: 64 cells at once, by adding in columns of bits. Plain C that also
 * compiles outside BPF, for which alone the benchmark compares.
 *
 *   life_row_next()	one row of the next generation from three of this one
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

/* Live cells in each byte of `bits`. */
static inline __attribute__((always_inline)) __u64 life_byte_counts(__u64 bits)
{
	bits -= bits >> 1 & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + (bits >> 2 & 0x3333333333333333ULL);
	return (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
}

/* Of at most 31 words' bytes added up. */
static inline __attribute__((always_inline)) __u32 life_sum_bytes(__u64 counts)
{
	const __u64 pairs = (counts & 0x00ff00ff00ff00ffULL) + (counts >> 8 & 0x00ff00ff00ff00ffULL);

	return pairs * 0x0001000100010001ULL >> 48;
}

static inline __attribute__((always_inline)) __u32 life_count(__u64 bits)
{
	return life_sum_bytes(life_byte_counts(bits));
}

/* Where a row is being read: the columns before and at the word that comes next. */
struct life_place {
	struct life_column before;
	struct life_column at;
};

/* The word's cells in the next generation; `after` is the column of the word behind it. */
static inline __attribute__((always_inline)) __u64
life_word(struct life_place *place, __u64 cells, struct life_column after)
{
	const struct life_column before = place->before, at = place->at;
	const struct life_column left = { at.ones << 1 | before.ones >> 63,
					  at.twos << 1 | before.twos >> 63 };
	const struct life_column right = { at.ones >> 1 | after.ones << 63,
					   at.twos >> 1 | after.twos << 63 };

	place->before = at;
	place->at = after;
	return life_rule(cells, left, at, right);
}

/* `bits`: cells in the last word, 1..64. Cuts the row there and joins its ends. */
static inline __attribute__((always_inline)) void
life_row_close(__u64 *row, const __u32 words, const __u32 bits)
{
	const __u64 mask = ~0ULL >> (64 - bits);
	const __u64 last = row[words] & mask;

	row[words] = last;
	row[0] = last << (64 - bits);
	row[words + 1] = row[1];
	if (bits < 64)
		row[words] |= (row[1] & 1) << bits;
}

#define LIFE_UNROLL 4	/* words a turn: fewer jumps, and one count for four */

/* Returns the live cells of the row it made. `words` is at most LIFE_MAX_SIDE / 64: with those that
 * fill up the last turn, and the one read behind it, a row is still within LIFE_ROW_WORDS. */
static inline __attribute__((always_inline)) __u32
life_row_next(const __u64 *above, const __u64 *here, const __u64 *below, __u64 *next,
	      const __u32 words, const __u32 bits)
{
	struct life_place place = { life_column(above[0], here[0], below[0]),
				    life_column(above[1], here[1], below[1]) };
	__u64 ones = 0, counts = 0;	/* live cells are `ones` and, in bytes, 2 * `counts` */
	__u32 extra, w;

	for (w = 1; w <= words; w += LIFE_UNROLL) {
		__u64 made[LIFE_UNROLL];
		struct life_column low, high;

#pragma clang loop unroll(full)
		for (__u32 i = 0; i < LIFE_UNROLL; i++) {
			made[i] = life_word(&place, here[w + i],
					    life_column(above[w + i + 1], here[w + i + 1],
							below[w + i + 1]));
			next[w + i] = made[i];
		}
		low = life_column(ones, made[0], made[1]);
		high = life_column(low.ones, made[2], made[3]);
		ones = high.ones;
		counts += life_byte_counts(low.twos) + life_byte_counts(high.twos);
	}
	extra = life_count(next[words] & ~(~0ULL >> (64 - bits)));
	for (__u32 i = words + 1; i < w; i++)
		extra += life_count(next[i]);
	life_row_close(next, words, bits);
	return 2 * life_sum_bytes(counts) + life_count(ones) - extra;
}
