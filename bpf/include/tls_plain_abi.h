/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* tls_plain (tls.request.*): what its BPF programs and user space share. As fault_abi.h. */
#ifndef FAULTLINE_TLS_PLAIN_ABI_H
#define FAULTLINE_TLS_PLAIN_ABI_H

#include "fault_abi.h"
#include "flow_http2_abi.h" /* fl_h2_fields */

#define FL_PLAIN_SERVER 0u  /* sides: the process answers */
#define FL_PLAIN_CLIENT 1u  /* it asks */
#define FL_PLAIN_NO_SIDE 2u /* it is not known */
#define FL_PLAIN_SIDES 2u

/* What a probe is on, in its cookie. The first four are calls that carry plain bytes. */
#define FL_PLAIN_READ 0u     /* SSL_read(ssl, buffer, n): returns how many bytes, or below 1 */
#define FL_PLAIN_READ_EX 1u  /* SSL_read_ex(ssl, buffer, n, &bytes): returns 1, or 0 */
#define FL_PLAIN_WRITE 2u
#define FL_PLAIN_WRITE_EX 3u
#define FL_PLAIN_ACCEPT 4u     /* SSL_accept(): a handshake begins or goes on, as a server */
#define FL_PLAIN_CONNECT 5u    /* SSL_connect() */
#define FL_PLAIN_SET_ACCEPT 6u /* SSL_set_accept_state(): a handshake is to begin, as a server */
#define FL_PLAIN_SET_CONNECT 7u
#define FL_PLAIN_FREE 8u
#define FL_PLAIN_PAST 9u /* plain bytes that go by another call */

#define FL_PLAIN_CALLS 8192       /* calls under way that are remembered, the least recently used are forgotten */
#define FL_PLAIN_CONNECTIONS 8192 /* the same of connections */
#define FL_PLAIN_HTTP2S 2048      /* the same of those that are HTTP/2 */
#define FL_PLAIN_STREAMS 8192     /* the same of requests under way on them */

/* What a connection has shown itself to be. */
#define FL_PLAIN_NEW 0u
#define FL_PLAIN_TURNS 1u /* bytes of an unknown protocol */
#define FL_PLAIN_HTTP1 2u
#define FL_PLAIN_HTTP2 3u

/* Why a connection or a request is not measured. 0: it is measured. The first group is of connections. */
#define FL_PLAIN_GAP_SEVERAL 1u    /* several requests at once, or turns that cannot be told apart */
#define FL_PLAIN_GAP_STREAM 2u     /* after an upgrade or CONNECT */
#define FL_PLAIN_GAP_OLD 3u        /* its beginning was not seen, and no request of HTTP/1 has begun on it yet */
#define FL_PLAIN_GAP_UNCLEAR 4u    /* the answer does not fit the request's protocol */
#define FL_PLAIN_GAP_PAST 5u       /* FL_PLAIN_PAST */
#define FL_PLAIN_GAP_UNREADABLE 6u /* memory of the process that could not be read */
#define FL_PLAIN_GAP_HTTP2 7u      /* HTTP/2 whose frames cannot be followed */
/* The second group is of single requests. */
#define FL_PLAIN_GAP_ASKED 8u    /* an answer was seen whose request was not */
#define FL_PLAIN_GAP_EARLY 9u    /* the answer began before the request was over: no latency */
#define FL_PLAIN_GAP_LATE 10u    /* more of an answer came after the answer was taken to be over: no duration */
#define FL_PLAIN_GAP_FULL 11u    /* HTTP/2: more requests under way than are remembered */
#define FL_PLAIN_GAP_STATUS 12u  /* HTTP/2: whether it was an answer is not known, as its status was told by an entry that is not known */
#define FL_PLAIN_GAP_TRAILER 13u /* HTTP/2: a grpc-status was told by an entry that is not known: no error */
#define FL_PLAIN_GAP_CUT 14u     /* HTTP/2: the answer was broken off: no duration */
#define FL_PLAIN_GAPS 15u
#define FL_PLAIN_GAP_SLOTS 16u /* a power of two */
#define FL_PLAIN_GAP_FIRST_OF_REQUESTS FL_PLAIN_GAP_ASKED

#define FL_PLAIN_IDLE_NS 5000000000ull        /* an answer is over when nothing of it came for so long */
#define FL_PLAIN_UNANSWERED_NS 60000000000ull /* a request that waited for so long is never answered */
#define FL_PLAIN_SAME_REQUEST_NS 5000000ull   /* of an unknown protocol: bytes that follow later than this are another request */
#define FL_PLAIN_SHORT_PIECES 4u              /* so many short pieces in a row may be as many requests */
#define FL_PLAIN_SHORT_BYTES 1024u

/* rodata fl_config: the pod */
struct fl_plain_config {
	__u64 cgroup;
	__u32 level;
	__u32 _pad;
};

struct fl_plain_key {
	__u64 ssl; /* address of the SSL object */
	__u32 tgid;
	__u32 stream; /* of HTTP/2; 0: the connection */
};

/* A call under way is named by where its frame is: that holds when calls are nested, and when another thread goes on with it. */
struct fl_plain_frame {
	__u64 sp;
	__u32 tgid;
	__u32 _pad;
};

struct fl_plain_call {
	__u64 ssl;
	__u64 buffer;
	__u64 bytes_at; /* where a call with _ex writes how many */
	__u64 entered_ns;
	__u32 what; /* FL_PLAIN_READ and those after it */
	__u32 _pad;
};

struct fl_plain_connection {
	__u64 asked_ns;   /* first byte of the request that waits or is being answered */
	__u64 pending_ns; /* last byte of the request that waits; 0: none does */
	__u64 answer_ns;  /* newest byte of the answer that is under way; 0: none is */
	__u64 text;       /* the newest 8 bytes of a head that comes in pieces */
	__u64 began_ns;   /* when that head's first byte came */
	__u32 older;      /* the 4 bytes before those of text */
	__u32 window;     /* in which it was counted as active */
	__u32 scanned;    /* length of a piece in which no second request was found */
	__u16 status;     /* of the head that is being read */
	__u8 side;
	__u8 kind;
	__u8 gap;
	__u8 have;   /* bytes of the status line, or of a connection's first word, that have come */
	__u8 pieces; /* short pieces of the request */
	__u8 flags;
	__u8 _pad[4];
};

#define FL_PLAIN_OLD 0x01u    /* its beginning was not seen: that is counted */
#define FL_PLAIN_TUNNEL 0x02u /* the request is CONNECT */
#define FL_PLAIN_EARLY 0x04u  /* the answer began before the request was over: that is counted */
#define FL_PLAIN_OVER 0x08u   /* the answer was taken to be over as nothing more came */

/* Parts of a frame of HTTP/2. */
#define FL_PLAIN_HEAD 0u  /* its 9 bytes of length, type, flags and stream */
#define FL_PLAIN_PAD 1u   /* the length of its padding */
#define FL_PLAIN_SKIP 2u  /* what comes before a header block, or the preface of the connection */
#define FL_PLAIN_BLOCK 3u /* a header block, or a part of one */
#define FL_PLAIN_REST 4u  /* what is not looked at */

/* One direction of a connection of HTTP/2. */
struct fl_plain_way {
	__u64 began_ns; /* first byte of the frame */
	__u64 head;     /* of its first bytes the newest 8 */
	__u32 left;     /* bytes of it that are to come */
	__u32 stream;   /* of it */
	__u32 skip;     /* bytes of the part FL_PLAIN_SKIP that are to come */
	__u8 pad;       /* bytes of padding at its end */
	__u8 part;      /* FL_PLAIN_HEAD and those after it */
	__u8 have;      /* bytes of its head that have come */
	__u8 type;
	__u8 flags;
	__u8 in_block; /* a header block goes on in the next frame */
	__u8 ends;     /* the frame or header block ends the stream */
	__u8 promises; /* the header block is of a PUSH_PROMISE */
	__u8 _pad[4];
};

struct fl_plain_http2 {
	struct fl_plain_way way[2]; /* of the client, of the server */
	struct fl_h2_fields fields; /* of the server's header blocks */
	__u64 epoch;     /* unlike that of another connection of the same name */
	__u32 newest;    /* the highest stream of the client */
	__u32 _pad;
	__s32 waiting;   /* requests under way that are not answered */
	__s32 answering; /* answers under way */
};

/* A request under way on a stream. */
struct fl_plain_stream {
	__u64 epoch;
	__u64 asked_ns;   /* its first byte */
	__u64 pending_ns; /* its last; 0: it is to come */
	__u32 waits;      /* it has no answer */
	__u32 failed;     /* it has counted as failed */
};

/* .bss fl_plain_counts[], by bank: grows only. Written with atomics by all CPUs. */
struct fl_plain_side {
	__u64 responses[8];      /* answers of HTTP, by the first digit of their status */
	__u64 failed;            /* requests that failed, those in failed_unanswered among them */
	__u64 failed_unanswered; /* those without an answer: of a client whose connection it freed, or that the server reset */
	__u64 unanswered;        /* requests that got no answer, of both sides */
	__u64 early;             /* answered, without a latency */
	struct fl_hist latency;
	struct fl_hist duration;
};

struct fl_plain_counts {
	struct fl_plain_side sides[FL_PLAIN_SIDES];
	__u64 gaps[FL_PLAIN_GAP_SLOTS];
	__u64 active;  /* connections that carried bytes, once a window each */
	__u64 began;   /* connections that began */
	__u64 no_call; /* calls that returned and whose beginning was not seen */
	__u64 no_room; /* calls or connections that found no room */
};

FL_STATIC_ASSERT(sizeof(struct fl_plain_key) == 16, "fl_plain_key");
FL_STATIC_ASSERT(sizeof(struct fl_plain_frame) == 16, "fl_plain_frame");
FL_STATIC_ASSERT(sizeof(struct fl_plain_call) == 40, "fl_plain_call");
FL_STATIC_ASSERT(sizeof(struct fl_plain_connection) == 64, "fl_plain_connection");
FL_STATIC_ASSERT(offsetof(struct fl_plain_connection, older) == 40, "fl_plain_connection.older");
FL_STATIC_ASSERT(sizeof(struct fl_plain_way) == 40, "fl_plain_way");
FL_STATIC_ASSERT(sizeof(struct fl_plain_http2) == 80 + sizeof(struct fl_h2_fields) + 24, "fl_plain_http2");
FL_STATIC_ASSERT(sizeof(struct fl_plain_stream) == 32, "fl_plain_stream");
FL_STATIC_ASSERT(sizeof(struct fl_plain_side) == 96 + 2 * sizeof(struct fl_hist), "fl_plain_side");
FL_STATIC_ASSERT(sizeof(struct fl_plain_counts) == 2 * sizeof(struct fl_plain_side) + 8 * FL_PLAIN_GAP_SLOTS + 32, "fl_plain_counts");
FL_STATIC_ASSERT(sizeof(struct fl_hist) % 8 == 0, "fl_hist");

#endif
