/* SPDX-License-Identifier: GPL-2.0-only */
/* Words of HTTP/1 in numbers, the oldest byte the highest: methods and status lines. For packets and for plain bytes of TLS. No state. */
#ifndef FAULTLINE_HTTP1_WORDS_BPF_H
#define FAULTLINE_HTTP1_WORDS_BPF_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define FL_HTTP_STATUS_LINE 12 /* bytes of "HTTP/1.1 200" */
#define FL_HTTP1_NAME 0x485454502f31ull /* "HTTP/1" */
#define FL_HTTP1_CONNECT 0x434f4e4eu /* "CONN" */

/* Do these four bytes begin a method, whatever the protocol? */
static __always_inline int fl_http1_is_method(__u32 first)
{
	switch (first) {
	case 0x47455420: /* "GET " */
	case 0x48454144: /* "HEAD" */
	case 0x504f5354: /* "POST" */
	case 0x50555420: /* "PUT " */
	case 0x44454c45: /* "DELE" */
	case 0x4f505449: /* "OPTI" */
	case 0x50415443: /* "PATC" */
	case FL_HTTP1_CONNECT:
	case 0x54524143: /* "TRAC" */
		return 1;
	}
	return 0;
}

/* Do these first `n` bytes, at most 8, begin a request on a connection that is known to be HTTP/1? A method is any word of at least
 * three capitals. */
static __always_inline int fl_http1_begins(__u64 first, __u32 n)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < 8; i++) {
		__u8 c = first >> (56 - 8 * i);

		if (i >= n)
			return 1;
		if (c == ' ')
			return i >= 3;
		if (c < 'A' || c > 'Z')
			return 0;
	}
	return 1;
}

/* Returns the status that a status line of 12 bytes tells, in its first 8 and its last 4; 0: it is none. */
static __always_inline __u32 fl_http1_status_of(__u64 head, __u32 rest)
{
	__u32 hundreds = (rest >> 16) & 0xff, tens = (rest >> 8) & 0xff, ones = rest & 0xff;

	if (head >> 16 != FL_HTTP1_NAME || hundreds < '1' || hundreds > '5')
		return 0;
	if (tens < '0' || tens > '9' || ones < '0' || ones > '9')
		return 0;
	return (hundreds - '0') * 100 + (tens - '0') * 10 + (ones - '0');
}

static __always_inline int fl_http1_is_interim(__u32 status)
{
	return status >= 100 && status < 200;
}

#endif
