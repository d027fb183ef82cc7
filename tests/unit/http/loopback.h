// SPDX-License-Identifier: Apache-2.0
// A server on a thread of its own, and a socket that speaks to it byte by byte. No double: both are
// the real thing over loopback.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "http/client.h"
#include "http/server.h"

namespace faultline::http {

namespace asio = boost::asio;
using std::chrono::milliseconds;

class Loopback {
 public:
  explicit Loopback(const std::function<void(Server&)>& routes, ServerOptions options = {})
      : io_(1), work_(io_.get_executor()), server_(std::in_place, io_.get_executor(), options) {
    routes(*server_);
    started_ = server_->start();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Loopback() {
    on_thread([this] { server_.reset(); });
    work_.reset();
    io_.stop();
    thread_.join();
  }
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] const Result<>& started() const { return started_; }
  [[nodiscard]] ClientOptions client_options() const {
    ClientOptions options;
    options.base_url = "http://127.0.0.1:" + std::to_string(port());
    return options;
  }
  Result<ClientResponse> ask(std::string method, std::string target, std::string body = "",
                             std::string token = "") const {
    ClientOptions options = client_options();
    options.bearer_token = std::move(token);
    return request_blocking(options, std::move(method), std::move(target), std::move(body),
                            std::chrono::seconds(10));
  }
  // Returns how long it took.
  milliseconds stop(milliseconds grace) {
    const auto begin = std::chrono::steady_clock::now();
    asio::co_spawn(io_, server_->stop(grace), asio::use_future).get();
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  }
  void on_thread(std::function<void()> call) {
    asio::post(io_, std::packaged_task<void()>(std::move(call))).wait();
  }

 private:
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::optional<Server> server_;
  Result<> started_;
  std::thread thread_;
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(port);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) == 0;
  }
  ~RawClient() { hang_up(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  // False when the server has closed.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // What arrives until `until` is in it, the server closes, or the time is over.
  std::string receive(std::string_view until, milliseconds limit = milliseconds(5000)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    std::string got;
    while (until.empty() || got.find(until) == got.npos) {
      const auto left =
          std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
      pollfd p{fd_, POLLIN, 0};
      if (left.count() <= 0 || poll(&p, 1, static_cast<int>(left.count())) <= 0) break;
      char bytes[4096];
      const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
      closed_ = n <= 0;
      if (closed_) break;
      got.append(bytes, static_cast<std::size_t>(n));
    }
    return got;
  }
  std::string receive_all(milliseconds limit = milliseconds(5000)) { return receive("", limit); }
  [[nodiscard]] bool closed_by_server() const { return closed_; }
  void hang_up() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  bool connected_ = false;
  bool closed_ = false;
};

inline asio::awaitable<void> pause(milliseconds time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

inline Response text(std::string body) {
  Response response;
  response.content_type = "text/plain";
  response.body = std::move(body);
  return response;
}

}  // namespace faultline::http
