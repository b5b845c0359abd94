/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature http-visibility: HTTP/1 requests and responses, from the first segment of each.
 *
 *   http_is_wanted()	a packet for the HTTP stage: it begins as a message of its direction may
 *   http_inspect()	the stage: parse, count, report
 *
 * There is no state: what a segment is, its own bytes say. What goes to a server's port can be a request
 * only, what comes from it a response only; of a segment HTTP_READ bytes are looked at, of several
 * messages in it the first.
 *
 *   request	METHOD SP TARGET SP "HTTP/1." DIGIT, then CR LF, LF or the segment's end. METHOD is any
 *		token, TARGET any bytes but white space and control bytes. A line that the segment's end
 *		(or HTTP_READ) cuts short is one if METHOD is known and no byte contradicts; its path is
 *		flagged as cut.
 *   response	"HTTP/1." DIGIT SP STATUS, then SP, HT, CR, LF or the segment's end; STATUS is 100..999.
 *   malformed	"HTTP/1." and not a response; a known METHOD, SP, and in the same line " HTTP/1.", and
 *		not a request.
 *   no HTTP	all else: bodies, TLS, HTTP/2, HTTP/0.9, segments of less than HTTP_PEEK bytes. Text in a
 *		body can be malformed only if a segment happens to begin with such words.
 */
#pragma once

#include "http_parse.h"
#include "l7.h"

#define HTTP_PEEK 8

/* Bulk data does not get further than this. */
static __always_inline bool http_begins(struct __sk_buff *skb, const struct packet *pkt, __u32 sides)
{
	__u64 first;
	__u32 off;

	if (l7_payload(pkt, &off) < HTTP_PEEK || bpf_skb_load_bytes(skb, off, &first, HTTP_PEEK))
		return false;
	first = bpf_be64_to_cpu(first);
	return (sides & L7_FROM_SERVER && first >> 8 == HTTP_VERSION) ||
	       (sides & L7_TO_SERVER && http_is_token(first >> 56));
}

/* The direction is handed on too, in cb[2], which is no one else's behind the balancer: in the stage a
 * translated packet has the service's port. */
static __always_inline bool http_is_wanted(struct __sk_buff *skb, const struct packet *pkt,
					   const struct verdict *v, const __u32 hook)
{
	__u32 zero = 0, sides;

	if (pkt->protocol != IPPROTO_TCP || !l7_is_candidate(pkt, v))
		return false;
	sides = l7_sides(bpf_map_lookup_elem(&http_ports, &zero), pkt, v, hook);
	if (!sides || !http_begins(skb, pkt, sides))
		return false;
	skb->cb[2] = sides;
	return true;
}

static __always_inline void http_count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&http_metrics, &slot);

	if (value)
		(*value)++;
}

static __always_inline bool http_is_response(const struct http_scratch *s)
{
	__u64 word = 0;

#pragma unroll
	for (int i = 0; i < 7; i++)
		word = word << 8 | s->bytes[i];
	return word == HTTP_VERSION;
}

/* enum l7_kind, or HTTP_NONE; the rest is in s->event. */
static __always_inline __u8 http_parse(struct http_scratch *s, __u32 sides)
{
	if (sides & L7_FROM_SERVER && http_is_response(s))
		return http_parse_response(s);
	return sides & L7_TO_SERVER ? http_parse_request(s) : HTTP_NONE;
}

/* Clients take a status of 600 and more for one of the fifth class (RFC 9110, 15). */
static __always_inline __u32 http_counter(const struct http_event *event, __u8 kind)
{
	__u32 hundreds = event->status / 100;

	if (kind == L7_REQUEST)
		return HTTP_REQUEST_FIRST + event->method;
	if (kind == L7_MALFORMED)
		return HTTP_MALFORMED;
	return HTTP_CLASS_FIRST + (hundreds < 5 ? hundreds : 5) - 1;
}

static __always_inline void http_inspect(struct __sk_buff *skb, const struct packet *pkt,
					 const __u32 hook)
{
	__u32 zero = 0, sides = skb->cb[2], off, len;
	struct http_scratch *s = bpf_map_lookup_elem(&http_scratch, &zero);
	__u8 kind;

	len = l7_payload(pkt, &off);
	if (len > HTTP_READ)
		len = HTTP_READ;
	/* Else both bounds become one comparison of another number, from which the verifiers
	 * of 6.1 and 6.12 learn nothing about this one. */
	barrier_var(len);
	if (!s || len < HTTP_PEEK || bpf_skb_load_bytes(skb, off, s->bytes, len))
		return;
	__builtin_memset(&s->event, 0, sizeof(s->event));
	s->len = len;
	kind = http_parse(s, sides);
	if (kind == HTTP_NONE)
		return;
	http_count(http_counter(&s->event, kind));
	l7_head_init(&s->event.head, pkt, skb->ifindex, kind, hook);
	if (bpf_ringbuf_output(&http_events, &s->event, sizeof(s->event), 0))
		http_count(HTTP_LOST);
}
