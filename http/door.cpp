// SPDX-License-Identifier: Apache-2.0
#include "http/door.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

#include "http/server_impl.h"

namespace faultline::http {
namespace {

SteadyTime now() { return std::chrono::steady_clock::now(); }

// So many of one list are looked at to find one to close.
constexpr std::size_t kLookAt = 256;
constexpr std::size_t kMostTokens = 20'000;  // that are known to have been good

}  // namespace

std::string caller_key(const Identity& who) {
  if (who.user.empty() && who.node.empty()) return {};
  return who.role + '\n' + who.user + '\n' + who.node;
}

bool BodyBytes::Held::grow(std::size_t bytes) {
  BodyBytes& all = *all_;
  if (bytes > bytes_) {
    const std::size_t more = bytes - bytes_;
    const std::size_t room = short_ ? all.most_ : all.most_ / 4 * 3;
    if (all.used_ + more > room) return false;
    if (!named_ && all.unnamed_ + more > all.most_ / 8) return false;
    if (!caller_.empty() && all.by_caller_[caller_] + more > all.most_ / 4) return false;
  }
  all.used_ += bytes - bytes_;
  if (!named_) all.unnamed_ += bytes - bytes_;
  if (!caller_.empty())
    if (std::size_t& own = all.by_caller_[caller_]; (own += bytes - bytes_) == 0)
      all.by_caller_.erase(caller_);
  bytes_ = bytes;
  return true;
}

Door::Door(const ServerOptions& options)
    : options_(options),
      bodies_(std::make_shared<BodyBytes>(options.max_bodies)),
      unnamed_rate_(
          {.burst = 2 * options.unnamed_per_second, .per_second = options.unnamed_per_second}),
      caller_rate_(
          {.burst = 4 * options.caller_per_second, .per_second = options.caller_per_second}),
      wrong_tokens_({.burst = 5 * options.wrong_tokens_per_second,
                     .per_second = options.wrong_tokens_per_second}) {
  RAND_bytes(salt_.data(), static_cast<int>(salt_.size()));
}

bool Door::let_in(Session& session, const boost::asio::ip::address& from) {
  Seat& seat = session.seat;
  seat.address = address_key(from);
  const auto same = unnamed_by_address_.find(seat.address);
  bool room = true;
  if (same != unnamed_by_address_.end() && same->second.size() >= options_.max_unnamed_of_address)
    room = close_one(same->second);
  if (room && (unnamed_.size() >= options_.max_unnamed || all_ >= options_.max_connections))
    room = close_one(unnamed_);
  if (!room) {
    refused(&Refusals::connections);
    return false;
  }
  seat.inside = true;
  ++all_;
  seat.among_unnamed = unnamed_.insert(unnamed_.end(), &session);
  std::list<Session*>& of_address = unnamed_by_address_[seat.address];
  seat.of_address = of_address.insert(of_address.end(), &session);
  return true;
}

bool Door::close_one(const std::list<Session*>& among) {
  std::size_t looked = 0;
  for (Session* session : among) {
    if (++looked > kLookAt) break;
    if (!session->dispensable()) continue;
    refused(&Refusals::idle);
    leave(*session);  // its own end comes later
    session->close();
    return true;
  }
  return false;
}

// No longer among those without a name.
void Door::forget(Session& session) {
  Seat& seat = session.seat;
  if (!seat.named) {
    unnamed_.erase(seat.among_unnamed);
    const auto found = unnamed_by_address_.find(seat.address);
    found->second.erase(seat.of_address);
    if (found->second.empty()) unnamed_by_address_.erase(found);
    return;
  }
  if (seat.user) --users_;
  if (seat.caller.empty()) return;
  if (const auto found = connections_by_caller_.find(seat.caller); --found->second == 0)
    connections_by_caller_.erase(found);
}

void Door::leave(Session& session) {
  end_handshake(session);
  if (!session.seat.inside) return;
  forget(session);
  session.seat.inside = false;
  --all_;
}

void Door::used(Session& session) {
  Seat& seat = session.seat;
  if (!seat.inside || seat.named) return;
  unnamed_.splice(unnamed_.end(), unnamed_, seat.among_unnamed);
  std::list<Session*>& of_address = unnamed_by_address_[seat.address];
  of_address.splice(of_address.end(), of_address, seat.of_address);
}

void Door::begin_handshake(Session& session) {
  if (!session.seat.inside) return;
  if (shaking_.size() >= options_.max_handshakes) {
    Session* oldest = shaking_.front();
    refused(&Refusals::handshakes);
    leave(*oldest);
    oldest->close();
  }
  session.seat.shaking = true;
  session.seat.among_shaking = shaking_.insert(shaking_.end(), &session);
}

void Door::end_handshake(Session& session) {
  if (std::exchange(session.seat.shaking, false)) shaking_.erase(session.seat.among_shaking);
}

bool Door::name(Session& session, const Identity& who) {
  Seat& seat = session.seat;
  if (!seat.inside) return true;  // it ends
  std::string caller = caller_key(who);
  if (seat.named && seat.caller == caller) return true;
  const bool user = !who.user.empty() && who.node.empty();
  if (user && !(seat.named && seat.user) && users_ >= options_.max_connections / 4) {
    refused(&Refusals::callers);
    return false;
  }
  if (!caller.empty()) {
    std::size_t& count = connections_by_caller_[caller];
    if (count >= options_.max_of_caller) {
      refused(&Refusals::callers);
      return false;
    }
    ++count;
  }
  forget(session);
  seat.named = true;
  seat.user = user;
  seat.caller = std::move(caller);
  if (user) ++users_;
  return true;
}

bool Door::may_ask(const Session& session, const Identity& who) {
  bool allowed = true;
  if (who.role.empty())
    allowed = unnamed_rate_.take(session.seat.address, now()).allowed;
  else if (const std::string caller = caller_key(who); !caller.empty())
    allowed = caller_rate_.take(caller, now()).allowed;
  if (!allowed) refused(&Refusals::rates);
  return allowed;
}

// Without a token there is nothing that somebody else would have to be asked about. One that was
// good is looked at anew, whatever else comes from its address.
bool Door::may_authenticate(const Session& session, const std::string& authorization) {
  if (session.seat.named || authorization.empty() ||
      wrong_tokens_.has(session.seat.address, now()) ||
      good_tokens_.contains(digest(authorization)))
    return true;
  refused(&Refusals::rates);
  return false;
}
void Door::wrong_token(const Session& session) {
  (void)wrong_tokens_.take(session.seat.address, now());
}

void Door::good_token(const std::string& authorization) {
  if (authorization.empty()) return;
  if (good_tokens_.size() >= kMostTokens) good_tokens_.clear();
  good_tokens_.insert(digest(authorization));
}

// Tokens themselves are not kept, and what is kept is of no use elsewhere.
std::string Door::digest(const std::string& authorization) const {
  std::string text(salt_.begin(), salt_.end());
  text += authorization;
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr);
  return {bytes.begin(), bytes.begin() + size};
}

std::shared_ptr<void> Door::begin_request(const Identity& who) {
  std::string caller = caller_key(who);
  if (caller.empty()) return requests_;  // any: it is only looked at whether there is one
  std::size_t& count = requests_->by_caller[caller];
  if (count >= options_.max_of_caller) {
    refused(&Refusals::callers);
    return nullptr;
  }
  ++count;
  const auto give_back = [all = requests_, caller](void*) {
    if (const auto found = all->by_caller.find(caller); --found->second == 0)
      all->by_caller.erase(found);
  };
  return {requests_.get(), give_back};
}

std::shared_ptr<BodyBytes::Held> Door::hold_body(const Identity& who,
                                                 std::optional<std::uint64_t> length) const {
  return std::make_shared<BodyBytes::Held>(bodies_, caller_key(who), !who.role.empty(),
                                           length && *length <= BodyBytes::kShort);
}

std::shared_ptr<void> Door::hold_answer(std::size_t bytes) {
  // A single one may be longer than all together: else nobody could ever have it.
  if (requests_->answer_bytes != 0 && requests_->answer_bytes + bytes > options_.max_answers) {
    refused(&Refusals::answers);
    return nullptr;
  }
  requests_->answer_bytes += bytes;
  const auto give_back = [all = requests_, bytes](void*) { all->answer_bytes -= bytes; };
  return {requests_.get(), give_back};
}

void Door::refused(std::uint64_t Refusals::*what) {
  ++((*refusals_).*what);
  tell();
}

// One line in ten seconds at most, whatever comes.
void Door::tell() {
  const SteadyTime t = now();
  if (told_at_ != SteadyTime{} && t - told_at_ < std::chrono::seconds(10)) return;
  told_at_ = t;
  const Refusals& r = *refusals_;
  const std::uint64_t all =
      r.connections + r.idle + r.handshakes + r.callers + r.rates + r.bodies + r.answers;
  spdlog::warn(
      "too much is asked of this port: {} times since the last such line something was refused or "
      "an idle connection closed ({} connections, {} idle, {} handshakes, {} of one caller, {} too "
      "often, {} bodies, {} answers since the start)",
      all - told_, r.connections, r.idle, r.handshakes, r.callers, r.rates, r.bodies, r.answers);
  told_ = all;
}

}  // namespace faultline::http
