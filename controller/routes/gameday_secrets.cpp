// SPDX-License-Identifier: Apache-2.0
// The surprises of a game day that are in Secrets of its namespace. They are read once, when the
// day is made: from then on the record of the day has them, whatever becomes of the Secrets.
#include <algorithm>

#include "controller/engine/scope.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {
namespace {

// Of all Secrets of a day.
constexpr std::size_t kMostOfSecrets = 256 << 10;

bool within(const std::set<std::string>& some, const std::set<std::string>& all) {
  return std::ranges::includes(all, some);
}

}  // namespace

boost::asio::awaitable<Result<>> Service::fetch_surprises(http::Identity who, api::GameDay& day) {
  const std::vector<api::SecretOfStep> secrets = api::unread_secrets(day);
  if (secrets.empty()) co_return Result<>{};
  if (!fetch_secret_)
    co_return fail(Errc::kInvalid,
                   secrets.front().at + ": only a controller in a cluster can read a Secret");
  std::map<std::string, std::string> texts;
  std::size_t all = 0;
  for (const api::SecretOfStep& secret : secrets) {
    http::Identity asks = who;
    std::string ns = day.metadata.namespace_, name = secret.name, key = secret.key;
    auto text =
        co_await fetch_secret_(std::move(asks), std::move(ns), std::move(name), std::move(key));
    if (!text) co_return fail(text.error().with_context(secret.at));
    all += text->size();
    if (all > kMostOfSecrets)
      co_return fail(Errc::kInvalid, secret.at + ": what the Secrets of a day say has at most " +
                                         std::to_string(kMostOfSecrets) + " bytes in all");
    texts[secret.at] = std::move(*text);
  }
  // On the worker: what somebody else wrote may be long.
  auto put_in = [day, texts = std::move(texts)]() -> Result<api::GameDay> {
    try {
      return api::with_secrets(day, texts);
    } catch (const std::exception&) {  // of the worker's thread; its words may be of the texts
      return fail(Errc::kInvalid, "what the Secrets of the day say cannot be read");
    }
  };
  auto whole = co_await parse_worker_.run(std::move(put_in));
  if (!whole) co_return fail(whole.error());
  // The rights of `who` were asked in what the document names. A Secret, which others may write,
  // must not use more of them.
  Scope shown = scope_of(day);
  const Scope asked = scope_of(*whole);
  shown.seen.insert(shown.hit.begin(), shown.hit.end());
  if (!within(asked.hit, shown.hit) || !within(asked.seen, shown.seen) ||
      (asked.queries && !shown.queries))
    co_return fail(Errc::kDenied,
                   "what the Secrets of the day say is about more than the day itself names: its "
                   "own namespace, and those that a step which is shown hits or observes, and "
                   "queries only where there is one");
  day = std::move(*whole);
  co_return Result<>{};
}

}  // namespace faultline::controller
