// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Life: no hook; the agent runs these two (BPF_PROG_RUN), the timer does the rest by itself. */
#include "lib/life.h"

SEC("syscall")
int life_start(void *ctx __attribute__((unused)))
{
	if (!enable_game_of_life || !kernel_has_loop)
		return 0;
	return life_arm();
}

SEC("syscall")
int life_stop(void *ctx __attribute__((unused)))
{
	if (!enable_game_of_life || !kernel_has_loop)
		return 0;
	return life_halt();
}

char _license[] SEC("license") = "Dual BSD/GPL";
