// SPDX-License-Identifier: Apache-2.0
#include "http/farewell.h"

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "http/server_impl.h"
#include "http/write.h"

namespace faultline::http {
namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

awaitable<void> refuse_one(std::shared_ptr<Stream> stream) {
  Deadline deadline(stream->get_executor(), [stream] { stream->close(); });
  deadline.start(std::chrono::seconds(1));
  Response response = problem(503, "too many connections");
  response.headers["Retry-After"] = "1";
  co_await write_response(*stream, std::move(response), {11, false, false});
  error_code ignored;
  stream->socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> bytes;  // its request, see linger()
  co_await stream->async_read_some(asio::buffer(bytes), kTuple);
}

}  // namespace

awaitable<void> say_goodbye(Stream& stream, Deadline& deadline) {
  Stream::Tls* tls = stream.tls();
  if (tls && stream.socket().is_open() &&
      (SSL_get_shutdown(tls->native_handle()) & SSL_SENT_SHUTDOWN) == 0) {
    deadline.start(std::chrono::seconds(1));
    co_await tls->async_shutdown(kTuple);
  }
  error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

awaitable<void> linger(Stream& stream, Deadline& deadline) {
  co_await say_goodbye(stream, deadline);
  deadline.start(std::chrono::seconds(2));
  std::array<char, 16384> bytes;
  for (int i = 0; i < 4096 && !deadline.expired(); ++i) {  // at most 64 MB
    const auto [ec, n] = co_await stream.socket().async_read_some(asio::buffer(bytes), kTuple);
    if (ec) break;
  }
}

void refuse_connection(const Server::Impl& server, tcp::socket socket) {
  if (server.certificates) return;
  const auto executor = socket.get_executor();
  asio::co_spawn(executor, refuse_one(std::make_shared<Stream>(std::move(socket))), asio::detached);
}

}  // namespace faultline::http
