// SPDX-License-Identifier: Apache-2.0
// Async HTTP/1.1 client with one kept connection per Client. Not thread-safe; one request at a
// time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

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

struct ClientOptions {
  std::string base_url;      // http://127.0.0.1:7878
  std::string bearer_token;  // or empty
  std::chrono::milliseconds connect_timeout{2000};
  std::size_t max_body = 64 << 20;
};

class Client {
 public:
  Client(boost::asio::any_io_executor executor, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Any HTTP status is a success here; see expect_ok(). kUnavailable: no connection, time-out,
  // broken answer. A request on a kept connection that the server closed meanwhile is tried once
  // more on a new one.
  boost::asio::awaitable<Result<ClientResponse>> request(std::string method, std::string target,
                                                         std::string body,
                                                         std::chrono::milliseconds timeout);
  // Calls `on_event` for each event until it returns false, the server ends the stream, or an
  // error.
  boost::asio::awaitable<Result<>> events(std::string target,
                                          std::function<bool(const ServerEvent&)> on_event,
                                          std::chrono::milliseconds idle_timeout);
  // Drops the connection; a request under way ends with kUnavailable.
  void close();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

// Turns an HTTP error status into an Error with the problem's detail as message.
[[nodiscard]] Result<ClientResponse> expect_ok(Result<ClientResponse> response);

// For a command-line program: runs one request on a private io_context and waits.
[[nodiscard]] Result<ClientResponse> request_blocking(const ClientOptions& options,
                                                      std::string method, std::string target,
                                                      std::string body,
                                                      std::chrono::milliseconds timeout);

}  // namespace faultline::http
