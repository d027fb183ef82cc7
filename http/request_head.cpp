// SPDX-License-Identifier: Apache-2.0
#include "http/request_head.h"

#include <algorithm>

namespace faultline::http {
namespace {

Response later(int status, std::string why) {
  Response response = problem(status, std::move(why));
  response.headers["Retry-After"] = "1";
  return response;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string endpoint_words(const boost::asio::ip::tcp::socket& socket) {
  boost::system::error_code ec;
  const auto peer = socket.remote_endpoint(ec);
  if (ec) return "?";
  const std::string address = peer.address().to_string();
  return (peer.address().is_v6() ? "[" + address + "]" : address) + ":" +
         std::to_string(peer.port());
}

std::optional<Response> read_head(const boost::beast::http::request_header<>& header,
                                  const ServerOptions& options, Request& request) {
  request.method = std::string(header.method_string());
  std::size_t fields = 0;
  for (const auto& field : header) {
    if (++fields > options.max_fields)
      return problem(431,
                     "the header has more than " + std::to_string(options.max_fields) + " fields");
    std::string& value = request.headers[lower(field.name_string())];
    if (!value.empty()) value += ", ";
    value += field.value();
  }
  // How long the body is must be beyond doubt, or what follows it would be taken for a request.
  const auto coding = request.headers.find("transfer-encoding");
  if (coding == request.headers.end()) return std::nullopt;
  if (lower(coding->second) != "chunked")
    return problem(501, "the only Transfer-Encoding that is known here is chunked");
  if (request.headers.contains("content-length"))
    return problem(400, "a request has Content-Length or Transfer-Encoding, not both");
  return std::nullopt;
}

std::string authorization_of(const Request& request) {
  const auto found = request.headers.find("authorization");
  return found == request.headers.end() ? std::string() : found->second;
}

Response too_long(const Request& request, std::size_t most) {
  if (most == 0) return problem(413, request.method + " " + request.path + " takes no body");
  return problem(413, "the body is longer than " + std::to_string(most) + " bytes");
}
Response too_often(bool never_429) {
  return later(never_429 ? 503 : 429, "too many requests a second");
}
Response too_many(bool never_429) {
  return later(never_429 ? 503 : 429, "too many connections or requests of one caller");
}
Response busy(std::string why) { return later(503, std::move(why)); }

}  // namespace faultline::http
