// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "http/problem.h"
#include "http/server_impl.h"

namespace faultline::http {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> accept_all(std::shared_ptr<Server::Impl> impl) {
  asio::steady_timer pause(impl->executor);
  while (!impl->stopping) {
    tcp::socket socket(impl->executor);
    const auto [ec] = co_await impl->acceptor.async_accept(socket, kTuple);
    if (impl->stopping) break;
    if (ec) {
      // Out of descriptors or memory: an idle connection goes, or they wait in the queue until some
      // are free again.
      if (ec != asio::error::connection_aborted) {
        const bool room = impl->door.make_room();
        if (!room) spdlog::error("accept: {}", ec.message());
        pause.expires_after(std::chrono::milliseconds(room ? 1 : 100));
        co_await pause.async_wait(kTuple);
      }
      continue;
    }
    start_session(impl, std::move(socket));
  }
}

// Until nothing is under way or the time is over.
asio::awaitable<void> wait_idle(std::shared_ptr<Server::Impl> impl,
                                std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!impl->idle() && std::chrono::steady_clock::now() < end) {
    impl->gone.expires_at(end);
    co_await impl->gone.async_wait(kTuple);
  }
}

template <class Action>
void each_session(const Server::Impl& impl, Action action) {
  const std::unordered_set<Session*> now = impl.sessions;  // the action may end one
  for (Session* session : now)
    if (impl.sessions.contains(session)) action(*session);
}

}  // namespace

Server::Server(asio::any_io_executor executor, ServerOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options))) {}

Server::~Server() {
  impl_->stopping = true;
  error_code ignored;
  impl_->acceptor.close(ignored);
  each_session(*impl_, [](Session& session) { session.close(); });
}

void Server::route(std::string method, std::string pattern, std::vector<std::string> allowed,
                   Handler handler, RouteOptions options) {
  impl_->router.add(std::move(method), pattern, std::move(allowed), std::move(handler),
                    std::move(options), impl_->options.max_body);
}

void Server::denied(std::function<void(const Request&, const Response&)> told) {
  impl_->denied = std::move(told);
}
void Server::authenticator(Authenticator authenticator) {
  impl_->authenticator = std::move(authenticator);
}

Result<> Server::start() {
  if (impl_->options.tls) {
    impl_->certificates.emplace(*impl_->options.tls);
    if (auto loaded = impl_->certificates->load(); !loaded)
      return fail(loaded.error().with_context("cannot serve TLS"));
  }
  const std::string where = impl_->options.address + ":" + std::to_string(impl_->options.port);
  error_code ec;
  const auto address = asio::ip::make_address(impl_->options.address, ec);
  if (ec) return fail(Errc::kInvalid, "cannot listen on " + where + ": not an IP address");
  const auto failed = [&] {
    impl_->acceptor.close();
    return fail(from_errno(ec.value(), "cannot listen on " + where));
  };
  const tcp::endpoint endpoint(address, impl_->options.port);
  if (impl_->acceptor.open(endpoint.protocol(), ec); ec) return failed();
  if (impl_->acceptor.set_option(tcp::acceptor::reuse_address(true), ec); ec) return failed();
  if (impl_->acceptor.bind(endpoint, ec); ec) return failed();
  if (impl_->acceptor.listen(asio::socket_base::max_listen_connections, ec); ec) return failed();
  const auto bound = impl_->acceptor.local_endpoint(ec);
  if (ec) return failed();
  impl_->port = bound.port();
  asio::co_spawn(impl_->executor, accept_all(impl_), asio::detached);
  return {};
}

std::uint16_t Server::port() const { return impl_->port; }
std::shared_ptr<const Refusals> Server::refusals() const { return impl_->door.shared_refusals(); }

namespace {

asio::awaitable<void> stop_server(std::shared_ptr<Server::Impl> impl,
                                  std::chrono::milliseconds grace) {
  impl->stopping = true;
  error_code ignored;
  impl->acceptor.close(ignored);
  each_session(*impl, [](Session& session) { session.wind_down(); });
  co_await wait_idle(impl, grace);
  if (impl->idle()) co_return;
  each_session(*impl, [](Session& session) { session.cancel(); });
  co_await wait_idle(impl, std::chrono::seconds(1));
  each_session(*impl, [](Session& session) { session.close(); });
  co_await wait_idle(impl, std::chrono::seconds(1));
  if (!impl->idle())
    spdlog::error("{} handlers do not end although they were cancelled", impl->handlers);
}

}  // namespace

asio::awaitable<void> Server::stop(std::chrono::milliseconds grace) {
  return stop_server(impl_, grace);
}

}  // namespace faultline::http
