// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/events: server-sent events. One "state" event at each change of a run, and one every
// half second while it is under way, so that who watches sees live figures.
#include <charconv>

#include "api/codec.h"
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::milliseconds kLive{500};
constexpr std::chrono::seconds kKeepAlive{15};
constexpr const char* kState = "state";

// The client may be gone: then there is nobody to tell.
boost::asio::awaitable<void> send_once(http::EventSink& sink, std::string data, std::string id) {
  const auto sent = co_await sink.send(kState, std::move(data), std::move(id));
  static_cast<void>(sent);
}

}  // namespace

boost::asio::awaitable<http::Response> Service::get_events(http::Request request) {
  // A browser sends the id of the last event that it saw when it connects again.
  std::uint64_t cursor = 0;
  if (const auto last = request.headers.find("last-event-id"); last != request.headers.end())
    std::from_chars(last->second.data(), last->second.data() + last->second.size(), cursor);

  std::string id;
  if (const auto asked = request.query.find("run");
      asked != request.query.end() && !asked->second.empty()) {
    auto which = wanted(request, asked->second);
    if (!which) co_return http::problem(which.error());
    const auto chosen = co_await choose(request.who, "get", std::move(*which));
    if (!chosen) co_return http::problem(chosen.error());
    id = chosen->run;
    if (in_memory(id) == nullptr) {
      std::string run = id;
      const auto over = co_await stored_summary(std::move(run));
      if (!over) co_return http::problem(over.error());
      // It may have begun meanwhile; else its last state is all there is to say.
      if (in_memory(id) == nullptr) {
        http::Response response;
        response.stream = [data = api::to_json_text(*over), event = std::to_string(last_event_)](
                              http::EventSink& sink) { return send_once(sink, data, event); };
        co_return response;
      }
    }
  } else {
    std::set<std::string> everywhere{""};
    const auto allowed = co_await allow(request.who, "get", std::move(everywhere));
    if (!allowed) co_return http::problem(allowed.error());
  }
  http::Response response;
  response.stream = [self = shared_from_this(), id, cursor,
                     who = request.who](http::EventSink& sink) {
    return self->stream_events(sink, id, cursor, who);
  };
  co_return response;
}

boost::asio::awaitable<void> Service::stream_events(http::EventSink& sink, std::string run,
                                                    std::uint64_t cursor, http::Identity who) {
  const auto wanted = [&](const std::string& id) {
    return (run.empty() || id == run) && !hidden(id, who);
  };
  // Figures of runs under way; false when the client is gone.
  const auto send_live = [&](bool& any) -> boost::asio::awaitable<bool> {
    std::vector<std::string> live;
    for (const api::RunSummary& summary : engine_.summaries(now()))
      if (wanted(summary.run)) live.push_back(api::to_json_text(summary));
    any = !live.empty();
    const std::string id = std::to_string(cursor);
    for (std::string& data : live) {
      const auto sent = co_await sink.send(kState, std::move(data), id);
      if (!sent) co_return false;
    }
    co_return true;
  };

  // Seen before: go on behind it. Else begin with how things are.
  const bool resumes =
      cursor != 0 && !events_.empty() && cursor + 1 >= events_.front().id && cursor <= last_event_;
  bool any_live = false;
  if (!resumes) {
    cursor = last_event_;
    if (!(co_await send_live(any_live))) co_return;
    if (!run.empty()) {
      if (!any_live) {  // it was over, and is stored since it was looked up
        const auto over = co_await stored_summary(run);
        if (!over) co_return;
        co_return co_await send_once(sink, api::to_json_text(*over), std::to_string(cursor));
      }
      const Run* found = in_memory(run);
      if (found == nullptr || found->over()) co_return;
    }
  }
  SteadyTime next_live = clock_.steady() + kLive, next_alive = clock_.steady() + kKeepAlive;
  while (!closed_) {
    // The log may lose its oldest entries while a slow client is written to.
    std::vector<LoggedEvent> news;
    for (const LoggedEvent& event : events_)
      if (event.id > cursor) {
        cursor = event.id;
        if (wanted(event.run)) news.push_back(event);
      }
    for (LoggedEvent& event : news) {
      std::string id = std::to_string(event.id);
      const auto sent = co_await sink.send(kState, std::move(event.data), std::move(id));
      if (!sent) co_return;
      if (event.last && !run.empty()) co_return;
    }
    if (clock_.steady() >= next_live) {
      if (!(co_await send_live(any_live))) co_return;
      next_live = clock_.steady() + kLive;
      if (any_live) next_alive = clock_.steady() + kKeepAlive;
    }
    if (clock_.steady() >= next_alive) {
      const auto sent = co_await sink.keep_alive();
      if (!sent) co_return;
      next_alive = clock_.steady() + kKeepAlive;
    }
    if (!events_.empty() && events_.back().id > cursor) continue;
    co_await event_signal_.wait(std::min(next_live, next_alive));
  }
}

}  // namespace faultline::controller
