// SPDX-License-Identifier: Apache-2.0
// A server on loopback, with routes that read, echo and stream, is sent the bytes of a connection.
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <string>

#include "http/server.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

namespace asio = boost::asio;

struct House {
  House() : server(io.get_executor(), {.max_body = 4096}) {
    for (const char* pattern : {"/", "/a/{name}", "/a/{name}/b"})
      for (const char* method : {"GET", "POST"})
        server.route(method, pattern, {},
                     [](http::Request request) -> asio::awaitable<http::Response> {
                       http::Response response;
                       response.body = request.path + request.body;
                       co_return response;
                     });
    must(server.start().has_value(), "the server listens on loopback");
  }
  asio::io_context io;
  http::Server server;
};

}  // namespace

void fuzz(std::string_view input) {
  static House house;
  asio::ip::tcp::socket peer(house.io);
  boost::system::error_code error;
  peer.connect({asio::ip::address_v4::loopback(), house.server.port()}, error);
  must(!error, "it still accepts");
  // Ports would run out otherwise: no TIME_WAIT.
  peer.set_option(asio::socket_base::linger(true, 0), error);
  asio::write(peer, asio::buffer(input), error);
  peer.shutdown(asio::socket_base::shutdown_send, error);
  bool ended = false;
  std::string answer;
  asio::async_read(peer, asio::dynamic_buffer(answer), [&](auto, std::size_t) { ended = true; });
  // A kept connection waits for more; it is closed as soon as nothing is to be done for it.
  const auto run = [] {
    house.io.restart();
    for (int i = 0; i < 10'000; ++i)
      if (house.io.run_one_for(std::chrono::milliseconds(2)) == 0) return;
    must(false, "the server comes to rest");
  };
  run();
  peer.close(error);
  run();
  must(ended, "nothing holds a connection whose other side is gone");
  must(answer.empty() || answer.starts_with("HTTP/1."), "what it says is HTTP");
}

}  // namespace faultline::fuzz
