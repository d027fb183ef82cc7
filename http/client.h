// SPDX-License-Identifier: Apache-2.0
// Async HTTP/1.1 client with one kept connection per Client, plain or through TLS (docs/decisions/
// 0014-tls.md). Not thread-safe; one request at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace faultline::http {

struct ClientResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct ServerEvent {
  std::string event;
  std::string data;
  std::string id;
};

// All in PEM form. The server's chain and name are always verified; there is no way around it.
struct ClientTls {
  std::string ca_pem;                    // one or several; empty: the CAs of the system
  std::string certificate_pem, key_pem;  // of the client, or both empty
  std::string server_name;               // a DNS name or an IP address; empty: the URL's host
};

struct ClientOptions {
  std::string base_url;          // http://127.0.0.1:7878, https://kubernetes.default.svc
  std::string bearer_token;      // or empty
  std::optional<ClientTls> tls;  // only with https, which without it uses the CAs of the system
  std::chrono::milliseconds connect_timeout{2000};  // TCP and TLS together
  std::size_t max_body = 64 << 20;
  std::size_t max_line = 64 << 20;  // bytes, of lines()
  // Asked before each request, and used instead of `bearer_token`, when set: for tokens that change
  // (of Kubernetes ServiceAccounts). Empty: none. Must not throw, nor block for long.
  std::function<std::string()> token;
};

struct RequestExtras {
  std::string content_type;                    // empty: JSON or YAML, by the body
  std::map<std::string, std::string> headers;  // go before those the client would set itself
};

class Client {
 public:
  Client(boost::asio::any_io_executor executor, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Any HTTP status is a success here; see expect_ok(). kUnavailable: no connection, a certificate
  // that is not accepted, time-out, broken answer, one longer than `max_body` (then with its status
  // in Error::http_status). kInvalid: the options or the request are wrong.
  // A request on a kept connection that the server closed meanwhile is tried once more on a new
  // one.
  boost::asio::awaitable<Result<ClientResponse>> request(std::string method, std::string target,
                                                         std::string body,
                                                         std::chrono::milliseconds timeout);
  // Not a default argument: g++ 12 destroys such a temporary twice where a caller awaits the call.
  boost::asio::awaitable<Result<ClientResponse>> request(std::string method, std::string target,
                                                         std::string body,
                                                         std::chrono::milliseconds timeout,
                                                         RequestExtras extras);
  // Calls `on_event` for each event until it returns false, the server ends the stream, or an
  // error.
  boost::asio::awaitable<Result<>> events(std::string target,
                                          std::function<bool(const ServerEvent&)> on_event,
                                          std::chrono::milliseconds idle_timeout);
  // GETs a body of any length and calls `on_line` for each line as it arrives, without its LF (the
  // text is valid during the call), until it returns false or the server ends the body: then the
  // status, which is below 300. What follows the last LF counts as a line. An answer from 300 on is
  // the Error of expect_ok(). kUnavailable: as in request(), nothing arrived for `idle_timeout`,
  // the body broke off, a line is longer than `max_line`. `on_open` is called when the header of an
  // answer below 300 is there, perhaps long before the first line.
  boost::asio::awaitable<Result<int>> lines(std::string target,
                                            std::function<bool(std::string_view)> on_line,
                                            std::chrono::milliseconds idle_timeout,
                                            std::function<void()> on_open = {});
  // Drops the connection; a request under way ends with kUnavailable.
  void close();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

// Turns an HTTP error status into an Error with what the body says as message (`detail` of a
// problem, `message` of a Kubernetes Status), and the status in Error::http_status: 410 Gone and
// 404 are both kNotFound.
[[nodiscard]] Result<ClientResponse> expect_ok(Result<ClientResponse> response);

// For a command-line program: runs one request on a private io_context and waits.
[[nodiscard]] Result<ClientResponse> request_blocking(const ClientOptions& options,
                                                      std::string method, std::string target,
                                                      std::string body,
                                                      std::chrono::milliseconds timeout);

}  // namespace faultline::http
