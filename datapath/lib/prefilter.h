/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature prefilter: deny by source address before the stack spends anything on the packet.
 *
 *   prefilter_match()	entry that covers the source, or NULL; callers check enable_prefilter
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"
#include "packet.h"

static __always_inline const struct prefilter_value *prefilter_match4(const struct packet *pkt)
{
	struct lpm_key4 key = { .prefixlen = 32, .addr = pkt->saddr.v4 };

	return bpf_map_lookup_elem(&prefilter4, &key);
}

static __always_inline const struct prefilter_value *prefilter_match6(const struct packet *pkt)
{
	struct lpm_key6 key = { .prefixlen = 128 };

	__builtin_memcpy(key.addr, &pkt->saddr, sizeof(key.addr));
	return bpf_map_lookup_elem(&prefilter6, &key);
}

static __always_inline const struct prefilter_value *prefilter_match(const struct packet *pkt)
{
	if (enable_ipv4 && pkt->family == 4)
		return prefilter_match4(pkt);
	if (enable_ipv6 && pkt->family == 6)
		return prefilter_match6(pkt);
	return NULL;
}
