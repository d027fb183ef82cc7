// SPDX-License-Identifier: Apache-2.0
// The record and the report of one run. Neither is ever whole in memory with what was measured: a
// record goes out window by window, and one report is made at a time.
#include <boost/json/serialize.hpp>

#include "api/codec.h"
#include "controller/routes/service.h"
#include "report/report.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::size_t kPieceBytes = 256 << 10;  // of JSON that is read and sent at once

}  // namespace

// `run` is an id; the newest head of a run in memory goes along.
boost::asio::awaitable<Result<api::RunRecord>> Service::load(std::string run, Windows windows) {
  auto read = [this, from = reading(std::move(run), windows)] { return from(*reader_); };
  auto found = co_await report_worker_.run(std::move(read));
  if (!found && found.error().code == Errc::kNotFound && !complete_) co_return not_complete();
  co_return found;
}

Service::ReadRun Service::reading(std::string run, Windows windows) {
  std::optional<api::RunRecord> head;
  if (const Run* active = in_memory(run)) head = active->head();
  return [head = std::move(head), run = std::move(run),
          windows](Store& store) mutable -> Result<api::RunRecord> {
    if (!head) return store.load(run, windows);
    if (auto filled = store.fill(*head, windows); !filled) return fail(std::move(filled.error()));
    return std::move(*head);
  };
}

boost::asio::awaitable<void> Service::stream_record(http::BodySink& sink,
                                                    std::shared_ptr<api::RunRecord> record) {
  const boost::json::value value = api::to_json(*record);
  std::string out = "{";
  const auto begin_member = [&out](std::string_view key) {
    if (out.back() != '{') out += ',';
    out += boost::json::serialize(boost::json::string(key)) + ":";
  };
  for (const auto& [key, member] : value.get_object()) {
    begin_member(key);
    if (key != "nodes") {
      out += boost::json::serialize(member);
      continue;
    }
    out += '[';
    for (std::size_t i = 0; i < record->nodes.size(); ++i) {
      out += i == 0 ? "{" : ",{";
      for (const auto& [name, part] : member.get_array()[i].get_object()) {
        begin_member(name);
        if (name != "windows") {
          out += boost::json::serialize(part);
          continue;
        }
        out += '[';
        WindowPiece piece;
        for (bool any = false; !piece.end;) {
          auto read = [this, run = record->run, node = record->nodes[i].node, after = piece.last] {
            return reader_->windows(run, node, after, kPieceBytes);
          };
          auto next = co_await report_worker_.run(std::move(read));
          if (!next) throw std::runtime_error(next.error().message);
          piece = std::move(*next);
          if (any && !piece.json.empty()) out += ',';
          any = any || !piece.json.empty();
          out += piece.json;
          if (out.size() < kPieceBytes) continue;
          const auto sent = co_await sink.write(std::exchange(out, {}));
          if (!sent) co_return;
        }
        out += ']';
      }
      out += '}';
    }
    out += ']';
  }
  out += '}';
  const auto sent = co_await sink.write(std::move(out));
  static_cast<void>(sent);  // the client is gone: there is nobody to tell
}

boost::asio::awaitable<Response> Service::get_report(http::Request request) {
  const auto asked = request.query.find("format");
  const std::string format = asked == request.query.end() ? "json" : asked->second;
  if (format != "json" && format != "md" && format != "html")
    co_return http::problem(400, "format must be json, md or html, got \"" + format + "\"");
  auto which = wanted(request, request.params.at("run"));
  if (!which) co_return http::problem(which.error());
  const auto chosen = co_await choose(request.who, "get", std::move(*which));
  if (!chosen) co_return http::problem(chosen.error());
  // Read and made in one job: of many that wait none has its run in memory.
  auto make = [this, read = reading(chosen->run, Windows::kWith), format]() -> Result<Response> {
    const auto record = read(*reader_);
    if (!record) return fail(record.error());
    try {
      const api::Report report = report::build(*record);
      if (format == "md")
        return Response{.content_type = "text/markdown; charset=utf-8",
                        .body = report::to_markdown(report)};
      if (format == "html")
        return Response{.content_type = "text/html; charset=utf-8",
                        .body = report::to_html(report, *record)};
      return Response{.body = api::to_json_text(report)};
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return http::problem(500, std::string("the report cannot be made: ") + e.what());
    }
  };
  auto made = co_await report_worker_.run(std::move(make));
  if (!made && made.error().code == Errc::kNotFound && !complete_)
    co_return http::problem(not_complete().value());
  if (!made) co_return http::problem(made.error());
  co_return std::move(*made);
}

}  // namespace faultline::controller
