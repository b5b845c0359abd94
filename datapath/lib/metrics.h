/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature datapath-metrics: packets and bytes by reason and hook.
 *
 *   metrics_count()	count one packet; callers check enable_datapath_metrics
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"

static __always_inline void metrics_count(__u32 reason, __u32 hook, __u32 bytes)
{
	__u32 slot = METRICS_SLOT(reason, hook);
	struct metrics_value *value = bpf_map_lookup_elem(&metrics, &slot);

	if (value) {
		value->packets++;
		value->bytes += bytes;
	}
}
