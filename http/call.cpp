// SPDX-License-Identifier: Apache-2.0
#include "http/call.h"

#include <sys/socket.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>

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

void watch_client(const std::shared_ptr<void>& owner, asio::ip::tcp::socket& socket,
                  const std::shared_ptr<Call>& call, bool throw_away) {
  call->watching = true;
  socket.async_wait(asio::ip::tcp::socket::wait_read,
                    asio::bind_cancellation_slot(
                        call->watch_cancel.slot(),
                        [owner, &socket, call, throw_away](const boost::system::error_code& ec) {
                          call->watching = false;
                          if (ec || call->done) return;
                          char bytes[4096];
                          const ssize_t n =
                              recv(socket.native_handle(), bytes, throw_away ? sizeof bytes : 1,
                                   throw_away ? MSG_DONTWAIT : MSG_DONTWAIT | MSG_PEEK);
                          const bool nothing_yet = n < 0 && (errno == EAGAIN || errno == EINTR);
                          if (nothing_yet || (n > 0 && throw_away))
                            return watch_client(owner, socket, call, throw_away);
                          if (n > 0) return;
                          call->client_gone = true;
                          call->wake.cancel();
                        }));
}

}  // namespace faultline::http
