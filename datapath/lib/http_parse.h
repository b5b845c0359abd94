/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature http-visibility: the bytes of a segment, in struct http_scratch, to struct http_event.
 *
 *   http_is_token()		a byte that a method may begin with
 *   http_parse_request()	enum l7_kind, or HTTP_NONE; http.h says what these are
 *   http_parse_response()	the same
 *
 * Each loop over bytes is a global function, which the verifier walks once, by itself. Inline it would
 * know another range of the offset for each byte that a loop may end at, and would walk all that follows
 * as often; and the branches left to walk of all loops together are more than it keeps (8,192).
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"

#define HTTP_METHOD_MAX 32	/* longest token that is taken for a method */

/* The first seven bytes of a response, " HTTP/1." and a header's name, as numbers in their bytes' order. */
#define HTTP_VERSION 0x485454502f312eULL
#define HTTP_SPACE_VERSION (0x20ULL << 56 | HTTP_VERSION)
#define HTTP_HOST 0x0a686f73743aULL	/* "\nhost:" */
#define HTTP_HOST_MASK 0xffffffffffffULL
#define HTTP_HOST_CASE 0x002020202000ULL	/* no byte but a letter becomes that letter by it */

#define HTTP_NONE 0		/* no message; else an enum l7_kind */

enum http_line {
	HTTP_LINE_BAD,
	HTTP_LINE_CUT,		/* good as far as the segment goes */
	HTTP_LINE_WHOLE,
};

/* RFC 9110, 5.6.2: digits, letters and ! # $ % & ' * + - . ^ _ ` | ~ */
static __always_inline bool http_is_token(__u8 c)
{
	const __u64 low = 0x03ff6cfa00000000ULL;
	const __u64 high = 0x57ffffffc7fffffeULL;

	return c < 128 && (c < 64 ? low : high) >> (c & 63) & 1;
}

static __always_inline bool http_is_space(__u8 c)
{
	const __u64 set = 1ULL << ' ' | 1 << '\t' | 1 << '\r';

	return c <= ' ' && set >> c & 1;
}

static __always_inline __u8 http_byte(const struct http_scratch *s, __u32 off)
{
	return s->bytes[off & (HTTP_READ - 1)];
}

/* `word`: a method's bytes as a number in their order. */
static __always_inline __u8 http_method(__u64 word)
{
	switch (word) {
	case 0x474554ULL:
		return HTTP_GET;
	case 0x48454144ULL:
		return HTTP_HEAD;
	case 0x504f5354ULL:
		return HTTP_POST;
	case 0x505554ULL:
		return HTTP_PUT;
	case 0x44454c455445ULL:
		return HTTP_DELETE;
	case 0x434f4e4e454354ULL:
		return HTTP_CONNECT;
	case 0x4f5054494f4e53ULL:
		return HTTP_OPTIONS;
	case 0x5452414345ULL:
		return HTTP_TRACE;
	case 0x5041544348ULL:
		return HTTP_PATCH;
	}
	return HTTP_OTHER;
}

/* Length of the method, which a space follows; 0: there is none. */
__noinline __u32 http_method_len(struct http_scratch *s)
{
	__u64 word = 0;

	if (!s)
		return 0;
	for (__u32 i = 0; i <= HTTP_METHOD_MAX; i++) {
		__u8 c = s->bytes[i];

		if (i >= s->len)
			return 0;
		if (c == ' ') {
			s->event.method = i <= 8 ? http_method(word) : HTTP_OTHER;
			return i;
		}
		if (!http_is_token(c))
			return 0;
		word = word << 8 | c;
	}
	return 0;
}

/* Copies the target, which begins at `off`. Where it ends. */
__noinline __u32 http_copy_target(struct http_scratch *s, __u32 off)
{
	if (!s)
		return 0;
	for (__u32 i = 0; i < HTTP_READ; i++) {
		__u8 c = http_byte(s, off);

		if (off >= s->len || c <= ' ' || c == 0x7f)
			break;
		if (i < sizeof(s->event.path))
			s->event.path[i] = c;
		off++;
	}
	return off;
}

/* Whether " HTTP/1." stands in the line from `off` on. */
__noinline __u32 http_has_version(struct http_scratch *s, __u32 off)
{
	__u64 word = 0;

	if (!s)
		return 0;
	for (__u32 i = 0; i < HTTP_READ; i++) {
		__u8 c = http_byte(s, off);

		if (off >= s->len || c == '\n')
			return 0;
		word = word << 8 | c;
		if (word == HTTP_SPACE_VERSION)
			return 1;
		off++;
	}
	return 0;
}

/* Where the value of Host begins, white space included, in headers that begin at `off`; 0: there is none.
 * The line feed before it tells the name from the end of a longer one. */
__noinline __u32 http_find_host(struct http_scratch *s, __u32 off)
{
	__u64 word = '\n';

	if (!s)
		return 0;
	for (__u32 i = 0; i < HTTP_READ; i++) {
		__u8 c = http_byte(s, off);

		if (off >= s->len)
			return 0;
		word = word << 8 | c;
		off++;
		if (((word | HTTP_HOST_CASE) & HTTP_HOST_MASK) == HTTP_HOST)
			return off;
		if ((word & 0xffff) == 0x0a0a || (word & 0xffffff) == 0x0a0d0a)
			return 0; /* an empty line */
	}
	return 0;
}

/* The first byte from `off` on that is no white space. */
__noinline __u32 http_skip_space(struct http_scratch *s, __u32 off)
{
	if (!s)
		return 0;
	for (__u32 i = 0; i < HTTP_READ; i++) {
		if (off >= s->len || !http_is_space(http_byte(s, off)))
			break;
		off++;
	}
	return off;
}

/* Copies the value of Host. White space behind it is not part of it. 0: there may be more of it. */
__noinline __u32 http_copy_host(struct http_scratch *s, __u32 off)
{
	if (!s)
		return 0;
	for (__u32 i = 0; i < HTTP_READ && off < s->len; i++) {
		__u8 c = http_byte(s, off);

		if (c == '\n')
			return 1;
		if (i < sizeof(s->event.host)) {
			s->event.host[i] = c;
			if (!http_is_space(c))
				s->event.host_len = i + 1;
		} else if (!http_is_space(c)) {
			return 0;
		}
		off++;
	}
	return 0;
}

/* From `off` on: a version and the end of the line. `*end` is where the headers begin. */
static __always_inline int http_parse_version(struct http_scratch *s, __u32 off, __u32 *end)
{
	const __u32 len = s->len;
	__u8 c;

#pragma unroll
	for (int i = 0; i < 7; i++) {
		if (off + i >= len)
			return HTTP_LINE_CUT;
		if (http_byte(s, off + i) != (__u8)(HTTP_VERSION >> (48 - 8 * i)))
			return HTTP_LINE_BAD;
	}
	off += 7;
	if (off >= len)
		return HTTP_LINE_CUT;
	c = http_byte(s, off++);
	if (c < '0' || c > '9')
		return HTTP_LINE_BAD;
	if (off < len && http_byte(s, off) == '\r')
		off++;
	if (off < len && http_byte(s, off++) != '\n')
		return HTTP_LINE_BAD;
	s->event.minor = c - '0';
	*end = off;
	return HTTP_LINE_WHOLE;
}

/* The target, from `start` on, and what follows it in the line. */
static __always_inline int http_parse_line(struct http_scratch *s, __u32 start, __u32 *end)
{
	__u32 off = http_copy_target(s, start);
	__u32 target_len = off - start;

	if (!target_len)
		return HTTP_LINE_BAD;
	s->event.path_len = target_len;
	if (target_len > sizeof(s->event.path)) {
		s->event.path_len = sizeof(s->event.path);
		s->event.flags |= HTTP_PATH_CUT;
	}
	if (off >= s->len)
		return HTTP_LINE_CUT;
	return http_byte(s, off) == ' ' ? http_parse_version(s, off + 1, end) : HTTP_LINE_BAD;
}

static __always_inline void http_parse_host(struct http_scratch *s, __u32 headers)
{
	__u32 value = http_find_host(s, headers);

	if (value && !http_copy_host(s, http_skip_space(s, value)))
		s->event.flags |= HTTP_HOST_CUT;
}

static __always_inline __u8 http_parse_request(struct http_scratch *s)
{
	__u32 method_len = http_method_len(s), headers = 0;
	int line;

	if (!method_len)
		return HTTP_NONE;
	line = http_parse_line(s, method_len + 1, &headers);
	if (line == HTTP_LINE_WHOLE) {
		http_parse_host(s, headers);
		return L7_REQUEST;
	}
	if (s->event.method == HTTP_OTHER)
		return HTTP_NONE;
	if (line == HTTP_LINE_CUT) {
		s->event.flags |= HTTP_PATH_CUT;
		return L7_REQUEST;
	}
	return http_has_version(s, method_len) ? L7_MALFORMED : HTTP_NONE;
}

/* Of a segment that begins with HTTP_VERSION. A status that is cut short is none: who sees so little of
 * a response cannot say what it was. */
static __always_inline __u8 http_parse_response(struct http_scratch *s)
{
	__u32 len = s->len;
	__u32 status = 0;

	if (s->bytes[7] < '0' || s->bytes[7] > '9')
		return L7_MALFORMED;
	s->event.minor = s->bytes[7] - '0';
	if (len < 9)
		return HTTP_NONE;
	if (s->bytes[8] != ' ')
		return L7_MALFORMED;
	for (__u32 i = 9; i < 12; i++) {
		if (i >= len)
			return HTTP_NONE;
		if (s->bytes[i] < '0' || s->bytes[i] > '9')
			return L7_MALFORMED;
		status = status * 10 + s->bytes[i] - '0';
	}
	if (status < 100 || (len > 12 && !http_is_space(s->bytes[12]) && s->bytes[12] != '\n'))
		return L7_MALFORMED;
	s->event.status = status;
	return L7_RESPONSE;
}
