// SPDX-License-Identifier: Apache-2.0
// What callers may take of a server: connections, bytes, requests under way and a second
// (docs/decisions/0021-door-budgets.md). A caller without a name gets little, and what it has is
// taken away again when others need it. Internal to http/. Not thread-safe.
#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/rates.h"
#include "http/address_key.h"
#include "http/server.h"

namespace faultline::http {

class Session;

// Whom an identity stands for. Empty: nobody in particular, e.g. everybody who has a shared token.
[[nodiscard]] std::string caller_key(const Identity& who);

// Bytes of bodies that are received or handled. Shared by the requests that hold some, which may
// outlive the server.
class BodyBytes {
 public:
  explicit BodyBytes(std::size_t most) : most_(most) {}

  // What one request holds; gives it back when it ends.
  class Held {
   public:
    // `caller` empty: one without a name, which shares an eighth of all with its like. `is_short`:
    // the head has said that the body is at most kShort long.
    Held(std::shared_ptr<BodyBytes> all, std::string caller, bool named, bool is_short)
        : all_(std::move(all)), caller_(std::move(caller)), named_(named), short_(is_short) {}
    ~Held() { grow(0); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    // Now `bytes` in all. False: there is no room, and it holds what it held before.
    bool grow(std::size_t bytes);

   private:
    std::shared_ptr<BodyBytes> all_;
    std::string caller_;
    bool named_, short_;
    std::size_t bytes_ = 0;
  };
  [[nodiscard]] std::size_t used() const { return used_; }

  // Bodies up to this go on when longer ones find no room any more: that an agent is alive is told
  // in a short one.
  static constexpr std::size_t kShort = 64 << 10;

 private:
  std::size_t most_, used_ = 0, unnamed_ = 0;
  std::map<std::string, std::size_t> by_caller_;
};

// Where a connection stands in the door's lists.
struct Seat {
  std::string address;
  std::string caller;  // of a named one, see caller_key()
  bool inside = false, named = false, shaking = false;
  bool user = false;  // named, and no node
  std::list<Session*>::iterator among_unnamed, of_address, among_shaking;
};

class Door {
 public:
  explicit Door(const ServerOptions& options);

  // Makes room for a new connection and counts it. Where there is none, an idle one of somebody
  // without a name is closed: of the same address, if that has too many, else the one that has been
  // idle longest. False: nobody can be closed, and the connection is not counted.
  bool let_in(Session& session, const boost::asio::ip::address& from);
  // Closes an idle connection without a name, if there is one: descriptors are short.
  bool make_room() { return close_one(unnamed_); }
  // Idempotent.
  void leave(Session& session);
  // A request of it has been answered: others are closed before it.
  void used(Session& session);
  // The TLS handshake begins. When too many are under way the oldest is closed.
  void begin_handshake(Session& session);
  void end_handshake(Session& session);
  // The authenticator knows who it is. False: this caller has too many connections.
  bool name(Session& session, const Identity& who);

  // How often may an address ask without a name, or a caller with one? False: too often.
  bool may_ask(const Session& session, const Identity& who);
  // May the authenticator be asked? `authorization`: the header, or empty. False: too many tokens
  // from this address were wrong, and this one is not known to be good.
  bool may_authenticate(const Session& session, const std::string& authorization);
  void wrong_token(const Session& session);
  void good_token(const std::string& authorization);

  // A request under way of a caller with a name; null: it has too many. Given back by its end.
  std::shared_ptr<void> begin_request(const Identity& who);
  // `length`: as the request's head says, if it does.
  [[nodiscard]] std::shared_ptr<BodyBytes::Held> hold_body(
      const Identity& who, std::optional<std::uint64_t> length) const;
  // Room to send an answer of so many bytes; null: none. Given back by its end.
  std::shared_ptr<void> hold_answer(std::size_t bytes);

  void refused(std::uint64_t Refusals::*what);
  [[nodiscard]] const Refusals& refusals() const { return *refusals_; }
  [[nodiscard]] std::shared_ptr<const Refusals> shared_refusals() const { return refusals_; }

 private:
  struct Requests {
    std::map<std::string, std::size_t> by_caller;
    std::size_t answer_bytes = 0;
  };
  bool close_one(const std::list<Session*>& among);
  [[nodiscard]] std::string digest(const std::string& authorization) const;
  void forget(Session& session);
  void tell();

  const ServerOptions& options_;
  std::size_t all_ = 0, users_ = 0;
  std::list<Session*> unnamed_, shaking_;                          // longest idle first
  std::map<std::string, std::list<Session*>> unnamed_by_address_;  // the same
  std::map<std::string, std::size_t> connections_by_caller_;
  std::shared_ptr<Requests> requests_ = std::make_shared<Requests>();
  std::shared_ptr<BodyBytes> bodies_;
  Rates unnamed_rate_, caller_rate_, wrong_tokens_;
  std::array<unsigned char, 32> salt_{};
  std::unordered_set<std::string> good_tokens_;  // hashes; seen since it was emptied last
  std::shared_ptr<Refusals> refusals_ = std::make_shared<Refusals>();
  std::uint64_t told_ = 0;
  SteadyTime told_at_{};
};

}  // namespace faultline::http
