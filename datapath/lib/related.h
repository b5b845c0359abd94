/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors: they belong to the connection of the packet that they quote.
 *
 *   related_find()	true if the quoted packet's connection is known and its verdict stands; the
 *			error is translated as that connection is
 *
 * An error that enters the pod quotes a packet that left it, and the other way round. Extension
 * headers and fragments inside the quotation are not looked through: such errors are decided by
 * policy like any other packet.
 */
#pragma once

#include "nat.h"

/* First eight bytes of the quoted L4 header, the least that an error quotes. */
union quoted_l4 {
	struct {
		__be16 source;
		__be16 dest;
	} ports;
	struct icmp_header icmp;
};

static __always_inline bool related_quoted_ipv4(struct __sk_buff *skb, struct packet *quoted)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, quoted->l3_off, &ip, sizeof(ip)))
		return false;
	if (ip.version != 4 || ip.ihl < 5 || ip.frag_off & bpf_htons(0x1fff))
		return false;
	quoted->saddr.v4 = ip.saddr;
	quoted->daddr.v4 = ip.daddr;
	quoted->protocol = ip.protocol;
	quoted->l4_off = quoted->l3_off + ip.ihl * 4;
	return true;
}

static __always_inline bool related_quoted_ipv6(struct __sk_buff *skb, struct packet *quoted)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, quoted->l3_off, &ip, sizeof(ip)))
		return false;
	if (ip.version != 6)
		return false;
	__builtin_memcpy(&quoted->saddr, &ip.saddr, sizeof(quoted->saddr));
	__builtin_memcpy(&quoted->daddr, &ip.daddr, sizeof(quoted->daddr));
	quoted->protocol = ip.nexthdr;
	quoted->l4_off = quoted->l3_off + sizeof(ip);
	return true;
}

static __always_inline bool related_quoted(struct __sk_buff *skb, const struct packet *pkt,
					   struct packet *quoted, const bool v6)
{
	union quoted_l4 l4;

	quoted->l3_off = pkt->l4_off + QUOTE_OFF;
	if (!(v6 ? related_quoted_ipv6(skb, quoted) : related_quoted_ipv4(skb, quoted)))
		return false;
	if (quoted->l4_off + sizeof(l4) > pkt->end_off ||
	    bpf_skb_load_bytes(skb, quoted->l4_off, &l4, sizeof(l4)))
		return false;
	switch (quoted->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		quoted->sport = l4.ports.source;
		quoted->dport = l4.ports.dest;
		return true;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (icmp_is_echo(l4.icmp.type, v6))
			quoted->sport = l4.icmp.echo_id;
		else if (icmp_is_echo_reply(l4.icmp.type, v6))
			quoted->dport = l4.icmp.echo_id;
		return true;
	}
	return true;
}

/* Entering: the quotation's destination is the backend, and so may be the sender of the error.
 * Leaving: its source is the service as the pod knows it, and so may be where the error goes. */
static __always_inline void related_translate(struct __sk_buff *skb, const struct packet *pkt,
					      const struct packet *quoted,
					      const struct ct_entry *entry, struct verdict *v,
					      const int dir, const bool v6)
{
	const bool leaving = dir == POLICY_EGRESS;
	const union addr *inner = leaving ? &quoted->saddr : &quoted->daddr;
	const union addr *outer = leaving ? &pkt->daddr : &pkt->saddr;
	const bool outer_too = addr_equal(inner, outer, v6);
	struct rewrite to = { .addr = &v->nat_addr };

	if (!(entry->flags & (leaving ? CT_NAT_FRONT : CT_NAT_BACK)))
		return;
	v->nat_addr = *ct_nat_addr(entry);
	v->nat_port = entry->nat_port;
	if (pkt->flags & PKT_FRAGMENT) {
		v->reason = DROP_FRAGMENT;
		return;
	}
	to.port = v->nat_port;
	to.source = leaving;
	if (rewrite_quoted(skb, pkt, quoted, &to, v6)) {
		v->reason = DROP_REWRITE;
		return;
	}
	to.source = !leaving;
	if (outer_too && rewrite_outer(skb, pkt, &to, v6))
		v->reason = DROP_REWRITE;
}

static __always_inline bool related_find(struct __sk_buff *skb, const struct packet *pkt,
					 struct verdict *v, const int dir, const bool v6)
{
	const int quoted_dir = dir == POLICY_EGRESS ? POLICY_INGRESS : POLICY_EGRESS;
	struct packet quoted = {};
	const struct ct_entry *entry;
	union ct_key key;
	bool same_pod;

	if (!related_quoted(skb, pkt, &quoted, v6))
		return false;
	/* Nobody may speak of a connection of another pod. */
	same_pod = dir == POLICY_EGRESS ? addr_equal(&quoted.daddr, &pkt->saddr, v6)
					: addr_equal(&quoted.saddr, &pkt->daddr, v6);
	if (!same_pod)
		return false;
	ct_key_of(&key, &quoted, quoted_dir, v6);
	entry = ct_lookup(&key, v6);
	if (!entry || ct_expired(entry, bpf_jiffies64()) || ct_is_stale(entry))
		return false;
	v->rule = entry->rule;
	v->peer_identity = entry->peer_identity;
	if (enable_policy && policy_audit_mode && entry->flags & CT_AUDITED)
		v->reason = REASON_AUDITED;
	if (enable_load_balancer)
		related_translate(skb, pkt, &quoted, entry, v, dir, v6);
	return true;
}
