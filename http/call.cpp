// SPDX-License-Identifier: Apache-2.0
#include "http/call.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>

#include "http/authorize.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace {

void finished(const std::shared_ptr<Server::Impl>& server, const std::shared_ptr<Call>& call,
              std::exception_ptr error) {
  call->done = true;
  call->error = std::move(error);
  call->wake.cancel();
  call->stop_watching();
  --server->handlers;
  server->gone.cancel();
}

asio::awaitable<Response> run_handler(const Route& route, Request request) {
  co_return co_await route.handler(std::move(request));
}

// `call` is held by the completion handler.
asio::awaitable<void> run_authenticator(const Authenticator& ask, const Route& route, Call& call) {
  if (ask && !route.allowed.empty()) {
    auto who = co_await ask(call.request);
    call.who = std::move(who);
    if (!call.who) co_return;
    call.request.who = *call.who;
  }
  if (!route.allowed.empty() && refusal(route, call.request)) co_return;  // said by who asks
  if (!route.before) co_return;
  auto refused = co_await route.before(call.request);
  call.refused = std::move(refused);
}

asio::awaitable<void> run_stream(std::function<asio::awaitable<void>(EventSink&)> stream,
                                 EventSink& sink) {
  co_await stream(sink);
}

}  // namespace

bool Call::aborted() const {
  if (!cancelled || !error) return false;
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

std::string exception_words(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

void start_handler(const std::shared_ptr<Server::Impl>& server, const std::shared_ptr<Call>& call,
                   const Route& route, Request request) {
  ++server->handlers;
  asio::co_spawn(
      server->executor, run_handler(route, std::move(request)),
      asio::bind_cancellation_slot(call->cancel.slot(),
                                   [server, call](std::exception_ptr error, Response response) {
                                     if (!error) call->response = std::move(response);
                                     finished(server, call, std::move(error));
                                   }));
}

void start_authenticator(const std::shared_ptr<Server::Impl>& server,
                         const std::shared_ptr<Call>& call, const Route& route) {
  ++server->handlers;
  asio::co_spawn(
      server->executor, run_authenticator(server->authenticator, route, *call),
      asio::bind_cancellation_slot(call->cancel.slot(), [server, call](std::exception_ptr error) {
        finished(server, call, std::move(error));
      }));
}

void start_stream(const std::shared_ptr<Server::Impl>& server, const std::shared_ptr<Call>& call,
                  std::function<asio::awaitable<void>(EventSink&)> stream, EventSink& sink,
                  std::shared_ptr<void> owner) {
  ++server->handlers;
  asio::co_spawn(
      server->executor, run_stream(std::move(stream), sink),
      asio::bind_cancellation_slot(
          call->cancel.slot(), [server, call, owner = std::move(owner)](std::exception_ptr error) {
            finished(server, call, std::move(error));
          }));
}

void watch_client(const std::shared_ptr<void>& owner, Stream& stream,
                  boost::beast::flat_buffer& buffer, const std::shared_ptr<Call>& call,
                  bool throw_away) {
  constexpr std::size_t kPiece = 4096;
  if (buffer.size() + kPiece > buffer.max_size()) return;
  call->watching = true;
  stream.async_read_some(
      buffer.prepare(kPiece),
      asio::bind_cancellation_slot(call->watch_cancel.slot(),
                                   [owner, &stream, &buffer, call, throw_away](
                                       const boost::system::error_code& ec, std::size_t n) {
                                     call->watching = false;
                                     if (!ec && throw_away && !call->done)
                                       return watch_client(owner, stream, buffer, call, throw_away);
                                     if (!ec) buffer.commit(n);
                                     if (ec && ec != asio::error::operation_aborted)
                                       call->client_gone = true;
                                     call->wake.cancel();
                                   }));
}

}  // namespace faultline::http
