/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* packet_flow (net.*, tcp.resets, request.*): what its BPF programs and user space share. */
#ifndef FAULTLINE_FLOW_ABI_H
#define FAULTLINE_FLOW_ABI_H

#include "fault_abi.h"

#define FL_FLOW_TO 0u   /* index of directions: what the pod sends */
#define FL_FLOW_FROM 1u /* what it receives */
#define FL_FLOW_SERVER 0u /* sides: the peer opened the connection, the pod answers */
#define FL_FLOW_CLIENT 1u /* the pod opened it and asks */
#define FL_FLOW_NO_SIDE 2u /* it is not known who opened it */
#define FL_FLOW_SERVICES 64  /* sides and ports of one pod; more are counted in fl_flow_counters.no_service */
#define FL_FLOW_NO_SERVICE 0xffffffffu /* of a connection without a request so far */
#define FL_FLOW_CONNECTIONS 8192 /* remembered at once, the least recently used are forgotten */
#define FL_FLOW_PODS 512 /* of a node, measured at once */
#define FL_FLOW_PORTS 65536

/* Index of fl_flow_tails: which of the shared programs goes on. */
#define FL_FLOW_TAIL_OPENS 0u  /* with a SYN-ACK */
#define FL_FLOW_TAIL_CLIENT 1u /* with a segment of the client */
#define FL_FLOW_TAIL_SERVER 2u /* with one of the server, or of nobody knows whom */
#define FL_FLOW_TAIL_SWEEP 3u  /* with no segment: what ended because nothing more came? */
#define FL_FLOW_TAILS 4u

/* What a connection has shown itself to be. */
#define FL_KIND_NEW 0u   /* the client has not sent enough to tell */
#define FL_KIND_TURNS 1u /* bytes of an unknown protocol */
#define FL_KIND_HTTP1 2u
#define FL_KIND_RESP 3u /* Redis */
#define FL_KIND_TLS 4u
#define FL_KIND_HTTP2 5u
#define FL_KIND_STREAM 6u
#define FL_KIND_POSTGRES 7u
#define FL_KIND_ASKS_TLS 8u /* PostgreSQL or MySQL: it has asked for encryption; what follows is as if new */

/* Why a connection or a request is not measured. 0: it is measured. The first group is of connections. */
#define FL_GAP_SEVERAL 1u     /* several requests at once, or turns that cannot be told apart */
#define FL_GAP_HTTP2 2u       /* its preface was not seen, or it found no place */
#define FL_GAP_STREAM 3u
#define FL_GAP_TLS_HTTP2 4u   /* the TLS client offers HTTP/2 */
#define FL_GAP_TLS_UNCLEAR 5u /* early data, or a handshake that does not end as one should */
#define FL_GAP_SIDE 6u        /* it is not known who opened the connection */
#define FL_GAP_UNCLEAR 7u     /* the answer does not fit the request's protocol */
/* The second group is of single requests. */
#define FL_GAP_LOST 8u   /* segments were lost or overtaken, so TLS records, or the head of an HTTP/1 answer, could not be followed */
#define FL_GAP_TICKET 9u /* the first request of a TLS 1.3 connection: a session ticket may be taken for its answer */
#define FL_GAP_LATE 10u  /* more of an answer came after the answer was taken to be over */
#define FL_GAP_H2_LOST 11u  /* HTTP/2: segments were lost or overtaken while it was under way, or held more than is followed */
#define FL_GAP_H2_FULL 12u  /* HTTP/2: more requests under way than are remembered */
#define FL_GAP_STATUS 13u   /* HTTP/2: whether it was an answer is not known, as its status was told by an entry that is not known */
#define FL_GAP_EARLY 14u    /* HTTP: the answer began before the request was over: no latency */
#define FL_GAP_TRAILER 15u  /* HTTP/2: a grpc-status was told by an entry that is not known: no error */
#define FL_GAP_H2_CUT 16u   /* HTTP/2: the answer was broken off, or segments were lost while it was under way: no duration */
#define FL_GAPS 17u
#define FL_FLOW_GAP_SLOTS 32u /* a power of two, as the verifier of Linux 6.1 follows a mask and no comparison */
#define FL_GAP_FIRST_OF_REQUESTS FL_GAP_LOST

#define FL_FLOW_IDLE_NS 5000000000ull        /* an answer is over when nothing of it came for so long */
#define FL_FLOW_UNANSWERED_NS 60000000000ull /* a request that waited for so long is never answered */
#define FL_FLOW_SAME_REQUEST_NS 5000000ull   /* data that follows later than this is another request */
#define FL_FLOW_SHORT_PIECES 4u /* so many short pushed segments in a row may be as many requests */

struct fl_flow_key {
	__u64 peer[2]; /* as fl_packet.saddr */
	__u16 pod_port;
	__u16 peer_port;
	__u32 stream; /* of HTTP/2; 0: the connection */
};

/* One direction of a TLS connection. */
struct fl_flow_tls {
	__u64 head; /* the first `have` bytes of the next record's header, the oldest is the highest */
	__u32 next; /* sequence number of the next record's header */
	__u8 have;
	__u8 lost; /* the records could not be followed; it waits for a segment that begins with a record */
	__u8 data; /* the last record was application data that counts */
	__u8 _pad;
};

/* A connection of HTTP/1: the head of an answer that is spread over segments, or that follows an interim answer. */
struct fl_flow_http1 {
	__u64 began_ns; /* when the head's first byte came */
	__u64 text[2];  /* its newest 16 bytes, [1] has the newest */
	__u16 status;   /* of an interim answer, whose end is looked for */
	__u8 have;      /* bytes of the status line that have come */
	__u8 is_h2c;    /* it says "Upgrade: h2c" */
	__u8 asked;     /* bytes of the request under way that have come, at most 8 */
	__u8 _pad[3];
};

/* Phases of a TLS connection. */
#define FL_TLS_HELLO 0u     /* the server has said nothing */
#define FL_TLS_HANDSHAKE 1u /* it has said its hello */
#define FL_TLS_13 2u        /* TLS 1.3: the client's Finished is to come */
#define FL_TLS_TICKETS 3u   /* TLS 1.3: session tickets may come */
#define FL_TLS_OPEN 4u

/* Flags of a connection. */
#define FL_FLOW_KNOWS_REQUEST 0x01u  /* request_end is known */
#define FL_FLOW_KNOWS_ANSWER 0x02u   /* answer_end is known */
#define FL_FLOW_TUNNEL 0x04u         /* the request was CONNECT */
#define FL_FLOW_OVER 0x08u           /* the answer was taken to be over, and its duration was told */
#define FL_FLOW_OLD 0x10u            /* its beginning was not seen */
#define FL_FLOW_TLS13 0x20u
#define FL_FLOW_ALERT 0x40u          /* a TLS 1.3 record of an alert's length came from the client */
#define FL_FLOW_MAYBE_ALERT 0x80u    /* one came from the server while a request was under way */
#define FL_FLOW_CLIENT_FIN 0x100u
#define FL_FLOW_SERVER_FIN 0x200u
#define FL_FLOW_SAYS_HTTP2 0x400u    /* the server spoke first, as in HTTP/2, and its frames are followed */
#define FL_FLOW_SAYS_OTHER 0x800u    /* it spoke first otherwise */
#define FL_FLOW_EARLY 0x1000u        /* HTTP/1: the request went on after its answer had begun */
#define FL_FLOW_DATABASE 0x2000u     /* TLS of PostgreSQL or MySQL */
#define FL_FLOW_GOODBYE 0x4000u      /* the request under way may be the word by which a client of these ends: nobody answers it */
#define FL_FLOW_COPY 0x8000u         /* PostgreSQL: the server waits for the data of COPY, which belong to the request */

struct fl_flow_connection {
	__u64 asked_ns;    /* the first data of the request under way, or of the one being answered */
	__u64 pending_ns;  /* the last data of the request that waits for its answer; 0: none waits */
	__u64 answer_ns;   /* the last data of the answer; 0: none has come */
	__u64 held_ns;     /* TLS 1.3: when what may be a ticket or the answer came */
	__u64 first;       /* the first bytes of the client, the oldest is the highest */
	__u32 request_end; /* sequence number after the newest data of each direction */
	__u32 answer_end;
	__u32 turn;    /* sequence number of the first byte of the answer that is awaited; HTTP/1: of the next byte of its head */
	__u32 isn;     /* sequence number of the client's first data */
	__u32 service; /* index into fl_flow_pod.services */
	__u32 window;  /* in which it was last counted */
	union {
		struct fl_flow_tls tls[2]; /* of the client, of the server */
		struct fl_flow_http1 http1;
	};
	__u16 scanned; /* length of the last segment that was found to hold one request */
	__u16 ticket;  /* length of the record that may be a ticket */
	__u16 flags;
	__u8 side;
	__u8 kind;
	__u8 gap;
	__u8 pieces; /* short pushed segments of the request under way */
	__u8 n_first;
	__u8 phase;
	__u8 tries;  /* records of the client before its Finished */
	__u8 pushed; /* the last segment of the request was pushed */
	__u8 _pad[2];
};

/* per-CPU array fl_flow_counters, by bank. A GSO packet is one packet, as `ip -s link` counts it. */
struct fl_flow_counters {
	__u64 packets[2]; /* FL_FLOW_TO, FL_FLOW_FROM */
	__u64 bytes[2];   /* with link-layer headers */
	__u64 resets;     /* TCP segments with RST, both directions */
	__u64 connections; /* entries made in the map of connections */
	__u64 no_service; /* connections on a side and port that found no room */
	__u64 errors;     /* a map update failed: a connection was not measured */
	__u64 udp;        /* packets, both directions */
	__u64 to_pod_outside; /* packets of the wire to the pod, as they passed the host-side hook before our faults */
	__u64 to_pod_inside;  /* and as they came into the pod: more of them have come past that hook */
	__u64 active;     /* connections with requests; each counts once a window */
	__u64 gaps[FL_FLOW_GAP_SLOTS]; /* of these, those that were not measured; or requests that were not */
};

#define FL_FLOW_SERVICE_NAME(side, port) (1u << 31 | (side) << 16 | (port))

struct fl_flow_service {
	__u32 name; /* FL_FLOW_SERVICE_NAME; 0: nobody uses this place so far */
	__u32 _pad;
	__u64 failed;     /* ended by the server before the answer, or answered by HTTP 5xx */
	__u64 failed_unanswered; /* of these, those without an answer */
	__u64 abandoned;  /* ended by the client before the answer */
	__u64 unanswered; /* neither answered nor ended for FL_FLOW_UNANSWERED_NS, or until the ports were used again */
	__u64 early; /* HTTP/2: answered before the request was over, so in no latency */
	__u64 responses[8]; /* HTTP answers by the status' first digit; only 2 to 5 are used */
	struct fl_hist latency;  /* one entry an answered request */
	struct fl_hist duration; /* from the request's first byte to the answer's last */
};

/* The global data of one pod's programs. */
struct fl_flow_pod {
	struct fl_cut cut;
	__u64 h2_epochs; /* that were ever used */
	__u64 longest_wait_ns; /* of the requests that had no answer at the last sweep */
	__u32 window;    /* user space counts it up with each window, from 1 */
	__u32 ready;     /* user space has entered the connections that are older than the hooks */
	/* A bit a port of the pod and side: there are or were connections. It spares most packets a look into the map. */
	__u32 ports[2][FL_FLOW_PORTS / 32];
	/* Those of bank 1 behind those of bank 0, which has the names. Places are taken in their order, and never given back. */
	struct fl_flow_service services[FL_BANKS * FL_FLOW_SERVICES];
};

FL_STATIC_ASSERT(sizeof(struct fl_flow_key) == 24, "fl_flow_key");
FL_STATIC_ASSERT(sizeof(struct fl_flow_tls) == 16, "fl_flow_tls");
FL_STATIC_ASSERT(sizeof(struct fl_flow_http1) == 32, "fl_flow_http1");
FL_STATIC_ASSERT(sizeof(struct fl_flow_connection) == 112, "fl_flow_connection");
FL_STATIC_ASSERT(offsetof(struct fl_flow_connection, tls) == 64, "fl_flow_connection.tls");
FL_STATIC_ASSERT(sizeof(struct fl_flow_counters) == 96 + 8 * FL_FLOW_GAP_SLOTS, "fl_flow_counters");
FL_STATIC_ASSERT(offsetof(struct fl_flow_service, latency) == 112, "fl_flow_service.latency");

#endif
