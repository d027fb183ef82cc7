// SPDX-License-Identifier: Apache-2.0
// The bytes of one connection, plain or through TLS, so that client and server are written once.
// An AsyncReadStream and AsyncWriteStream of Asio. Internal to http/. Not thread-safe; one read and
// one write at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace faultline::http {

class Stream {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Tls = boost::asio::ssl::stream<Socket&>;
  using Context = boost::asio::ssl::context;
  using executor_type = Socket::executor_type;
  using error_code = boost::system::error_code;

  explicit Stream(Socket socket) : socket_(std::move(socket)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  executor_type get_executor() { return socket_.get_executor(); }
  [[nodiscard]] Socket& socket() { return socket_; }
  // Null: the bytes go as they are.
  [[nodiscard]] Tls* tls() { return tls_ ? &*tls_ : nullptr; }
  // A new TLS session, whose handshake the caller does. Nothing may be pending.
  Tls& secure(std::shared_ptr<Context> context) {
    plain();
    context_ = std::move(context);
    return tls_.emplace(socket_, *context_);
  }
  // Nothing may be pending.
  void plain() {
    tls_.reset();
    context_.reset();
  }
  // What is pending ends with an error.
  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& into) {
          if (tls_)
            tls_->async_read_some(into, std::move(handler));
          else
            socket_.async_read_some(into, std::move(handler));
        },
        token, buffers);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& from) {
          if (tls_)
            tls_->async_write_some(from, std::move(handler));
          else
            socket_.async_write_some(from, std::move(handler));
        },
        token, buffers);
  }

 private:
  Socket socket_;
  std::shared_ptr<Context> context_;
  std::optional<Tls> tls_;
};

}  // namespace faultline::http
