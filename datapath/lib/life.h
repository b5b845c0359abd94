/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature life: a board that a timer carries from generation to generation.
 *
 *   life_arm()		let the timer run the board; callers check enable_game_of_life
 *			and kernel_has_loop, of both
 *   life_halt()	stop it; when it returns, no callback runs and none will
 *
 * One run of the callback computes at most LIFE_SLICE_WORDS words, some hundred microseconds, so
 * that softirqs are never held for long; then it waits for as long as life_cpu_percent asks.
 */
#pragma once

#include "../include/config.h"
#include "life_maps.h"
#include "life_rule.h"

#define LIFE_SLICE_WORDS 16384
/* What a run of the callback takes besides computing, which its clock does not see: the timer's interrupt,
 * softirq, the event. Some 8 us were measured; it is rested for, and not in any account. */
#define LIFE_RUN_NS 10000ULL
#define LIFE_WAKE_NS 20000000ULL	/* readers of events are woken no more often */
#define LIFE_CLOCK 1			/* CLOCK_MONOTONIC */
#define LIFE_EBUSY 16			/* the timer is there already */

/* The rows of one slice. */
struct life_slice {
	__u32 first;
	__u32 population;
};

static __always_inline __u32 life_words(void)
{
	return (life_width + 63) / 64;
}

static __always_inline long life_step_row(void *from, void *to, __u32 row,
					  struct life_slice *slice)
{
	const __u32 up = row ? row - 1 : life_height - 1;
	const __u32 down = row + 1 < life_height ? row + 1 : 0;
	const struct life_row *above = bpf_map_lookup_elem(from, &up);
	const struct life_row *here = bpf_map_lookup_elem(from, &row);
	const struct life_row *below = bpf_map_lookup_elem(from, &down);
	struct life_row *next = bpf_map_lookup_elem(to, &row);

	if (!above || !here || !below || !next)
		return 1;
	slice->population += life_row_next(above->words, here->words, below->words, next->words,
					   life_words(), (life_width - 1) % 64 + 1);
	return 0;
}

static long life_from_even(__u32 index, struct life_slice *slice)
{
	return life_step_row(&life_even, &life_odd, slice->first + index, slice);
}

static long life_from_odd(__u32 index, struct life_slice *slice)
{
	return life_step_row(&life_odd, &life_even, slice->first + index, slice);
}

static __always_inline void life_tell(struct life_state *state, __u64 now)
{
	const struct life_event event = {
		.time_ns = now,
		.seeds = state->seeds,
		.generation = state->generation,
		.population = state->population,
		.cpu_ns = state->last_ns,
	};
	const bool wake = now - state->told_ns >= LIFE_WAKE_NS ||
			  state->generation >= state->run_until;

	if (bpf_ringbuf_output(&life_events, (void *)&event, sizeof(event),
			       wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP))
		state->events_lost++;
	if (wake)
		state->told_ns = now;
}

static __always_inline void life_finish(struct life_state *state, __u64 now)
{
	__u64 before;

	state->population = state->partial_population;
	state->last_ns = state->partial_ns;
	state->partial_population = 0;
	state->partial_ns = 0;
	state->next_row = 0;
	state->generations++;
	/* With the old value fetched it is a full barrier: the rows come before it. Unused, it would not
	 * be fetched. */
	before = __sync_fetch_and_add(&state->generation, 1);
	barrier_var(before);
	life_tell(state, now);
}

/* What keeps the timer below its share of the CPU after `spent` nanoseconds. */
static __always_inline __u64 life_rest(__u64 spent)
{
	return (spent + LIFE_RUN_NS) * (100 - life_cpu_percent) / life_cpu_percent;
}

/* How long a timer that is started has still to wait: stops and starts gain the board nothing. */
static __always_inline __u64 life_owed(const struct life_state *state)
{
	const __u64 now = bpf_ktime_get_ns();
	__u64 spent = state->next_row ? state->partial_ns : state->last_ns;
	__u64 due = spent + life_rest(spent);

	if (state->run_until == LIFE_FOREVER && !state->next_row && due < state->interval_ns)
		due = state->interval_ns;
	due += state->begun_ns;
	return due > now ? due - now : 0;
}

/* Computes the next rows. Returns for how long to wait then. */
static __always_inline __u64 life_advance(struct life_state *state)
{
	const __u64 begin = bpf_ktime_get_ns();
	struct life_slice slice = { .first = state->next_row };
	__u32 rows = LIFE_SLICE_WORDS / life_words();
	__u64 now, spent, rest, since;

	if (rows > life_height - slice.first)
		rows = life_height - slice.first;
	if (!slice.first)
		state->begun_ns = begin;
	if (state->generation & 1)
		bpf_loop(rows, life_from_odd, &slice, 0);
	else
		bpf_loop(rows, life_from_even, &slice, 0);
	now = bpf_ktime_get_ns();
	spent = now - begin;
	state->partial_population += slice.population;
	state->partial_ns += spent;
	state->total_ns += spent;
	state->slices++;
	if (spent > state->longest_ns)
		state->longest_ns = spent;
	rest = life_rest(spent);
	state->next_row = slice.first + rows;
	if (state->next_row < life_height)
		return rest;
	life_finish(state, now);
	since = now - state->begun_ns;
	if (state->run_until == LIFE_FOREVER && since + rest < state->interval_ns)
		rest = state->interval_ns - since;
	return rest;
}

static int life_tick(void *map __attribute__((unused)), __u32 *key __attribute__((unused)),
		     struct life_timer *self)
{
	const __u32 zero = 0;
	struct life_state *state = bpf_map_lookup_elem(&life_state, &zero);
	__u64 rest;

	/* Boards of another size than this program's are the agent's to replace first. */
	if (!state || state->width != life_width || state->height != life_height)
		return 0;
	if (state->generation >= state->run_until || state->next_row >= life_height)
		return 0;
	rest = life_advance(state);
	if (state->generation < state->run_until)
		bpf_timer_start(&self->timer, rest, 0);
	return 0;
}

static __always_inline int life_arm(void)
{
	const __u32 zero = 0;
	struct life_timer *self = bpf_map_lookup_elem(&life_timer, &zero);
	const struct life_state *state = bpf_map_lookup_elem(&life_state, &zero);
	long ret;

	if (!self || !state)
		return -1;
	ret = bpf_timer_init(&self->timer, &life_timer, LIFE_CLOCK);
	if (ret && ret != -LIFE_EBUSY)
		return ret;
	ret = bpf_timer_set_callback(&self->timer, life_tick);
	if (ret || state->generation >= state->run_until)
		return ret;
	return bpf_timer_start(&self->timer, life_owed(state), 0);
}

static __always_inline int life_halt(void)
{
	const __u32 zero = 0;
	struct life_timer *self = bpf_map_lookup_elem(&life_timer, &zero);

	/* An error says that it was never made. */
	if (self)
		bpf_timer_cancel(&self->timer);
	return 0;
}
