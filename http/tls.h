// SPDX-License-Identifier: Apache-2.0
// What OpenSSL is told, and what it says, in words. Internal to http/. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/client.h"
#include "http/server.h"
#include "http/stream.h"

namespace faultline::http {

// TLS 1.2 and newer, no compression, no renegotiation.
[[nodiscard]] std::shared_ptr<Stream::Context> bare_context();

// Verifies the server's chain: against the CAs of `tls`, without any against the system's.
// kInvalid: PEM that is none, a key of another certificate.
[[nodiscard]] Result<std::shared_ptr<Stream::Context>> client_context(
    const std::optional<ClientTls>& tls);

// Before the handshake of a client: the server must be `name` (a DNS name or an IP address). Writes
// into `problem`, which must live as long as the session, what is wrong with its certificate.
// Returns false if `name` cannot be asked for.
[[nodiscard]] bool expect_name(Stream::Tls& tls, const std::string& name, std::string& problem);

// Of the verified certificate of the other side. Empty without one, and when a name in it is no
// text or holds a NUL: who that is would be a guess.
[[nodiscard]] ClientCertificate client_certificate(Stream::Tls& tls);

// "wrong version number" and its like in words that help. An error of any category.
[[nodiscard]] std::string tls_words(const boost::system::error_code& ec);

// "2026-11-26 11:00:00 UTC".
[[nodiscard]] std::string time_words(const ASN1_TIME* time);

}  // namespace faultline::http
