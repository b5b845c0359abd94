/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature load-balancer, the part that every packet of a translated connection meets.
 *
 *   nat_apply()	write the entry's nat_* into the packet: destination as it leaves the pod
 *			(front entry), source as it enters (back entry); callers check
 *			enable_load_balancer
 *   nat_write()	the same for an address just chosen
 *
 * Both set the reason of the verdict if they cannot.
 */
#pragma once

#include "conntrack.h"
#include "rewrite.h"

static __always_inline void nat_write(struct __sk_buff *skb, const struct packet *pkt,
				      struct verdict *v, const int dir, const bool v6)
{
	const struct rewrite to = {
		.addr = &v->nat_addr,
		.port = v->nat_port,
		.source = dir == POLICY_INGRESS,
	};

	/* Later fragments carry no ports to find the entry with: all or none. */
	if (pkt->flags & PKT_FRAGMENT)
		v->reason = DROP_FRAGMENT;
	else if (rewrite_endpoint(skb, pkt, &to, v6))
		v->reason = DROP_REWRITE;
}

static __always_inline void nat_apply(struct __sk_buff *skb, const struct packet *pkt,
				      const struct ct_entry *entry, struct verdict *v,
				      const int dir, const bool v6)
{
	/* A packet for the backend itself, from the port of a connection that reaches it through a
	 * service: the backend could not tell the two apart. */
	if (dir == POLICY_EGRESS && entry->flags & CT_NAT_BACK) {
		v->reason = DROP_CT_COLLISION;
		return;
	}
	if (!(entry->flags & (dir == POLICY_EGRESS ? CT_NAT_FRONT : CT_NAT_BACK)))
		return;
	v->nat_addr = *ct_nat_addr(entry);
	v->nat_port = entry->nat_port;
	nat_write(skb, pkt, v, dir, v6);
}
