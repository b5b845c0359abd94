/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature life: its maps, which no other object has.
 *
 *   life_even, life_odd	the boards		life_state	how they are, and the accounts
 *   life_timer		what runs them		life_events	what is told of each generation
 */
#pragma once

#include "../include/contract.h"
#include "../include/section.h"

struct life_timer {
	struct bpf_timer timer;
};

/* Two boards, of which one is whole while the other is computed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32); /* row */
	__type(value, struct life_row);
	__uint(max_entries, 128);
} life_even SEC(".maps") MAP_FEATURE("life") MAP_SIZED_BY("life-height") MAP_RESIZED_EMPTY;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct life_row);
	__uint(max_entries, 128);
} life_odd SEC(".maps") MAP_FEATURE("life") MAP_SIZED_BY("life-height") MAP_RESIZED_EMPTY;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct life_state);
	__uint(max_entries, 1);
} life_state SEC(".maps") MAP_FEATURE("life");

/* The timer that runs the board, with or without an agent, for as long as this map is pinned. Apart
 * from the state: to write an array element from user space stops the timer in it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct life_timer);
	__uint(max_entries, 1);
} life_timer SEC(".maps") MAP_FEATURE("life");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16); /* struct life_event */
} life_events SEC(".maps") MAP_FEATURE("life");
