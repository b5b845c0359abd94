/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a packet once it is parsed. Plain data: no feature owns it.
 *
 *   union addr		IPv4 or IPv6 address; IPv4 in the first word, the rest zero
 *   struct packet	headers of interest, offsets from the start of the frame
 *   addr_equal()	compare two addresses of one family
 *   icmp_is_echo() icmp_is_echo_reply() icmp_is_error()
 *			what an ICMP or ICMPv6 type stands for
 */
#pragma once

#include "../include/contract.h"
#include "../include/section.h"

#include <bpf/bpf_endian.h>

union addr {
	__be32 v4;
	__u8 b[16];
	__u32 w[4];
	__u64 d[2];
};

enum packet_flags {
	PKT_FRAGMENT = 1 << 0,		/* part of a datagram, the first part or a later one */
	PKT_LATER_FRAGMENT = 1 << 1,	/* has no L4 header: ports are 0 */
	PKT_ICMP = 1 << 2,		/* ICMP or ICMPv6 with its header */
	PKT_ICMP_ERROR = 1 << 3,	/* quotes the packet it complains about */
	PKT_ND = 1 << 4,		/* IPv6 neighbour discovery */
};

struct packet {
	union addr saddr;
	union addr daddr;
	__u32 len;		/* of the frame */
	__u32 l3_off;
	__u32 l4_off;
	__u32 end_off;		/* where the IP packet ends; Ethernet padding may follow */
	__be16 sport;		/* ICMP echo: the identifier on the side that asked, else 0 */
	__be16 dport;
	__be16 icmp_type;	/* type byte, code byte, as in the packet */
	__u8 family;		/* 4, 6; 0: not IP */
	__u8 protocol;
	__u8 tcp_flags;		/* 14th byte of the TCP header */
	__u8 flags;		/* enum packet_flags */
	__u8 l4_len;		/* bytes of the TCP or UDP header; 0: neither */
	__u8 pad;
};

enum tcp_flag {
	TCP_FIN = 1 << 0,
	TCP_SYN = 1 << 1,
	TCP_RST = 1 << 2,
	TCP_ACK = 1 << 4,
};

static __always_inline bool addr_equal(const union addr *a, const union addr *b, const bool v6)
{
	if (v6)
		return a->d[0] == b->d[0] && a->d[1] == b->d[1];
	return a->v4 == b->v4;
}

/* First eight bytes of both ICMP and ICMPv6. <linux/icmp.h> would bring in the C library. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 check;
	__be16 echo_id;
	__be16 echo_sequence;
};

static __always_inline bool icmp_is_echo(__u8 type, const bool v6)
{
	return type == (v6 ? 128 : 8);
}

static __always_inline bool icmp_is_echo_reply(__u8 type, const bool v6)
{
	return type == (v6 ? 129 : 0);
}

/* IPv4: unreachable, time exceeded, parameter problem; IPv6 has "packet too big" besides. */
static __always_inline bool icmp_is_error(__u8 type, const bool v6)
{
	if (v6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 11 || type == 12;
}
