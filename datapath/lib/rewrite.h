/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writing addresses and ports into packets, with their checksums.
 *
 *   rewrite_endpoint()	source or destination address and port of a TCP or UDP packet
 *   rewrite_quoted()	the same inside the packet quoted by an ICMP error
 *   rewrite_outer()	source or destination address of an ICMP packet
 *
 * Each returns 0, or a negative errno and the packet must be dropped: it may be half written.
 * The checksum helpers know about CHECKSUM_PARTIAL; that is why the parts inside and outside of
 * the pseudo header are handed to them separately.
 */
#pragma once

#include "packet.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#define ICMP_CHECK_OFF 2
#define QUOTE_OFF 8		/* of the quoted packet in an ICMP error */

/* Which end of a packet, and what to write there. */
struct rewrite {
	const union addr *addr;
	__be16 port;
	bool source;
};

static __always_inline __u32 rewrite_addr_off(const bool source, const bool v6)
{
	if (v6)
		return source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
	return source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
}

/* Address at `l3_off`, and the checksum of the IPv4 header there. */
static __always_inline long rewrite_addr(struct __sk_buff *skb, __u32 l3_off,
					 const union addr *from, const union addr *to,
					 const bool source, const bool v6)
{
	__u32 off = l3_off + rewrite_addr_off(source, v6);
	long ret;

	if (v6)
		return bpf_skb_store_bytes(skb, off, to, 16, BPF_F_INVALIDATE_HASH);
	ret = bpf_l3_csum_replace(skb, l3_off + offsetof(struct iphdr, check), from->v4, to->v4,
				  sizeof(to->v4));
	return ret ? ret : bpf_skb_store_bytes(skb, off, to, 4, BPF_F_INVALIDATE_HASH);
}

/* Change of address in an L4 checksum; `flags`: BPF_F_PSEUDO_HDR, BPF_F_MARK_MANGLED_0 or 0. */
static __always_inline long rewrite_l4_addr(struct __sk_buff *skb, __u32 check_off,
					    const union addr *from, const union addr *to,
					    __u64 flags, const bool v6)
{
	__s64 diff;

	if (!v6)
		return bpf_l4_csum_replace(skb, check_off, from->v4, to->v4, flags | 4);
	diff = bpf_csum_diff((__be32 *)from->w, 16, (__be32 *)to->w, 16, 0);
	return diff < 0 ? (long)diff : bpf_l4_csum_replace(skb, check_off, 0, diff, flags);
}

static __always_inline long rewrite_endpoint(struct __sk_buff *skb, const struct packet *pkt,
					     const struct rewrite *to, const bool v6)
{
	const bool udp = pkt->protocol == IPPROTO_UDP;
	const __u32 check_off = pkt->l4_off + (udp ? offsetof(struct udphdr, check)
						   : offsetof(struct tcphdr, check));
	const union addr *from = to->source ? &pkt->saddr : &pkt->daddr;
	const __u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0; /* no checksum stays no checksum */
	__be16 port = to->source ? pkt->sport : pkt->dport;
	long ret;

	ret = rewrite_l4_addr(skb, check_off, from, to->addr, flags | BPF_F_PSEUDO_HDR, v6);
	if (ret)
		return ret;
	ret = bpf_l4_csum_replace(skb, check_off, port, to->port, flags | sizeof(port));
	if (ret)
		return ret;
	ret = bpf_skb_store_bytes(skb, pkt->l4_off + (to->source ? 0 : 2), &to->port,
				  sizeof(to->port), BPF_F_INVALIDATE_HASH);
	if (ret)
		return ret;
	return rewrite_addr(skb, pkt->l3_off, from, to->addr, to->source, v6);
}

/* The ICMP checksum covers the quotation. Its IPv4 header is one's-complement neutral once its own
 * checksum is right. The L4 checksum in the quotation stays: it is often cut off and nobody can
 * check it against a truncated packet. */
static __always_inline long rewrite_quoted(struct __sk_buff *skb, const struct packet *pkt,
					   const struct packet *quoted, const struct rewrite *to,
					   const bool v6)
{
	const union addr *from = to->source ? &quoted->saddr : &quoted->daddr;
	__be16 port = to->source ? quoted->sport : quoted->dport;
	__u32 check_off = pkt->l4_off + ICMP_CHECK_OFF;
	long ret;

	if (v6) {
		ret = rewrite_l4_addr(skb, check_off, from, to->addr, 0, v6);
		if (ret)
			return ret;
	}
	ret = rewrite_addr(skb, quoted->l3_off, from, to->addr, to->source, v6);
	if (ret)
		return ret;
	ret = bpf_l4_csum_replace(skb, check_off, port, to->port, sizeof(port));
	if (ret)
		return ret;
	return bpf_skb_store_bytes(skb, quoted->l4_off + (to->source ? 0 : 2), &to->port,
				   sizeof(to->port), BPF_F_INVALIDATE_HASH);
}

static __always_inline long rewrite_outer(struct __sk_buff *skb, const struct packet *pkt,
					  const struct rewrite *to, const bool v6)
{
	const union addr *from = to->source ? &pkt->saddr : &pkt->daddr;
	long ret;

	if (v6) {
		ret = rewrite_l4_addr(skb, pkt->l4_off + ICMP_CHECK_OFF, from, to->addr,
				      BPF_F_PSEUDO_HDR, v6);
		if (ret)
			return ret;
	}
	return rewrite_addr(skb, pkt->l3_off, from, to->addr, to->source, v6);
}
